/**
 * Writes a download into its spool file: in order, so that the file is a true prefix at every instant, and behind a
 * queue, so that a slow disk never makes the link wait. The part that is held already is compared, not written.
 */
import { DriverError } from "../../lib/driver/mod.ts";

/** Written at once, bytes: what a killed process loses at most. */
const BLOCK_BYTES = 8 * 1024;
/** Bytes that wait for the disk before the link is told to pause, and when it may go on. */
const QUEUE_BYTES_HIGH = 4 * 1024 * 1024;
const QUEUE_BYTES_LOW = 1024 * 1024;
const READ_BYTES = 256 * 1024;
/** A block that is not full is written after, milliseconds. */
const FLUSH_MS = 50;

export interface SpoolQueueOptions {
  spoolFile: string;
  /** Length of the true prefix that the file holds. */
  offsetBytes: number;
  /** How much of its end is compared with what comes. */
  overlapBytes: number;
  /** The queue became short enough to go on, or broke. */
  onReady: () => void;
}

export class SpoolQueue {
  /** Where the next byte belongs; starts at the overlap. */
  positionBytes: number;
  /** The overlap, from `positionBytes` at the start. */
  readonly overlap: Uint8Array;
  readonly #overlapAt: number;
  readonly #path: string;
  readonly #file: Deno.FsFile;
  readonly #onReady: () => void;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #isFull = false;
  #writing: Promise<void> | undefined;
  #error: unknown;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Bytes in the file. */
  writtenBytes: number;

  constructor(options: SpoolQueueOptions) {
    const { spoolFile, offsetBytes, overlapBytes, onReady } = options;
    this.#path = spoolFile;
    this.#onReady = onReady;
    this.#overlapAt = Math.max(0, offsetBytes - overlapBytes);
    this.#file = Deno.openSync(spoolFile, { read: true, write: true });
    try {
      if (this.#file.statSync().size < offsetBytes) {
        throw new DriverError("corrupt", `Spool file is shorter than the offset: ${offsetBytes} bytes`);
      }
      this.#file.truncateSync(offsetBytes);
      this.overlap = this.#read(this.#overlapAt, offsetBytes - this.#overlapAt);
      this.#file.seekSync(offsetBytes, Deno.SeekMode.Start);
    } catch (error) {
      this.#file.close();
      throw error;
    }
    this.positionBytes = this.#overlapAt;
    this.writtenBytes = offsetBytes;
  }

  #read(at: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#file.seekSync(at, Deno.SeekMode.Start);
    for (let done = 0; done < length;) {
      const count = this.#file.readSync(bytes.subarray(done));
      if (count === null) throw new DriverError("corrupt", "Spool file ended while it was read");
      done += count;
    }
    return bytes;
  }

  /** Whether more bytes should come now. */
  get isReady(): boolean {
    return !this.#isFull && this.#error === undefined;
  }

  /** Why nothing can be written any more. */
  get error(): unknown {
    return this.#error;
  }

  /**
   * Takes the next bytes of the file, which are not changed any more.
   * @throws {DriverError} `corrupt` when the overlap differs from what the spool holds
   */
  push(bytes: Uint8Array): void {
    const overlapOffset = this.positionBytes - this.#overlapAt;
    let rest = bytes;
    if (overlapOffset < this.overlap.length) {
      const compared = Math.min(bytes.length, this.overlap.length - overlapOffset);
      for (let at = 0; at < compared; at++) {
        if (bytes[at] !== this.overlap[overlapOffset + at]) {
          throw new DriverError(
            "corrupt",
            `Log differs from the part already held at byte ${this.positionBytes + at}`,
          );
        }
      }
      rest = bytes.subarray(compared);
    }
    this.positionBytes += bytes.length;
    if (rest.length === 0) return;
    this.#queue.push(rest);
    this.#queuedBytes += rest.length;
    if (this.#queuedBytes > QUEUE_BYTES_HIGH) this.#isFull = true;
    if (this.#queuedBytes >= BLOCK_BYTES) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), FLUSH_MS);
  }

  /** Resolves when everything is in the file. @throws {DriverError} `no_space` */
  async drain(): Promise<void> {
    this.#write();
    await this.#writing;
    if (this.#error !== undefined) throw this.#error;
  }

  /** All bytes that are in the file, in order. */
  async readAll(take: (bytes: Uint8Array) => void | Promise<void>): Promise<void> {
    using file = await Deno.open(this.#path);
    const block = new Uint8Array(READ_BYTES);
    for (let at = 0; at < this.writtenBytes;) {
      const count = await file.read(block.subarray(0, Math.min(block.length, this.writtenBytes - at)));
      if (count === null) throw new DriverError("corrupt", "Spool file ended while it was read");
      await take(block.subarray(0, count));
      at += count;
    }
  }

  /** Some of the bytes in the file. */
  async readAt(at: number, length: number): Promise<Uint8Array> {
    using file = await Deno.open(this.#path);
    await file.seek(at, Deno.SeekMode.Start);
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const count = await file.read(bytes.subarray(done));
      if (count === null) throw new DriverError("corrupt", "Spool file ended while it was read");
      done += count;
    }
    return bytes;
  }

  /** Closes the file; what was not written by `drain` is lost. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    clearTimeout(this.#timer);
    this.#file.close();
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#writeAll().finally(() => this.#writing = undefined);
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#queue.length > 0 && this.#error === undefined) {
        const block = joined(this.#queue);
        this.#queue = [];
        for (let at = 0; at < block.length;) {
          const count = await this.#file.write(block.subarray(at));
          at += count;
          this.writtenBytes += count;
        }
        this.#queuedBytes -= block.length;
        if (this.#isFull && this.#queuedBytes < QUEUE_BYTES_LOW) {
          this.#isFull = false;
          this.#onReady();
        }
      }
    } catch (error) {
      // ENOSPC and EDQUOT have no class of their own in Deno.
      this.#error = error instanceof Error && /os error (28|122)/.test(error.message)
        ? new DriverError("no_space", "Cannot write to the spool: no space left", { cause: error })
        : error;
      this.#onReady();
    }
  }
}

function joined(pieces: Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
