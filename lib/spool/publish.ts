/**
 * The order that makes the spool survive a power cut: bytes → fsync → rename → fsync of the directory; only then may a
 * row say `spooled`. fsyncs that are asked for while others run are done together: one commit of the filesystem's
 * journal serves them all, and between two of them nobody waits for it.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { Together } from "../driver/mod.ts";
import { SpoolError } from "./errors.ts";

/** Fsyncs under way at once: each takes a thread, and more of them gain nothing. */
const SYNCS_MAX = 16;

const fileSyncs = new Together<Deno.FsFile>(
  (files) => Promise.allSettled(files.map((file) => file.sync())),
  SYNCS_MAX,
);

const directorySyncs = new Together<string>((dirs) => {
  const syncs = new Map([...new Set(dirs)].map((dir) => [dir, fsyncDirectory(dir)]));
  return Promise.allSettled(dirs.map((dir) => syncs.get(dir)));
}, Infinity);

/**
 * Makes a small file's bytes survive a power cut, together with others.
 * @throws {SpoolError} `unwritable`, as {@linkcode syncFile}
 */
export async function syncTogether(file: Deno.FsFile): Promise<void> {
  try {
    await fileSyncs.add(file);
  } catch (error) {
    throw notSynced(error);
  }
}

/**
 * Makes a file's bytes survive a power cut.
 * @throws {SpoolError} `unwritable`: the file is worthless then. The system has dropped what it could not write, shows it
 *   to readers all the same, and no later fsync writes it
 */
export async function syncFile(path: string): Promise<void> {
  const file = await Deno.open(path, { read: true, write: true });
  try {
    await file.sync();
  } catch (error) {
    throw notSynced(error);
  } finally {
    file.close();
  }
}

/** Makes the names in `dir` survive a power cut. */
export function syncDirectory(dir: string): Promise<void> {
  return directorySyncs.add(dir);
}

function notSynced(error: unknown): SpoolError {
  const words = error instanceof Error ? error.message : String(error);
  return new SpoolError("unwritable", `Cannot keep bytes in the spool: ${words}`, { cause: error });
}

async function fsyncDirectory(dir: string): Promise<void> {
  const file = await Deno.open(dir, { read: true });
  try {
    await file.sync();
  } finally {
    file.close();
  }
}

/** Makes a directory and those above it where they are missing; their names survive a power cut. */
export function makeDirectory(path: string, mode?: number): void {
  const first = mkdirSync(path, { recursive: true, ...(mode === undefined ? {} : { mode }) });
  if (first === undefined) return;
  for (let dir = path;; dir = dirname(dir)) {
    syncDirectoryNow(dirname(dir));
    if (dir === first || dirname(dir) === dir) return;
  }
}

/** Like {@linkcode syncDirectory}, before anything else happens. A directory that may not be read cannot be synced. */
export function syncDirectoryNow(dir: string): void {
  let file: number;
  try {
    file = openSync(dir, "r");
  } catch (error) {
    if (["EACCES", "EPERM"].includes((error as { code?: string }).code ?? "")) return;
    throw error;
  }
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Turns a synced partial into a spool file whose name survives a power cut.
 * @throws {SpoolError} `unwritable`: nobody knows what the disk has under either name
 */
export async function publishSpoolFile(partial: string, final: string): Promise<void> {
  renameSync(partial, final);
  try {
    await syncDirectory(dirname(final));
  } catch (error) {
    throw notSynced(error);
  }
}

/**
 * Gives the spool a file of its own in the place of one that a target shares, whose bytes anybody may change.
 * @param partial where it is copied to; left there by a crash, it is dropped at the next start
 */
export async function unshareSpoolFile(path: string, partial: string): Promise<void> {
  await Deno.copyFile(path, partial);
  await Deno.chmod(partial, 0o600);
  await syncFile(partial);
  await publishSpoolFile(partial, path);
}

/** Removes a file that may be gone already. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  }
}
