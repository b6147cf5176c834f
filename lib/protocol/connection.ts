/**
 * Requests and notifications over one pair of byte streams, from the host's side. It knows ids and pending calls and
 * nothing of what they mean. Messages are handled one after another, and a handler that returns a promise is waited
 * for before the next line is read: the pipe is the back-pressure of a listing.
 */
import { DriverError } from "../driver/mod.ts";
import { LineSplitter, LineWriter } from "./framing.ts";
import { fromRpcError, idOfBadAnswer, isObject, METHOD_NOT_FOUND, parseMessage, type RpcMessage } from "./messages.ts";

/**
 * Why a line was dropped. `noise` holds no brace, so it cannot have been a message (a library that prints to stdout);
 * any other may have carried something: `oversize`, `invalid`, `truncated` (the stream ended in its middle),
 * `stray` (entries for a call that never was).
 */
export type DropReason = "noise" | "oversize" | "invalid" | "truncated" | "stray";

type Params = Record<string, unknown>;

/** Called for a notification; a promise holds back the reader. */
export type NotificationHandler = (method: string, params: Params) => void | Promise<void>;

export interface ConnectionOptions {
  /** Writes bytes to the other side; resolves when they are taken. */
  write: (bytes: Uint8Array) => Promise<void>;
  /** Notifications that name no pending call. */
  onNotification?: NotificationHandler;
  /** Hears every message, whoever wrote it, before it is acted on. Requests carry secrets: it must keep them. */
  onMessage?: (message: RpcMessage, by: "host" | "plugin") => void;
  /** A line was dropped; `excerpt` is its start. */
  onDropped?: (reason: DropReason, excerpt: string) => void;
  /** The other side no longer takes bytes. */
  onWriteError?: (error: unknown) => void;
  /**
   * The stream ended. Whoever takes this must call {@linkcode Connection.end} soon, with a better reason.
   * @default {() => connection.end()}
   */
  onEnd?: () => void;
}

export interface RequestOptions {
  /** Aborting it sends `$/cancel`; the request stays pending until the answer or the end. */
  signal?: AbortSignal;
  /** Notifications whose `id` is this request's. What it throws cancels the request, which then fails with it. */
  onNotification?: NotificationHandler;
  /** `$/cancel` was sent. */
  onCancel?: () => void;
  /** Called with the request's id once it is queued, for notifications that name it. */
  onSent?: (id: number) => void;
}

interface PendingCall {
  method: string;
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
  /** Sends `$/cancel`, once; with a failure, that is what the call ends with. */
  cancel: (failure?: unknown) => void;
  onNotification: NotificationHandler | undefined;
}

const EXCERPT_CHARS = 120;

/** The answer to a request came, and is no JSON-RPC 2.0. */
export class BadAnswer extends Error {
  override readonly name = "BadAnswer";

  constructor() {
    super("answered with a line that is no JSON-RPC 2.0");
  }
}

/** One conversation. Feed it with {@linkcode Connection.run}; it is over when that resolves or after {@linkcode Connection.end}. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #writer: LineWriter;
  readonly #pending = new Map<number | string, PendingCall>();
  #nextId = 1;
  #endedWith: ((method: string) => unknown) | undefined;
  #droppedLines = 0;
  #noiseLines = 0;
  #handling = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#writer = new LineWriter(options.write);
  }

  /** Lines that may have carried something and could not be read: a listing that spans one is not complete. */
  get droppedLines(): number {
    return this.#droppedLines;
  }

  /** Lines that cannot have been messages. */
  get noiseLines(): number {
    return this.#noiseLines;
  }

  /** Whether the reader waits for a handler of ours, so that silence is not the other side's fault. */
  get isHandling(): boolean {
    return this.#handling;
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Methods of the pending calls. */
  get pendingMethods(): string[] {
    return [...this.#pending.values()].map(({ method }) => method);
  }

  /**
   * Sends a request and returns the `result` of its answer. An answer that overtakes the cancellation counts.
   * @throws {DriverError} the answer's error; `cancelled` for any error but `uncertain` after `signal` was aborted
   * @throws {BadAnswer} when the answer is no valid message
   * @throws what {@linkcode Connection.end} was given, `broken` when the stream ended without it
   */
  request(method: string, params: unknown, options: RequestOptions = {}): Promise<unknown> {
    const { signal, onNotification, onCancel, onSent } = options;
    if (this.#endedWith !== undefined) return Promise.reject(this.#endedWith(method));
    if (signal?.aborted) return Promise.reject(new DriverError("cancelled", `Call "${method}" is cancelled`));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      let isCancelled = false;
      let failed: { error: unknown } | undefined;
      const settle = () => {
        this.#pending.delete(id);
        signal?.removeEventListener("abort", onAbort);
      };
      const call: PendingCall = {
        method,
        onNotification,
        resolve: (result) => {
          settle();
          if (failed === undefined) resolve(result);
          else reject(failed.error);
        },
        reject: (error) => {
          settle();
          reject(failed === undefined ? ofCancellation(error, method, isCancelled) : failed.error);
        },
        cancel: (failure) => {
          if (failure !== undefined) {
            failed ??= { error: failure };
            call.onNotification = undefined;
          }
          if (isCancelled) return;
          isCancelled = true;
          this.notify("$/cancel", { id });
          onCancel?.();
        },
      };
      const onAbort = () => call.cancel();
      this.#pending.set(id, call);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#send({ jsonrpc: "2.0", id, method, params });
      onSent?.(id);
    });
  }

  /** Sends a notification. It is lost without a word when the other side is gone. */
  notify(method: string, params: unknown): void {
    if (this.#endedWith === undefined) this.#send({ jsonrpc: "2.0", method, params });
  }

  /** Cancels every pending request, as their signals would. */
  cancelAll(): void {
    for (const call of [...this.#pending.values()]) call.cancel();
  }

  /** Reads until `input` ends, then fails what is pending (see {@linkcode ConnectionOptions.onEnd}). */
  async run(input: AsyncIterable<Uint8Array>): Promise<void> {
    const splitter = new LineSplitter(() => this.#drop("oversize", ""));
    try {
      for await (const chunk of input) {
        for (const line of splitter.push(chunk)) {
          const handled = this.#handleLine(line);
          if (handled !== undefined) await handled;
        }
      }
      const rest = splitter.end();
      if (rest !== undefined && rest.trim() !== "") this.#drop("truncated", rest);
    } finally {
      if (this.#options.onEnd === undefined) this.end();
      else this.#options.onEnd();
    }
  }

  /** Fails every pending call and every later one with what `reason` makes of its method. The first reason stays. */
  end(reason: (method: string) => unknown = endOfStream): void {
    this.#endedWith ??= reason;
    for (const call of [...this.#pending.values()]) call.reject(this.#endedWith(call.method));
  }

  #send(message: RpcMessage): Promise<void> {
    this.#options.onMessage?.(message, "host");
    return this.#writer.send(message).catch((error) => this.#options.onWriteError?.(error));
  }

  #drop(reason: DropReason, line: string): void {
    const actual = reason === "invalid" && !line.includes("{") ? "noise" : reason;
    if (actual === "noise") this.#noiseLines++;
    else this.#droppedLines++;
    this.#options.onDropped?.(actual, line.slice(0, EXCERPT_CHARS));
  }

  #handleLine(line: string): Promise<void> | undefined {
    if (line.trim() === "") return undefined;
    const message = parseMessage(line);
    if (message === undefined) {
      const id = idOfBadAnswer(line);
      const call = id === undefined ? undefined : this.#pending.get(id as number | string);
      this.#drop("invalid", line);
      // Its answer has come and cannot be read: to wait for another one would only hide that.
      call?.reject(new BadAnswer());
      return undefined;
    }
    this.#options.onMessage?.(message, "plugin");
    if (message.method !== undefined) {
      if (message.id === undefined) return this.#handleNotification(message.method, message.params, line);
      // Waiting for the write keeps a plugin that asks and never reads from filling our memory.
      return this.#send({
        jsonrpc: "2.0",
        id: message.id,
        error: {
          code: METHOD_NOT_FOUND,
          message: `Method "${message.method.slice(0, EXCERPT_CHARS)}" is unknown here`,
        },
      });
    }
    const call = this.#pending.get(message.id as number | string);
    if (call === undefined) return undefined;
    if (message.error !== undefined) call.reject(fromRpcError(message.error));
    else call.resolve(message.result);
    return undefined;
  }

  #handleNotification(method: string, given: unknown, line: string): Promise<void> | undefined {
    const params = isObject(given) ? given : {};
    const id = params["id"];
    const call = this.#pending.get(id as number | string);
    if (call === undefined) {
      // Late news of a call that is over is no fault; entries for one that never was may be a listing's.
      const isLate = typeof id === "number" && id > 0 && id < this.#nextId;
      if (method === "$/entries" && !isLate) this.#drop("stray", line);
      if (id !== undefined) return undefined;
    }
    const handler = call === undefined ? this.#options.onNotification : call.onNotification;
    try {
      const handled = handler?.(method, params);
      return handled === undefined ? undefined : this.#waitFor(handled, call);
    } catch (error) {
      fail(call, error);
      return undefined;
    }
  }

  async #waitFor(handled: Promise<void>, call: PendingCall | undefined): Promise<void> {
    this.#handling = true;
    try {
      await handled;
    } catch (error) {
      fail(call, error);
    } finally {
      this.#handling = false;
    }
  }
}

function fail(call: PendingCall | undefined, error: unknown): void {
  if (call === undefined) throw error;
  call.cancel(error ?? new Error("Handler failed"));
}

function endOfStream(method: string): DriverError {
  return new DriverError("broken", `Plugin closed the connection during "${method}"`);
}

/** The engine does nothing about `cancelled`, so it must be true: only we cancel. */
function ofCancellation(error: unknown, method: string, aborted: boolean): unknown {
  if (!(error instanceof DriverError)) return error;
  if (aborted && error.code !== "uncertain" && error.code !== "cancelled") {
    const { resume } = error.details;
    return new DriverError("cancelled", `Call "${method}" is cancelled`, {
      ...(resume === undefined ? {} : { resume }),
      cause: error,
    });
  }
  if (!aborted && error.code === "cancelled") {
    return new DriverError("failed", `Plugin cancelled "${method}" by itself: ${error.message}`, { cause: error });
  }
  return error;
}
