/**
 * One HTTP request and its answer, as a driver needs it: the body in pieces with its length told beforehand, an answer that
 * may come before all is sent, time limits for each step, and the truth about how much may have arrived. `node:http`, since
 * `fetch` sends a streamed body in chunks without a length, which many servers answer with 411.
 */
import type { ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { ConnectionLost } from "./lost.ts";
import { Reply } from "./reply.ts";

/** Sockets that have carried a request. */
const used = new WeakSet<Socket>();

/** A request that was begun; its body is written piece by piece. */
export class Exchange {
  readonly #request: ClientRequest;
  readonly #reply: Promise<Reply>;
  #settle!: { resolve: (reply: Reply) => void; reject: (error: Error) => void };
  #isSettled = false;
  #isConnected = false;
  #isReused = false;
  #isEnded = false;
  #mayContinue = false;
  #sentBytes = 0;
  #wake: (() => void) | undefined;

  /**
   * @param request not yet ended, made with or without an agent
   * @param signal aborted: the connection is closed
   */
  constructor(request: ClientRequest, signal: AbortSignal, isTls: boolean) {
    this.#request = request;
    this.#reply = new Promise((resolve, reject) => this.#settle = { resolve, reject });
    this.#reply.catch(() => {});
    const stop = () => {
      this.#fail(new DOMException("Call is cancelled", "AbortError"));
      // The answer may be on its way already.
      request.destroy();
    };
    signal.addEventListener("abort", stop, { once: true });
    request.on("close", () => signal.removeEventListener("abort", stop));
    request.on("response", (response) => this.#take(response));
    request.on("error", (error) => this.#fail(error));
    request.on("close", () => this.#fail(new Error("server closed the connection")));
    request.on("drain", () => this.#wake?.());
    request.on("continue", () => {
      this.#mayContinue = true;
      this.#wake?.();
    });
    request.on("socket", (socket: Socket) => {
      this.#isReused = used.has(socket);
      used.add(socket);
      if (!socket.connecting && this.#isReused) this.#isConnected = true;
      else socket.once(isTls ? "secureConnect" : "connect", () => this.#isConnected = true);
    });
    // All is with the system: then there was a connection, whatever the socket told.
    request.on("finish", () => this.#isConnected = true);
    if (signal.aborted) stop();
  }

  /** Whether more may be written: neither answer nor failure has come. */
  get isOpen(): boolean {
    return !this.#isSettled;
  }

  /** Hands on bytes of the body; resolves when the socket wants more, or when there is an answer or a failure. */
  async write(bytes: Uint8Array, timeoutMs: number): Promise<void> {
    if (this.#isSettled) return;
    this.#sentBytes += bytes.length;
    if (this.#request.write(bytes)) return;
    await this.#waitFor(timeoutMs, () => this.#fail(new Error(`server takes no bytes for ${timeoutMs / 1000} s`)));
  }

  /** Sends the headers of a request with `Expect: 100-continue`; whether the server wants the body, or does not say. */
  async mayContinue(timeoutMs: number): Promise<boolean> {
    this.#request.flushHeaders();
    // A server that knows nothing of it says nothing (RFC 9110 section 10.1.1): then the body goes out all the same.
    if (!this.#mayContinue && !this.#isSettled) await this.#waitFor(timeoutMs, () => this.#wake?.());
    return !this.#isSettled;
  }

  /**
   * Ends the body and waits for the beginning of the answer.
   * @throws {ConnectionLost}
   */
  async end(timeoutMs: number, tail?: Uint8Array): Promise<Reply> {
    if (!this.#isSettled) {
      this.#isEnded = true;
      this.#sentBytes += tail?.length ?? 0;
      this.#request.end(tail);
    }
    const timer = setTimeout(
      () => this.#fail(new Error(`server does not answer for ${Math.round(timeoutMs / 1000)} s`)),
      timeoutMs,
    );
    try {
      return await this.#reply;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the connection, unless the answer was read to its end. */
  close(): void {
    this.#fail(new DOMException("Exchange is over", "AbortError"));
    this.#request.destroy();
  }

  async #waitFor(timeoutMs: number, onTimeout: () => void): Promise<void> {
    const timer = setTimeout(onTimeout, timeoutMs);
    await new Promise<void>((resolve) => this.#wake = resolve);
    clearTimeout(timer);
  }

  #fail(error: unknown): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    const isSent = this.#isEnded && this.#isConnected;
    this.#settle.reject(
      new ConnectionLost(error, {
        isSent,
        sentBytes: this.#isConnected ? this.#sentBytes : 0,
        isReused: this.#isReused,
      }),
    );
    this.#wake?.();
    this.#request.destroy();
  }

  #take(response: IncomingMessage): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#settle.resolve(new Reply(response, !this.#isEnded, () => this.#request.destroy()));
    this.#wake?.();
  }
}
