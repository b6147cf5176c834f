/**
 * Listing of a directory. Each name is sent exactly once or the listing fails; links are not followed, and what is
 * neither a file nor a directory is left out. Holds one batch and the directories still to be read, never a directory's
 * names.
 */
import { type Call, DriverError, type Entry, pathProblem } from "../../lib/driver/mod.ts";
import { isAbsent, osCode } from "./os_errors.ts";
import { printable, type Root } from "./root.ts";

/** Entries in a batch: what the contract allows in one message. */
const BATCH_ENTRIES = 1000;

/**
 * Sends what is in `directory`, and below it when `recursive`.
 * @throws {DriverError} `unavailable` when the root is not there, or no longer the same at the end
 */
export async function walk(root: Root, directory: string, recursive: boolean, call: Call): Promise<void> {
  const before = root.require();
  let batch: Entry[] = [];
  const pending = [directory];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for await (const name of names(root, next, directory)) {
      const entry = entryOf(root, next === "" ? name.name : `${next}/${name.name}`, name);
      if (entry === undefined) continue;
      if (recursive && entry.kind === "directory" && entry.problem === undefined) pending.push(entry.path);
      batch.push(entry);
      if (batch.length < BATCH_ENTRIES) continue;
      call.signal.throwIfAborted();
      await call.entries(batch);
      batch = [];
    }
    call.signal.throwIfAborted();
  }
  if (batch.length > 0) await call.entries(batch);
  root.requireSame(before);
}

async function* names(root: Root, directory: string, asked: string): AsyncGenerator<Deno.DirEntry> {
  try {
    if (directory !== "" && Deno.lstatSync(root.join(directory)).isSymlink) {
      throw new DriverError("not_found", `"${directory}" is a symbolic link, which is not followed`);
    }
    yield* Deno.readDir(root.join(directory));
  } catch (error) {
    const wanted = `Cannot list "${printable(root.join(directory))}"`;
    const reason = root.explain(error, wanted, { deniedHint: `chmod u+rx "${root.join(directory)}"` });
    if (!(reason instanceof DriverError) || directory === "") throw reason;
    // A sub-directory that was removed meanwhile holds no names; one that cannot be read does.
    if (reason.code === "not_found" && directory !== asked) return;
    if (reason.code !== "denied") throw reason;
    throw new DriverError("failed", reason.message, reason.details);
  }
}

function entryOf(root: Root, path: string, found: Deno.DirEntry): Entry | undefined {
  if (found.isSymlink) return undefined;
  const problem = pathProblem(path);
  if (problem !== undefined) {
    // Its kind is known only from the directory: a name that is no UTF-8 cannot be asked for.
    if (!found.isFile && !found.isDirectory) return undefined;
    return { path, kind: found.isDirectory ? "directory" : "file", problem };
  }
  try {
    return entryFrom(path, Deno.lstatSync(root.join(path)));
  } catch (error) {
    if (isAbsent(error)) return undefined;
    const code = osCode(error);
    if (code === "EIO" || code === "EUCLEAN") {
      return { path, kind: found.isDirectory ? "directory" : "file", problem: "the disk cannot read it" };
    }
    throw root.explain(error, `Cannot look at "${path}"`);
  }
}

/** The entry of `path`, or `undefined` for what is neither a file nor a directory. */
export function entryFrom(path: string, info: Deno.FileInfo): Entry | undefined {
  if (info.isDirectory) return { path, kind: "directory", ...modified(info) };
  if (!info.isFile) return undefined;
  return { path, kind: "file", sizeBytes: info.size, ...modified(info) };
}

function modified(info: Deno.FileInfo): { modifiedMs?: number } {
  const modifiedMs = info.mtime?.getTime();
  return modifiedMs === undefined || !Number.isFinite(modifiedMs) ? {} : { modifiedMs };
}
