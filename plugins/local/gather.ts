/**
 * Gathers an upload under its temporary name, going on from what an interrupted one left. The SHA-256 of what the
 * temporary file holds is computed on the way, so that what gets published is proven.
 */
import { type Call, DriverError, type UploadParams } from "../../lib/driver/mod.ts";
import { append, BLOCK_BYTES, borrow, giveBack, isEqual, Pace, pump, readFull } from "./copy.ts";
import { type Hash, newHash } from "./hash.ts";
import { isAbsent, osCode } from "./os_errors.ts";
import type { Root } from "./root.ts";

class NotSynced extends Error {}

/**
 * Makes the file at `temporary` hold the bytes of `spool`, and fsyncs it.
 * @throws {DriverError} `corrupt` when the spool does not hold what `params.sha256` says; the temporary is gone then
 */
export async function gather(
  spool: Deno.FsFile,
  temporary: string,
  params: UploadParams,
  { root, call }: { root: Root; call: Call },
): Promise<void> {
  try {
    await fill(spool, () => openTemporary(temporary, root), params, call);
  } catch (error) {
    // What is left of an interrupted upload is continued; but a full disk hurts more than copying again, and after an
    // error of the disk the system shows bytes that no later fsync writes.
    const isWorthless = ["ENOSPC", "EDQUOT", "EIO"].includes(osCode(error) ?? "") || error instanceof NotSynced ||
      (error instanceof DriverError && error.code === "corrupt");
    if (isWorthless) Deno.removeSync(temporary);
    throw error instanceof NotSynced ? error.cause : error;
  }
}

async function fill(spool: Deno.FsFile, open: () => Deno.FsFile, params: UploadParams, call: Call): Promise<void> {
  using file = open();
  const hash = await newHash();
  const keptBytes = await compare(spool, file, hash, call);
  file.truncateSync(keptBytes);
  file.seekSync(keptBytes, Deno.SeekMode.Start);
  const endBytes = await pump(spool, {
    startBytes: keptBytes,
    endBytes: params.sizeBytes,
    take: (block, atBytes) => {
      append(file, block, atBytes);
      hash.update(block);
    },
    call,
    maxBytesPerSecond: params.maxBytesPerSecond,
  });
  if (endBytes !== params.sizeBytes || hash.digest("hex") !== params.sha256) {
    throw new DriverError("corrupt", `Spool file for "${params.path}" does not hold the bytes of its SHA-256`);
  }
  if (params.modifiedMs !== undefined) keepTime(file, params.modifiedMs);
  // Not synchronous: the disk gathers what several calls wait for, 3 to 4 times as many a second.
  try {
    await file.sync();
  } catch (error) {
    throw new NotSynced("", { cause: error });
  }
}

/**
 * The temporary file, empty or as an interrupted upload left it. It is made without following a link; one that another
 * name shares is let go, since it may have been published already.
 */
function openTemporary(path: string, root: Root): Deno.FsFile {
  const left = leftover(path);
  if (left !== undefined) {
    // An empty one may be of another mode: it was made to see what a file is like here.
    const isOurs = left.isFile && left.nlink === 1 && left.size > 0;
    if (isOurs) {
      const file = Deno.openSync(path, { read: true, write: true });
      const opened = file.statSync();
      if (opened.ino === left.ino && opened.dev === left.dev) return file;
      file.close();
    }
    Deno.removeSync(path);
  }
  const file = Deno.openSync(path, { read: true, write: true, createNew: true, mode: 0o644 });
  try {
    root.requireOwn(file.statSync());
  } catch (error) {
    file.close();
    Deno.removeSync(path);
    throw error;
  }
  return file;
}

function leftover(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/**
 * How many bytes of `file` are those of the spool. After a loss of power its end may be zeros: each block is compared,
 * and what follows the first difference is written again.
 */
async function compare(spool: Deno.FsFile, file: Deno.FsFile, hash: Hash, call: Call): Promise<number> {
  const leftBytes = file.statSync().size;
  if (leftBytes === 0) return 0;
  call.progress(leftBytes);
  const pace = new Pace(call);
  const ours = borrow();
  const theirs = borrow();
  try {
    spool.seekSync(0, Deno.SeekMode.Start);
    for (let atBytes = 0;;) {
      const count = Math.min(readFull(spool, ours), readFull(file, theirs));
      const same = ours.subarray(0, count);
      if (count === 0 || !isEqual(same, theirs.subarray(0, count))) return atBytes;
      hash.update(same);
      atBytes += count;
      if (count < BLOCK_BYTES) return atBytes;
      await pace.rest(leftBytes);
    }
  } finally {
    giveBack(ours);
    giveBack(theirs);
  }
}

/** Sets the time of a file, where the device can. */
export function keepTime(file: Deno.FsFile, modifiedMs: number): void {
  const time = new Date(modifiedMs);
  if (Number.isNaN(time.getTime())) return;
  try {
    file.utimeSync(time, time);
  } catch {
    // Shares that belong to another user refuse it; the time is kept where the device can, the bytes matter more.
  }
}
