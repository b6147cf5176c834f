/** How a driver whose server offers no checksum proves what is there: parts of it are read back and compared. */

/** How much is read back to compare a part, bytes. */
export const READ_BACK_BYTES = 64 * 1024;
/** Up to this size a file is read back whole, bytes. */
const WHOLE_BYTES_MAX = 8 * 1024 * 1024;
/** Blocks of a larger file that are read back between its first and its last. */
const SPREAD_COUNT = 16;

/** Whether a file is read back whole: then its SHA-256 proves it, also where the spool holds other bytes by now. */
export function isReadWhole(sizeBytes: number): boolean {
  return sizeBytes <= WHOLE_BYTES_MAX;
}

/** The parts of a file of `sizeBytes` that are read back: all of a small one, blocks of a large one. */
export function* blocksOf(sizeBytes: number): Generator<[at: number, length: number]> {
  if (isReadWhole(sizeBytes)) {
    yield [0, sizeBytes];
    return;
  }
  const last = sizeBytes - READ_BACK_BYTES;
  // The last one first: logs that differ mostly share their head.
  yield [last, READ_BACK_BYTES];
  for (let n = 0; n <= SPREAD_COUNT; n++) yield [Math.floor(last * n / (SPREAD_COUNT + 1)), READ_BACK_BYTES];
}

/**
 * Whether `file` goes on with the bytes `theirs`; its position moves behind them.
 * @param ours room for as many bytes
 */
export function goesOnWith(file: Deno.FsFile, theirs: Uint8Array, ours: Uint8Array): boolean {
  for (let at = 0; at < theirs.length;) {
    const count = file.readSync(ours.subarray(at, theirs.length));
    if (count === null) return false;
    at += count;
  }
  for (let at = 0; at < theirs.length; at++) if (theirs[at] !== ours[at]) return false;
  return true;
}
