/**
 * One HTTP request and its answer, as a driver needs it: the body in pieces with its length told beforehand, an answer that
 * may come before all is sent, time limits for each step, and the truth about how much may have arrived.
 */
import type { Connection } from "./connection.ts";
import { ConnectionLost } from "./lost.ts";
import type { Head } from "./parse_reply.ts";
import { Reply } from "./reply.ts";

/** A first piece up to this size travels with the head, in one packet where it fits, bytes. */
const TOGETHER_BYTES_MAX = 64 * 1024;

/** A request that was begun; its body is written piece by piece. */
export class Exchange {
  readonly #connection: Connection;
  readonly #reply: Promise<Reply>;
  readonly #isReused: boolean;
  readonly #forget: () => void;
  #settle!: { resolve: (reply: Reply) => void; reject: (error: Error) => void };
  #head: Uint8Array | undefined;
  #isSettled = false;
  #isEnded = false;
  #mayContinue = false;
  #sentBytes = 0;
  #received: Reply | undefined;
  #wake: (() => void) | undefined;

  /**
   * @param head request line and headers, with the empty line
   * @param signal aborted: the connection is closed
   */
  constructor(connection: Connection, head: Uint8Array, signal: AbortSignal) {
    this.#connection = connection;
    this.#head = head;
    this.#isReused = connection.isReused;
    this.#reply = new Promise((resolve, reject) => this.#settle = { resolve, reject });
    this.#reply.catch(() => {});
    connection.add(this);
    // The answer may be on its way already.
    const stop = () => connection.destroy(new DOMException("Call is cancelled", "AbortError"));
    signal.addEventListener("abort", stop, { once: true });
    this.#forget = () => signal.removeEventListener("abort", stop);
    if (signal.aborted) stop();
  }

  /** Whether more may be written: neither answer nor failure has come. */
  get isOpen(): boolean {
    return !this.#isSettled;
  }

  /** All of the request was handed on. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** The connection that carries it. */
  get connection(): Connection {
    return this.#connection;
  }

  /** Hands on bytes of the body; resolves when the socket wants more, or when there is an answer or a failure. */
  async write(bytes: Uint8Array, timeoutMs: number): Promise<void> {
    if (this.#isSettled) return;
    this.#sentBytes += bytes.length;
    if (this.#send(bytes)) return;
    await this.#waitFor(timeoutMs, () => this.#lose(new Error(`server takes no bytes for ${timeoutMs / 1000} s`)));
  }

  /** Sends the headers of a request with `Expect: 100-continue`; whether the server wants the body, or does not say. */
  async mayContinue(timeoutMs: number): Promise<boolean> {
    if (!this.#isSettled) this.#send();
    // A server that knows nothing of it says nothing (RFC 9110 section 10.1.1): then the body goes out all the same.
    const untilMs = performance.now() + timeoutMs;
    for (let leftMs = timeoutMs; leftMs > 0; leftMs = untilMs - performance.now()) {
      if (this.#mayContinue || this.#isSettled) break;
      // Also woken when the headers are with the system, which says nothing of the server.
      await this.#waitFor(leftMs, () => this.#wake?.());
    }
    return !this.#isSettled;
  }

  /** Hands on the last bytes of the request. */
  finish(tail?: Uint8Array): void {
    if (this.#isSettled || this.#isEnded) return;
    this.#isEnded = true;
    this.#sentBytes += tail?.length ?? 0;
    this.#send(tail);
  }

  /**
   * Ends the body and waits for the beginning of the answer.
   * @throws {ConnectionLost}
   */
  async end(timeoutMs: number, tail?: Uint8Array): Promise<Reply> {
    this.finish(tail);
    const timer = setTimeout(
      () => this.#lose(new Error(`server does not answer for ${Math.round(timeoutMs / 1000)} s`)),
      timeoutMs,
    );
    try {
      return await this.#reply;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the connection, unless the answer has come to its end. */
  close(): void {
    this.#lose(new DOMException("Exchange is over", "AbortError"));
    this.#received?.close();
  }

  /** The connection takes bytes again. */
  onDrain(): void {
    this.#wake?.();
  }

  /** The server wants the body. */
  onContinue(): void {
    this.#mayContinue = true;
    this.#wake?.();
  }

  /** The answer begins. */
  onHead(head: Head): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#received = new Reply(head, !this.#isEnded, {
      pause: () => this.#connection.pause(),
      resume: () => this.#connection.resume(),
      close: () => this.#connection.destroy(new DOMException("Exchange is over", "AbortError")),
    });
    this.#settle.resolve(this.#received);
    this.#wake?.();
  }

  /** The next piece of the answer. */
  onBody(bytes: Uint8Array): void {
    this.#received?.push(bytes);
  }

  /** The answer is complete. */
  onReplyEnd(): void {
    this.#forget();
    this.#received?.end();
  }

  /** The connection is over. */
  onLost(error: unknown): void {
    this.#forget();
    if (this.#isSettled) {
      const words = "server closed the connection in the middle of its answer";
      return this.#received?.fail(error instanceof DOMException ? error : new Error(words, { cause: error }));
    }
    this.#isSettled = true;
    const { isConnected } = this.#connection;
    this.#settle.reject(
      new ConnectionLost(error, {
        isSent: this.#isEnded && isConnected,
        sentBytes: isConnected ? this.#sentBytes : 0,
        isReused: this.#isReused,
      }),
    );
    this.#wake?.();
  }

  #lose(error: unknown): void {
    if (!this.#isSettled) this.#connection.destroy(error);
  }

  /** Hands on what is left of the head, and bytes after it. */
  #send(bytes: Uint8Array = new Uint8Array()): boolean {
    const head = this.#head;
    this.#head = undefined;
    if (head === undefined) return bytes.length === 0 || this.#connection.write(bytes);
    if (bytes.length > TOGETHER_BYTES_MAX) {
      this.#connection.write(head);
      return this.#connection.write(bytes);
    }
    const both = new Uint8Array(head.length + bytes.length);
    both.set(head);
    both.set(bytes, head.length);
    return this.#connection.write(both);
  }

  async #waitFor(timeoutMs: number, onTimeout: () => void): Promise<void> {
    const timer = setTimeout(onTimeout, timeoutMs);
    await new Promise<void>((resolve) => this.#wake = resolve);
    clearTimeout(timer);
  }
}
