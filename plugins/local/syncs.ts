/** Fsyncs, many at once: one commit of the filesystem's journal serves all that wait for it. */
import { Together } from "../../lib/driver/mod.ts";
import { NO_DIRECTORY_SYNC, osCode } from "./os_errors.ts";

/** Fsyncs under way at once: each takes a thread. */
const SYNCS_MAX = 16;
/** A larger file is fsynced by itself: the small ones must not wait for it, bytes. */
const SMALL_BYTES = 1024 * 1024;

const files = new Together<Deno.FsFile>((items) => Promise.allSettled(items.map((file) => file.sync())), SYNCS_MAX);

const directories = new Together<string>((items) => {
  const syncs = new Map([...new Set(items)].map((directory) => [directory, fsyncDirectory(directory)]));
  return Promise.allSettled(items.map((directory) => syncs.get(directory)));
}, SYNCS_MAX);

/**
 * Resolves when what was written to `file` so far would survive a loss of power.
 * @param sizeBytes how much was written
 */
export function syncFile(file: Deno.FsFile, sizeBytes: number): Promise<void> {
  return sizeBytes <= SMALL_BYTES ? files.add(file) : file.sync();
}

/** Resolves when everything that was done in `directory` so far would survive a loss of power. */
export function syncDirectory(directory: string): Promise<void> {
  return directories.add(directory);
}

async function fsyncDirectory(directory: string): Promise<void> {
  using file = Deno.openSync(directory);
  try {
    await file.sync();
  } catch (error) {
    if (!NO_DIRECTORY_SYNC.includes(osCode(error) ?? "")) throw error;
  }
}
