/**
 * One POST: the body goes from the spool file with its length told beforehand, the last bytes only when the hash of all
 * is right, so that a server never has a whole form with wrong bytes. `node:http`, since `fetch` sends a streamed body in
 * chunks without a length, which many servers answer with 411.
 */
import { createHash } from "node:crypto";
import { type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import { type Call, DriverError, type UploadParams } from "../../lib/driver/mod.ts";
import { LivingCall } from "../../lib/protocol/serve.ts";
import type { Answer } from "./answer.ts";
import type { PostConfig } from "./config.ts";
import { envelopeFor } from "./form.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };

/** Who we are, for a server's log. */
export const USER_AGENT = `FileSync/${manifest.version}`;

/** Read from the spool and written to the socket at once: at 1 KiB/s one takes a minute. */
const CHUNK_BYTES = 64 * 1024;
/** How long a connection may take no byte of ours, milliseconds. */
const SEND_TIMEOUT_MS = 120_000;
/** How long a server may think about a file: a Flight Review reads the whole log before it answers, milliseconds. */
const ANSWER_TIMEOUT_MS = 300_000;
/** Slowest reading of a server that thinks about a large file, bytes a millisecond: 180 s for a gigabyte. */
const ANSWER_BYTES_PER_MS = 5_500;
/** What is read of an answer. */
const ANSWER_BYTES_MAX = 256 * 1024;

/** The connection ended, or never came to be. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
  /** The whole form was written: it may have arrived. */
  readonly isSent: boolean;
  /** Bytes of the body that were written. */
  readonly sentBytes: number;

  constructor(cause: Error, isSent: boolean, sentBytes: number) {
    super(wordsOf(cause), { cause });
    this.isSent = isSent;
    this.sentBytes = sentBytes;
  }

  /** The server's certificate is not trusted. */
  get isDistrusted(): boolean {
    return /certificate|UnknownIssuer|NotValidForName|CERT_/i.test(this.message);
  }
}

/** How one exchange is to be made. */
export interface SendOptions {
  /** Fields beside the file. */
  values: ReadonlyMap<string, string>;
  /** Where to, when not to the configured address. */
  url?: (bodyBytes: number) => URL;
}

/**
 * Sends the form and returns what the server said, whatever it said.
 * @throws {ConnectionLost} when it said nothing
 * @throws {DriverError} `corrupt` when the spool file is not what was promised; then nothing arrived
 */
export async function sendForm(
  config: PostConfig,
  params: UploadParams,
  call: Call,
  options: SendOptions,
): Promise<Answer> {
  const { head, tail, contentType } = envelopeFor({ values: options.values, field: config.field, path: params.path });
  const bodyBytes = head.length + params.sizeBytes + tail.length;
  const url = options.url?.(bodyBytes) ?? config.url;
  using spool = Deno.openSync(params.spoolFile);
  const exchange = new Exchange(config, url, { "Content-Type": contentType, "Content-Length": bodyBytes });
  const stop = () => exchange.fail(new DOMException("Call is cancelled", "AbortError"));
  call.signal.addEventListener("abort", stop, { once: true });
  let doneBytes = 0;
  using living = new LivingCall(call, 0);
  living.progress(0);
  try {
    const hash = createHash("sha256");
    await exchange.write(head, SEND_TIMEOUT_MS);
    while (doneBytes < params.sizeBytes && exchange.isOpen) {
      // The socket keeps what it was given until it is sent: each chunk has memory of its own.
      const chunk = new Uint8Array(Math.min(CHUNK_BYTES, params.sizeBytes - doneBytes));
      const count = spool.readSync(chunk);
      if (count === null) throw wrongBytes(params);
      const bytes = chunk.subarray(0, count);
      hash.update(bytes);
      const isLast = doneBytes + count === params.sizeBytes;
      if (isLast && hash.digest("hex") !== params.sha256) throw wrongBytes(params);
      await call.throttle(count);
      await exchange.write(bytes, SEND_TIMEOUT_MS);
      doneBytes += count;
      living.progress(doneBytes);
    }
    if (params.sizeBytes === 0 && hash.digest("hex") !== params.sha256) throw wrongBytes(params);
    return await exchange.end(tail, ANSWER_TIMEOUT_MS + params.sizeBytes / ANSWER_BYTES_PER_MS);
  } finally {
    call.signal.removeEventListener("abort", stop);
    exchange.close();
  }
}

function wrongBytes({ path }: UploadParams): DriverError {
  return new DriverError("corrupt", `Spool file of "${path}" does not hold the bytes that were promised`);
}

/** One request and its answer, which may come before all is sent. */
class Exchange {
  readonly #request: ClientRequest;
  readonly #answer: Promise<Answer>;
  #settle!: { resolve: (answer: Answer) => void; reject: (error: Error) => void };
  #isSettled = false;
  #isConnected = false;
  #isEnded = false;
  #sentBytes = 0;
  #wake: (() => void) | undefined;

  constructor(config: PostConfig, url: URL, headers: Record<string, string | number>) {
    this.#answer = new Promise((resolve, reject) => this.#settle = { resolve, reject });
    this.#answer.catch(() => {});
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    this.#request = send(url, {
      method: "POST",
      // A kept connection may have died unseen; then nobody could tell whether the form arrived.
      agent: false,
      headers: { "User-Agent": USER_AGENT, Accept: "application/json, */*;q=0.5", ...config.headers, ...headers },
      ...(config.ca === undefined ? {} : { ca: config.ca }),
    });
    this.#request.on("response", (response) => this.#take(response));
    this.#request.on("error", (error) => this.fail(error));
    this.#request.on("close", () => this.fail(new Error("server closed the connection")));
    this.#request.on("drain", () => this.#wake?.());
    this.#request.on("socket", (socket: Socket) => {
      socket.once(url.protocol === "https:" ? "secureConnect" : "connect", () => this.#isConnected = true);
    });
    // All is with the system: then there was a connection, whatever the socket told.
    this.#request.on("finish", () => this.#isConnected = true);
  }

  /** Whether the whole form may have arrived. */
  get #isSent(): boolean {
    return this.#isEnded && this.#isConnected;
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
    const timer = setTimeout(() => this.fail(new Error(`server takes no bytes for ${timeoutMs / 1000} s`)), timeoutMs);
    await new Promise<void>((resolve) => this.#wake = resolve);
    clearTimeout(timer);
  }

  /** Ends the body and waits for the answer. */
  async end(tail: Uint8Array, timeoutMs: number): Promise<Answer> {
    if (!this.#isSettled) {
      this.#isEnded = true;
      this.#sentBytes += tail.length;
      this.#request.end(tail);
    }
    const timer = setTimeout(() => this.fail(new Error(`server does not answer for ${timeoutMs / 1000} s`)), timeoutMs);
    try {
      return await this.#answer;
    } finally {
      clearTimeout(timer);
    }
  }

  fail(error: Error): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    const isCancelled = error instanceof DOMException && error.name === "AbortError";
    this.#settle.reject(
      isCancelled && !this.#isSent
        ? error
        : new ConnectionLost(error, this.#isSent, this.#isConnected ? this.#sentBytes : 0),
    );
    this.#wake?.();
    this.#request.destroy();
  }

  close(): void {
    this.fail(new DOMException("Exchange is over", "AbortError"));
    this.#request.destroy();
  }

  #take(response: IncomingMessage): void {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    const finish = () => {
      if (this.#isSettled) return;
      this.#isSettled = true;
      const { location, "retry-after": retryAfter } = response.headers;
      this.#settle.resolve({
        status: response.statusCode ?? 0,
        text: new TextDecoder().decode(join(chunks, bytes)),
        isEarly: !this.#isSent,
        ...(location === undefined ? {} : { location }),
        ...(retryAfter === undefined ? {} : { retryAfter }),
      });
      this.#wake?.();
    };
    response.on("data", (chunk: Uint8Array) => {
      chunks.push(chunk);
      bytes += chunk.length;
      // The rest of an endless answer is nobody's business.
      if (bytes >= ANSWER_BYTES_MAX) finish();
    });
    response.on("end", finish);
    // The status has come: what is lost of the words after it matters little.
    response.on("error", finish);
    response.on("close", finish);
  }
}

function join(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** What went wrong, in one line without the runtime's decoration. */
function wordsOf(error: Error): string {
  const code = (error as { code?: unknown }).code;
  switch (code) {
    case "ECONNREFUSED":
      return "connection is refused";
    case "ECONNRESET":
    case "EPIPE":
      return "server closed the connection";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "name of the server is not known";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "no way to the server";
    case "ETIMEDOUT":
      return "server does not answer";
    default:
      return error.message.replaceAll(/\s+/g, " ");
  }
}
