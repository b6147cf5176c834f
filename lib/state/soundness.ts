/**
 * What the files of a store say before SQLite opens them. SQLite takes an empty file for a new database, works on without
 * a log that is gone, and stops reading a log at its first bad byte without a word: each would lose what was recorded.
 */
import { closeSync, existsSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { damaged, StateError } from "./errors.ts";

/** Names of the log and of its index beside a store. */
export const WAL = "-wal";
export const SHM = "-shm";

const WAL_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** First word of a log, for checksums of little-endian and of big-endian words. */
const WAL_MAGIC = [0x377f0682, 0x377f0683];
/** A log has at most so many bytes while the program works as it should; a larger one is not read through. */
const WAL_READ_BYTES_MAX = 256 * 1024 * 1024;

/**
 * Looks at the files of the store at `path`; the caller holds its lock.
 * @returns whether there is a store
 * @throws {StateError} `damaged`, or `unusable` when what has this name cannot be a store
 */
export function checkFiles(path: string): boolean {
  const stat = checkIsFile(path);
  if (stat === undefined) return false;
  if (stat.size === 0) throw damaged(path, "it is empty");
  const hasWal = existsSync(path + WAL);
  // SQLite makes the log before its index, and removes it after: an index alone has lost its log.
  if (!hasWal && existsSync(path + SHM)) throw damaged(path, `its log "${path}${WAL}" is missing`);
  if (hasWal) checkWal(path);
  return true;
}

/**
 * What has the name of a store, if anything has.
 * @throws {StateError} `unusable` when that is no file
 */
export function checkIsFile(path: string): Stats | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || stat.isFile()) return stat;
  const what = stat.isDirectory() ? "a directory" : "no file";
  throw new StateError("unusable", `Cannot use the state store "${path}": it is ${what}`, {
    hint: 'Set "state" in the configuration to the path of a file',
  });
}

/**
 * Every commit is synced before the next one is written: only the last one may be torn. A bad frame with a commit after
 * it that others followed is damage, and so is a log that does not begin as one.
 */
function checkWal(path: string): void {
  const fd = openSync(path + WAL, "r");
  try {
    const sizeBytes = statSync(path + WAL).size;
    if (sizeBytes < WAL_HEADER_BYTES || sizeBytes > WAL_READ_BYTES_MAX) return;
    const header = new Uint8Array(WAL_HEADER_BYTES);
    readSync(fd, header, 0, header.length, 0);
    // A power cut may leave the room that was set aside without what was to be written into it.
    if (header.every((byte) => byte === 0)) return;
    const view = new DataView(header.buffer);
    if (!WAL_MAGIC.includes(view.getUint32(0))) throw damaged(path, `its log "${path}${WAL}" holds something else`);
    const sums = new Checksum(view.getUint32(0) === 0x377f0682);
    sums.add(header.subarray(0, 24));
    if (hasCommitBehindDamage(fd, { sizeBytes, header: view, sums, isBroken: !sums.equals(view, 24) })) {
      throw damaged(path, `its log "${path}${WAL}" is damaged in the middle`);
    }
  } finally {
    closeSync(fd);
  }
}

function hasCommitBehindDamage(
  fd: number,
  { sizeBytes, header, sums, isBroken }: { sizeBytes: number; header: DataView; sums: Checksum; isBroken: boolean },
): boolean {
  const pageBytes = header.getUint32(8);
  if (pageBytes < 512 || pageBytes > 65536) return true;
  const frame = new Uint8Array(FRAME_HEADER_BYTES + pageBytes);
  const view = new DataView(frame.buffer);
  // Which log a frame is of; where the header itself is bad, the first frame tells.
  let salt: [number, number] | undefined = isBroken ? undefined : [header.getUint32(16), header.getUint32(20)];
  let commitsBehind = 0;
  for (let at = WAL_HEADER_BYTES; at + frame.length <= sizeBytes; at += frame.length) {
    readSync(fd, frame, 0, frame.length, at);
    salt ??= [view.getUint32(8), view.getUint32(12)];
    const isOfThisLog = view.getUint32(8) === salt[0] && view.getUint32(12) === salt[1];
    if (!isBroken) {
      sums.add(frame.subarray(0, 8));
      sums.add(frame.subarray(FRAME_HEADER_BYTES));
      isBroken = !isOfThisLog || !sums.equals(view, 16);
    }
    if (!isBroken || !isOfThisLog) continue;
    if (commitsBehind > 0) return true;
    if (view.getUint32(4) !== 0) commitsBehind++;
  }
  return false;
}

/** The running checksum of a log: SQLite, "WAL File Format". */
class Checksum {
  readonly #isLittle: boolean;
  #s0 = 0;
  #s1 = 0;

  constructor(isLittle: boolean) {
    this.#isLittle = isLittle;
  }

  add(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.length; at += 8) {
      this.#s0 = (this.#s0 + view.getUint32(at, this.#isLittle) + this.#s1) >>> 0;
      this.#s1 = (this.#s1 + view.getUint32(at + 4, this.#isLittle) + this.#s0) >>> 0;
    }
  }

  equals(view: DataView, at: number): boolean {
    return view.getUint32(at) === this.#s0 && view.getUint32(at + 4) === this.#s1;
  }
}
