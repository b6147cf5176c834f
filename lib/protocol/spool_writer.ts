/**
 * Appends a download to its spool file so that the file's bytes are a true prefix at every instant. A driver that can
 * resume fetches from {@linkcode SpoolWriter.startBytes} on: the overlap is compared, not written, so that two versions
 * of a file are never glued together.
 */
import { DriverError } from "../driver/mod.ts";

/** How much of the prefix is fetched again and compared on resume, bytes. */
export const OVERLAP_BYTES = 64 * 1024;

/** Writes in order, synchronously: a driver is a process of its own, and sync writes are 2 to 5 times faster there. */
export class SpoolWriter {
  /** Where to start fetching: `offsetBytes` less the overlap that is compared. */
  readonly startBytes: number;
  readonly #file: Deno.FsFile;
  readonly #overlap: Uint8Array;
  #positionBytes: number;

  /**
   * @param spoolFile the host's file; it must exist
   * @param offsetBytes length of the true prefix that it holds; anything beyond is cut off
   * @param overlapBytes how much of the prefix to compare; 0 for sources that cannot be asked for it
   */
  constructor(spoolFile: string, offsetBytes: number, overlapBytes: number = OVERLAP_BYTES) {
    this.startBytes = Math.max(0, offsetBytes - overlapBytes);
    try {
      this.#file = Deno.openSync(spoolFile, { read: true, write: true });
    } catch (error) {
      throw explain(error);
    }
    try {
      if (this.#file.statSync().size < offsetBytes) {
        throw new DriverError("corrupt", `Spool file is shorter than the offset: ${offsetBytes} bytes`);
      }
      this.#file.truncateSync(offsetBytes);
      this.#overlap = new Uint8Array(offsetBytes - this.startBytes);
      this.#file.seekSync(this.startBytes, Deno.SeekMode.Start);
      for (let at = 0; at < this.#overlap.length;) {
        const count = this.#file.readSync(this.#overlap.subarray(at));
        if (count === null) throw new DriverError("corrupt", "Spool file ended while it was read");
        at += count;
      }
    } catch (error) {
      this.#file.close();
      throw explain(error);
    }
    this.#positionBytes = this.startBytes;
  }

  /** Bytes of the file that are held and proven so far; the offset of the next byte to fetch. */
  get positionBytes(): number {
    return this.#positionBytes;
  }

  /**
   * Takes the next bytes of the source.
   * @throws {DriverError} `corrupt` when the overlap differs from what the spool holds; `no_space` when the disk is full
   *   or does not take them for another reason
   */
  write(chunk: Uint8Array): void {
    const overlapAt = this.#positionBytes - this.startBytes;
    let rest = chunk;
    if (overlapAt < this.#overlap.length) {
      const compared = Math.min(chunk.length, this.#overlap.length - overlapAt);
      for (let at = 0; at < compared; at++) {
        if (chunk[at] !== this.#overlap[overlapAt + at]) {
          throw new DriverError(
            "corrupt",
            `Source differs from the part already held at byte ${this.#positionBytes + at}`,
          );
        }
      }
      this.#positionBytes += compared;
      rest = chunk.subarray(compared);
    }
    while (rest.length > 0) {
      const count = this.#writeSome(rest);
      this.#positionBytes += count;
      rest = rest.subarray(count);
    }
  }

  #writeSome(bytes: Uint8Array): number {
    try {
      if (isZero(bytes)) return this.#extend(bytes.length);
      return this.#file.writeSync(bytes);
    } catch (error) {
      throw explain(error);
    }
  }

  /** Zeros become a hole: a sparse file of 5 GB must not fill the disk. */
  #extend(lengthBytes: number): number {
    this.#file.truncateSync(this.#positionBytes + lengthBytes);
    this.#file.seekSync(this.#positionBytes + lengthBytes, Deno.SeekMode.Start);
    return lengthBytes;
  }

  close(): void {
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Linux numbers of what a disk says that does not take bytes now, and the words; Deno has no class for most of them. */
const DISK_WORDS: Record<string, string> = {
  1: "operation not permitted",
  5: "input/output error",
  6: "the disk is gone",
  13: "permission denied",
  19: "the disk is gone",
  28: "no space left",
  30: "the filesystem is read-only",
  122: "no space left",
};

/** The spool's trouble is not the device's: it is told as `no_space`, so that downloads wait and no file is at fault. */
function explain(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof DriverError) return error;
  const words = DISK_WORDS[/\(os error (\d+)\)/.exec(error.message)?.[1] ?? ""];
  return words === undefined
    ? error
    : new DriverError("no_space", `Cannot write to the spool: ${words}`, { cause: error });
}

/** Fewer zeros than this are written: a hole would save nothing. */
const HOLE_BYTES_MIN = 64 * 1024;

/** Whether `bytes` are so many zeros that a hole is worth it. Data that is none is told by its first bytes. */
export function isZero(bytes: Uint8Array): boolean {
  // Bytes one by one would be ten times slower; what is not aligned is written instead, which is right as well.
  if (bytes.length < HOLE_BYTES_MIN || bytes.byteOffset % 4 !== 0) return false;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  const end = words.length & ~7;
  for (let at = 0; at < end; at += 8) {
    const first = words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]!;
    if ((first | words[at + 4]! | words[at + 5]! | words[at + 6]! | words[at + 7]!) !== 0) return false;
  }
  for (let at = end * 4; at < bytes.length; at++) {
    if (bytes[at] !== 0) return false;
  }
  return true;
}
