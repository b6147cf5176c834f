/** A server's answer: its status at once, its body as it comes. */
import type { IncomingMessage } from "node:http";
import { ConnectionLost } from "./lost.ts";

/** What is read of an answer that should be short, bytes. */
const TEXT_BYTES_MAX = 256 * 1024;
/** Pieces of a body that wait to be read: beyond it the server has to wait, bytes. */
const QUEUE_BYTES_MAX = 256 * 1024;
/** How long a body may pause, milliseconds. */
const PAUSE_MS_MAX = 120_000;

/** One answer. Its body is to be read, or discarded: until then its connection is not free. */
export class Reply {
  readonly status: number;
  /** It came before the whole request was sent. */
  readonly isEarly: boolean;
  readonly #response: IncomingMessage;
  readonly #destroy: () => void;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #isEnded = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(response: IncomingMessage, isEarly: boolean, destroy: () => void) {
    this.#response = response;
    this.#destroy = destroy;
    this.status = response.statusCode ?? 0;
    this.isEarly = isEarly;
    response.on("data", (chunk: Uint8Array) => {
      this.#queue.push(chunk);
      this.#queuedBytes += chunk.length;
      if (this.#queuedBytes >= QUEUE_BYTES_MAX) response.pause();
      this.#wake?.();
    });
    response.on("end", () => {
      this.#isEnded = true;
      this.#wake?.();
    });
    const fail = (error?: Error) => {
      if (this.#isEnded) return;
      this.#error ??= error ?? new Error("server closed the connection in the middle of its answer");
      this.#wake?.();
    };
    response.on("error", fail);
    response.on("aborted", () => fail());
    response.on("close", () => fail());
  }

  /** The first value of a header, by its lower-case name. */
  header(name: string): string | undefined {
    const value = this.#response.headers[name];
    return Array.isArray(value) ? value[0] : value;
  }

  /**
   * The next piece of the body, `null` after the last.
   * @throws {ConnectionLost} when the connection ends before the body does, or pauses for 2 minutes
   */
  async read(): Promise<Uint8Array | null> {
    if (this.#queue.length === 0 && !this.#isEnded && this.#error === undefined) {
      const timer = setTimeout(() => {
        this.#error ??= new Error(`server sends nothing for ${PAUSE_MS_MAX / 1000} s`);
        this.#wake?.();
      }, PAUSE_MS_MAX);
      await new Promise<void>((resolve) => this.#wake = resolve);
      clearTimeout(timer);
    }
    const chunk = this.#queue.shift();
    if (chunk !== undefined) {
      this.#queuedBytes -= chunk.length;
      if (this.#queuedBytes < QUEUE_BYTES_MAX && this.#response.isPaused()) this.#response.resume();
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

  /** Ends the connection: the rest of the body is nobody's business. */
  close(): void {
    this.#isEnded = true;
    this.#destroy();
  }
}
