/** A server's answer: its status at once, its body as it comes. */
import { ConnectionLost } from "./lost.ts";
import type { Head } from "./parse_reply.ts";

/** What is read of an answer that should be short, bytes. */
const TEXT_BYTES_MAX = 256 * 1024;
/** Pieces of a body that wait to be read: beyond it the server has to wait, bytes. */
const QUEUE_BYTES_MAX = 256 * 1024;
/** How long a body may pause, milliseconds. */
const PAUSE_MS_MAX = 120_000;

/** What a reply needs of its connection. */
export interface ReplyLink {
  pause(): void;
  resume(): void;
  /** Ends the connection. */
  close(): void;
}

/** One answer. Its body is to be read, or discarded: until then its connection is not free. */
export class Reply {
  readonly status: number;
  /** It came before the whole request was sent. */
  readonly isEarly: boolean;
  readonly #headers: ReadonlyMap<string, string>;
  readonly #link: ReplyLink;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #isPaused = false;
  #isEnded = false;
  #error: unknown;
  #wake: (() => void) | undefined;

  constructor({ status, headers }: Head, isEarly: boolean, link: ReplyLink) {
    this.status = status;
    this.#headers = headers;
    this.isEarly = isEarly;
    this.#link = link;
  }

  /** The first value of a header, by its lower-case name. */
  header(name: string): string | undefined {
    return this.#headers.get(name);
  }

  /** Takes the next piece of the body from the connection. */
  push(bytes: Uint8Array): void {
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes >= QUEUE_BYTES_MAX && !this.#isPaused) {
      this.#isPaused = true;
      this.#link.pause();
    }
    this.#wake?.();
  }

  /** The body is complete. */
  end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  /** The connection has ended before the body. */
  fail(error: unknown): void {
    if (this.#isEnded) return;
    this.#error ??= error;
    this.#wake?.();
  }

  /**
   * The next piece of the body, `null` after the last.
   * @throws {ConnectionLost} when the connection ends before the body does, or pauses for 2 minutes
   */
  async read(): Promise<Uint8Array | null> {
    if (this.#queue.length === 0 && !this.#isEnded && this.#error === undefined) {
      const timer = setTimeout(
        () => this.fail(new Error(`server sends nothing for ${PAUSE_MS_MAX / 1000} s`)),
        PAUSE_MS_MAX,
      );
      await new Promise<void>((resolve) => this.#wake = resolve);
      clearTimeout(timer);
    }
    const chunk = this.#queue.shift();
    if (chunk !== undefined) {
      this.#queuedBytes -= chunk.length;
      if (this.#queuedBytes < QUEUE_BYTES_MAX && this.#isPaused) {
        this.#isPaused = false;
        // After the end the connection may be another exchange's.
        if (!this.#isEnded) this.#link.resume();
      }
      return chunk;
    }
    if (this.#error !== undefined) throw new ConnectionLost(this.#error, { isSent: true, sentBytes: 0 });
    return null;
  }

  /** The body as text, its beginning at least; what is lost of it is left out. */
  async text(): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    try {
      for (let chunk = await this.read(); chunk !== null; chunk = await this.read()) {
        text += decoder.decode(chunk, { stream: true });
        if (text.length >= TEXT_BYTES_MAX) {
          this.close();
          break;
        }
      }
    } catch {
      // The status has come: what is lost of the words after it matters little.
    }
    return text + decoder.decode();
  }

  /** Reads the body to its end, if that is near, so that the connection can carry the next request. */
  async discard(): Promise<void> {
    await this.text();
  }

  /** Ends the connection, unless the body has come to its end: the rest is nobody's business. */
  close(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#link.close();
  }
}
