/** How a driver whose server offers no checksum proves what is there: parts of it are read back and compared. */

/** What a file to be uploaded is. */
export interface Content {
  spoolFile: string;
  sizeBytes: number;
  /** Lower-case hex. */
  sha256: string;
}

/** How the same bytes were proven: by the server's hash, or by size and reading back. */
export type Proof = "checksum" | "size";

/**
 * Hands `length` bytes of a file on the device from `at` on to `take`, until it wants no more; whether it took them all.
 * @throws {DriverError} `uncertain` when the device does not give them
 */
export type ReadBack = (at: number, length: number, take: (theirs: Uint8Array) => boolean) => Promise<boolean>;

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

/** Whether what `readBack` reads, whose size is known to be that of `content`, holds the same bytes. */
export async function holdsSame(content: Content, readBack: ReadBack): Promise<boolean> {
  if (isReadWhole(content.sizeBytes)) return await sha256Of(content.sizeBytes, readBack) === content.sha256;
  for (const [at, length] of blocksOf(content.sizeBytes)) {
    if (!await holdsSameRange(content.spoolFile, at, length, readBack)) return false;
  }
  return true;
}

/** Whether `length` bytes from `at` on equal those of the spool file. Stops at the first difference. */
export async function holdsSameRange(
  spoolFile: string,
  at: number,
  length: number,
  readBack: ReadBack,
): Promise<boolean> {
  using spool = Deno.openSync(spoolFile);
  spool.seekSync(at, Deno.SeekMode.Start);
  let ours = new Uint8Array(0);
  return await readBack(at, length, (theirs) => {
    if (ours.length < theirs.length) ours = new Uint8Array(theirs.length);
    return goesOnWith(spool, theirs, ours);
  });
}

/** SHA-256 of the first `sizeBytes`, read back; `undefined` when there are fewer. */
async function sha256Of(sizeBytes: number, readBack: ReadBack): Promise<string | undefined> {
  // Loaded at its first use: it costs 5 MB of memory.
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  const isWhole = await readBack(0, sizeBytes, (theirs) => {
    hash.update(theirs);
    return true;
  });
  return isWhole ? hash.digest("hex") : undefined;
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
