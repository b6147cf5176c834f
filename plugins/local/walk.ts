/**
 * Listing of a directory. Each name is sent exactly once or the listing fails; links are not followed, and what is
 * neither a file nor a directory is left out. Holds one batch and the directories still to be read, never a directory's
 * names.
 */
import { type Call, DriverError, type Entry, pathProblem } from "../../lib/driver/mod.ts";
import { isAbsent, isDamage, osCode } from "./os_errors.ts";
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
  const take = async (entry: Entry): Promise<void> => {
    batch.push(entry);
    if (batch.length < BATCH_ENTRIES) return;
    call.signal.throwIfAborted();
    await call.entries(batch);
    batch = [];
  };
  const pending: Entry[] = [{ path: directory, kind: "directory" }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { path } = next;
    try {
      for await (const name of names(root, path, directory)) {
        const entry = entryOf(root, path === "" ? name.name : `${path}/${name.name}`, name);
        if (entry === undefined) continue;
        // A directory below is sent when it is read, with what came of that.
        if (recursive && entry.kind === "directory" && entry.problem === undefined) pending.push(entry);
        else await take(entry);
      }
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      next.problem = error.message;
    }
    if (path !== directory) await take(next);
    call.signal.throwIfAborted();
  }
  if (batch.length > 0) await call.entries(batch);
  root.requireSame(before);
}

/** A directory below the one that was asked for cannot be read; the others can. */
class Unreadable extends Error {}

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
    if (directory !== asked) {
      if (reason.code === "not_found") return;
      if (reason.code === "denied") {
        throw new Unreadable(`permission denied; let filesync read it, or leave it out: "exclude": ["${directory}/*"]`);
      }
      const flaw = flawOf(root, error);
      if (flaw !== undefined) throw new Unreadable(flaw);
    }
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
    const kind = found.isDirectory ? "directory" : "file";
    const flaw = flawOf(root, error);
    if (flaw !== undefined) return { path, kind, problem: flaw };
    throw root.explain(error, `Cannot look at "${path}"`);
  }
}

/** Why one name cannot be had, where others can: a place on the disk that is damaged, a path that is too deep. */
function flawOf(root: Root, error: unknown): string | undefined {
  if (isDamage(error)) return `the disk cannot read it${root.damageWords()}`;
  return osCode(error) === "ENAMETOOLONG" ? "its path is too long for this system" : undefined;
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
