/**
 * Bytes to lines and back. A line over the limit is skipped in bounded memory and reported, never thrown.
 */
import { LINE_BYTES_MAX } from "./messages.ts";

const NEWLINE = 10;

/**
 * Cuts a stream of bytes into lines. Feed chunks with {@linkcode LineSplitter.push}; each yields the lines that it completes.
 */
export class LineSplitter {
  #parts: Uint8Array[] = [];
  #length = 0;
  #skipping = false;
  readonly #decoder = new TextDecoder();
  readonly #bytesMax: number;
  readonly #onOversize: () => void;

  /**
   * @param onOversize called once for each line that was longer than `bytesMax` and is dropped
   * @param bytesMax longest line, bytes without the newline
   */
  constructor(onOversize: () => void, bytesMax: number = LINE_BYTES_MAX) {
    this.#onOversize = onOversize;
    this.#bytesMax = bytesMax;
  }

  /** The lines that `chunk` completes, without their newline. Bytes that are no UTF-8 become U+FFFD. */
  *push(chunk: Uint8Array): Generator<string> {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const line = this.#finish(chunk.subarray(start, end));
      start = end + 1;
      if (line !== undefined) yield line;
    }
    // Copied, so that a reader may use one buffer again and again.
    if (!this.#skipping) this.#keep(chunk.slice(start));
  }

  /** The last line when the stream ended without a newline, else `undefined`. */
  end(): string | undefined {
    return this.#length === 0 ? undefined : this.#finish(new Uint8Array(0));
  }

  #keep(part: Uint8Array): void {
    if (part.length === 0 || this.#skipping) return;
    if (this.#length + part.length > this.#bytesMax) {
      this.#skipping = true;
      this.#parts = [];
      this.#length = 0;
      this.#onOversize();
      return;
    }
    this.#parts.push(part);
    this.#length += part.length;
  }

  #finish(tail: Uint8Array): string | undefined {
    this.#keep(tail);
    if (this.#skipping) {
      this.#skipping = false;
      return undefined;
    }
    const parts = this.#parts;
    const length = this.#length;
    this.#parts = [];
    this.#length = 0;
    if (parts.length === 1) return this.#decoder.decode(parts[0]);
    const whole = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return this.#decoder.decode(whole);
  }
}

/**
 * Writes lines to a byte sink one after another, several per write when they queue up.
 */
export class LineWriter {
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  readonly #encoder = new TextEncoder();
  #queue: string[] = [];
  #flushing: Promise<void> | undefined;

  constructor(write: (bytes: Uint8Array) => Promise<void>) {
    this.#write = write;
  }

  /** Queues one message; resolves when it has been written. */
  send(message: unknown): Promise<void> {
    this.#queue.push(JSON.stringify(message));
    this.#flushing ??= this.#flush();
    return this.#flushing;
  }

  async #flush(): Promise<void> {
    try {
      await Promise.resolve();
      while (this.#queue.length > 0) {
        const text = this.#queue.join("\n") + "\n";
        this.#queue = [];
        await this.#write(this.#encoder.encode(text));
      }
    } finally {
      this.#flushing = undefined;
    }
  }
}
