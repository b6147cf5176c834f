/**
 * One connection to a server. Requests go out in their order and answers come in it; the next request may go out before the
 * answer to the last one is there. Nothing is ever sent twice by itself, so a lost answer is known to be lost: `node:http`
 * of Deno sends a request again when a kept connection breaks under it.
 */
import type { Channel, ChannelSink } from "./channel.ts";
import type { Exchange } from "./exchange.ts";
import { type Head, ReplyParser } from "./parse_reply.ts";

/** How long a connection is kept when the server does not say, milliseconds: Apache closes after 5 s. */
const KEEP_MS = 4000;
/** A server's own time may be over a moment earlier than ours, milliseconds. */
const KEEP_MARGIN_MS = 1000;

/** A connection with the exchanges that wait for their answers. */
export class Connection {
  /** It has carried an earlier request: it may be dead already. */
  isReused = false;
  isConnected = false;
  isClosed = false;
  /** Told when no exchange is left and the next one can come. */
  onIdle: () => void = () => {};
  onClose: () => void = () => {};
  /** Told how long the first round trip took, milliseconds. */
  onConnect: (roundTripMs: number) => void = () => {};
  readonly #channel: Channel;
  readonly #waiting: Exchange[] = [];
  readonly #parser: ReplyParser;
  #isKept = true;
  #keepMs = KEEP_MS;
  #idleSinceMs = 0;

  /** @param open begins to connect */
  constructor(open: (sink: ChannelSink) => Channel) {
    this.#parser = new ReplyParser({
      onHead: (head) => this.#onHead(head),
      onBody: (bytes) => this.#waiting[0]?.onBody(bytes),
      onEnd: () => this.#onEnd(),
    });
    this.#channel = open({
      onRoundTrip: (ms) => this.onConnect(ms),
      onConnect: () => this.isConnected = true,
      onData: (bytes) => this.#onData(bytes),
      onDrain: () => this.#waiting.at(-1)?.onDrain(),
      onOver: (error) => this.#onOver(error),
    });
  }

  /** How long it has been unused, milliseconds; `undefined` when it is over. */
  get idleMs(): number | undefined {
    const idleMs = performance.now() - this.#idleSinceMs;
    return this.isClosed || idleMs > this.#keepMs ? undefined : idleMs;
  }

  /** The answer to `exchange` comes after those that wait already. */
  add(exchange: Exchange): void {
    this.#waiting.push(exchange);
  }

  /** Whether another request may follow the last one at once. */
  get takesMore(): boolean {
    return !this.isClosed && this.#isKept && (this.#waiting.at(-1)?.isEnded ?? true);
  }

  /** Hands bytes on; `false` when it is better to wait for {@linkcode Exchange.onDrain}. */
  write(bytes: Uint8Array): boolean {
    return this.#channel.write(bytes);
  }

  pause(): void {
    this.#channel.pause();
  }

  resume(): void {
    this.#channel.resume();
  }

  /** Ends it at once, and with it all that waits. */
  destroy(error: unknown): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#channel.destroy();
    for (const exchange of this.#waiting.splice(0)) exchange.onLost(error);
    this.onClose();
  }

  #onData(bytes: Uint8Array): void {
    // A server that speaks unasked has nothing to say to us: 408 before it hangs up.
    if (this.#waiting.length === 0) return this.destroy(new Error("server speaks unasked"));
    try {
      this.#parser.push(bytes);
    } catch (error) {
      this.destroy(error);
    }
  }

  #onHead(head: Head): void {
    if (head.status < 200) return this.#waiting[0]?.onContinue();
    this.#isKept &&= head.isKept;
    const seconds = /timeout=(\d+)/i.exec(head.headers.get("keep-alive") ?? "")?.[1];
    if (seconds !== undefined) this.#keepMs = Number(seconds) * 1000 - KEEP_MARGIN_MS;
    this.#waiting[0]?.onHead(head);
  }

  #onEnd(): void {
    const exchange = this.#waiting.shift();
    // A server that answered before it had everything is still waiting for the rest, or reads it as a request.
    if (exchange?.isEnded === false) this.#isKept = false;
    exchange?.onReplyEnd();
    if (!this.#isKept) return this.destroy(new Error("server closed the connection"));
    if (this.#waiting.length > 0) return;
    this.isReused = true;
    this.#idleSinceMs = performance.now();
    // What an answer's reader has paused must not pause the next one.
    this.#channel.resume();
    this.onIdle();
  }

  #onOver(error?: unknown): void {
    if (this.isClosed) return;
    if (error === undefined) this.#parser.end();
    this.destroy(error ?? new Error("server closed the connection"));
  }
}
