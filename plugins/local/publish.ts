/**
 * Gives a gathered upload its final name in one step, and decides what happens when something has that name. Nothing
 * is ever visible under a final name but a whole file.
 */
import { type Call, conflictPath, DriverError, type UploadParams } from "../../lib/driver/mod.ts";
import { hashFile } from "./copy.ts";
import { isAbsent, isPresent, isWithoutLinks, osCode } from "./os_errors.ts";
import type { Root } from "./root.ts";

/** More names than this beside one another mean that something is wrong, not that there is one more. */
const CONFLICTS_MAX = 1000;

/**
 * What a final name is, seen from an upload. `same`: it holds the very bytes. `unproven`: it seems to, but an fsync of it
 * or of its name failed: it is written anew.
 */
export type Occupant = "free" | "same" | "other" | "unproven";

export interface Looking {
  call: Call;
  /** Final names whose fsync failed in this process: a later one would succeed and prove nothing. */
  unproven: Set<string>;
}

/** A spool file on its way to a name. */
export interface Publication {
  root: Root;
  /** `params.spoolFile`, opened. */
  spool: Deno.FsFile;
  /** Where a copy is gathered. */
  temporary: string;
  /** What was chosen first. */
  name: { path: string; occupant: Occupant };
  params: UploadParams;
  looking: Looking;
}

/** Looks at what has the name `path`: bytes are compared by their SHA-256. */
export async function occupantOf(
  root: Root,
  path: string,
  params: UploadParams,
  { call, unproven }: Looking,
): Promise<Occupant> {
  const found = look(root.join(path));
  if (found === undefined) return "free";
  if (!found.isFile || found.size !== params.sizeBytes) return "other";
  using file = Deno.openSync(root.join(path));
  const opened = file.statSync();
  if (opened.ino !== found.ino || opened.dev !== found.dev) return "other";
  if (await hashFile(file, call) !== params.sha256) return "other";
  if (unproven.has(path)) return "unproven";
  try {
    // Whoever wrote it may not have fsynced it, and a receipt outlives a loss of power.
    await file.sync();
  } catch (error) {
    unproven.add(path);
    throw error;
  }
  return "same";
}

/** The name that the upload may take, and whether its bytes have it already. */
export async function chooseName(
  root: Root,
  params: UploadParams,
  looking: Looking,
): Promise<{ path: string; occupant: Occupant }> {
  const first = await occupantOf(root, params.path, params, looking);
  if (first !== "other") return { path: params.path, occupant: first };
  if (params.onExisting === "replace" && look(root.join(params.path))?.isFile !== false) {
    return { path: params.path, occupant: "other" };
  }
  if (params.onExisting !== "rename") throw taken(params.path);
  for (let n = 2; n <= CONFLICTS_MAX; n++) {
    const path = conflictPath(params.path, n);
    const occupant = await occupantOf(root, path, params, looking);
    if (occupant !== "other") return { path, occupant };
  }
  throw taken(params.path);
}

/** Renames `temporary` to `path`, over what is there. */
export function replace(root: Root, temporary: string, path: string): void {
  Deno.renameSync(temporary, root.join(path));
}

/**
 * Gives `temporary` the name `path` unless something has it; returns whether it did.
 * @param link replaced by tests
 */
export function claim(root: Root, temporary: string, path: string, link = Deno.linkSync): boolean {
  const final = root.join(path);
  try {
    link(temporary, final);
  } catch (error) {
    if (isPresent(error)) return false;
    if (!isWithoutLinks(error)) throw error;
    // No await between the two: within this process nothing can take the name meanwhile.
    if (look(final) !== undefined) return false;
    Deno.renameSync(temporary, final);
    return true;
  }
  Deno.removeSync(temporary);
  return true;
}

/**
 * Whether `error`, of giving `temporary` its final name, means that the filesystem can have no such name. exFAT through
 * FUSE says ENOENT then (exfat-fuse 1.3), though the file and its directory are there.
 */
export function isRefusedName(error: unknown, temporary: string): boolean {
  const code = osCode(error);
  if (code === "ENOENT") return look(temporary) !== undefined;
  return code === "EINVAL" || code === "EILSEQ" || code === "ENAMETOOLONG";
}

/** Removes what an interrupted upload has left. */
export function removeLeftover(temporary: string): void {
  try {
    Deno.removeSync(temporary);
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
}

/** What has this name, or `undefined` when nothing does. */
export function look(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

function taken(path: string): DriverError {
  return new DriverError("rejected", `Cannot publish "${path}": other content has this name`, {
    hint: 'Rename or remove it on the target, or set "on_conflict" to "rename" or "replace"',
  });
}
