/**
 * The order that makes the spool survive a power cut: bytes → fsync → rename → fsync of the directory; only then may a
 * row say `spooled`. fsyncs of one directory that come together share one call.
 */
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
