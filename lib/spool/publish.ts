/**
 * The order that makes the spool survive a power cut: bytes → fsync → rename → fsync of the directory; only then may a
 * row say `spooled`. fsyncs of one directory that come together share one call.
 */
import { closeSync, fsyncSync, mkdirSync, openSync } from "node:fs";
import { rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";

const directorySyncs = new Map<string, { running: Promise<void>; next: Promise<void> | undefined }>();

/** Makes a file's bytes survive a power cut. */
export async function syncFile(path: string): Promise<void> {
  const file = await Deno.open(path, { read: true, write: true });
  try {
    await file.sync();
  } finally {
    file.close();
  }
}

/**
 * Makes the names in `dir` survive a power cut. A call that comes while one runs shares the next one: the running
 * one may have begun before its rename.
 */
export function syncDirectory(dir: string): Promise<void> {
  const entry = directorySyncs.get(dir);
  if (entry === undefined) {
    const running = fsyncDirectory(dir).finally(() => {
      if (directorySyncs.get(dir)?.next === undefined) directorySyncs.delete(dir);
    });
    directorySyncs.set(dir, { running, next: undefined });
    return running;
  }
  entry.next ??= entry.running.catch(() => {}).then(() => {
    directorySyncs.delete(dir);
    return syncDirectory(dir);
  });
  return entry.next;
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

/** Turns a synced partial into a spool file whose name survives a power cut. */
export async function publishSpoolFile(partial: string, final: string): Promise<void> {
  await rename(partial, final);
  await syncDirectory(dirname(final));
}

/** Removes a file that may be gone already. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  }
}
