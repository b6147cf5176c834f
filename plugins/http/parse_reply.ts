/**
 * The bytes of a connection as HTTP/1.1 answers (RFC 9112): heads, and bodies by length, in chunks or up to the connection's
 * end. Knows no sockets. What is no HTTP, or has no end where one must be, throws.
 */

/** A head may be so long, bytes: cookies and long locations fit. */
const HEAD_BYTES_MAX = 64 * 1024;
/** Longest line that announces a chunk, extensions included, bytes. */
const CHUNK_LINE_BYTES_MAX = 4096;

/** Status and headers of an answer, names in lower case. */
export interface Head {
  status: number;
  headers: ReadonlyMap<string, string>;
  /** The connection can carry another answer after this one. */
  isKept: boolean;
}

/** Told of each part in its order. */
export interface ReplySink {
  /** Also of an interim answer (1xx), which has no body and no end. */
  onHead(head: Head): void;
  onBody(bytes: Uint8Array): void;
  onEnd(): void;
}

type State =
  | { at: "head" }
  | { at: "body"; leftBytes: number }
  | { at: "chunk size" | "chunk end" | "trailer" }
  | { at: "chunk"; leftBytes: number };

/** Reads one answer after the other. */
export class ReplyParser {
  readonly #sink: ReplySink;
  #state: State = { at: "head" };
  #held: Uint8Array = new Uint8Array();

  constructor(sink: ReplySink) {
    this.#sink = sink;
  }

  /**
   * Takes the next bytes.
   * @throws {SyntaxError} when they are no HTTP
   */
  push(bytes: Uint8Array): void {
    let rest = bytes;
    if (this.#held.length > 0) {
      rest = new Uint8Array(this.#held.length + bytes.length);
      rest.set(this.#held);
      rest.set(bytes, this.#held.length);
      this.#held = new Uint8Array();
    }
    while (rest.length > 0) {
      const usedBytes = this.#step(rest);
      if (usedBytes === 0) break;
      rest = rest.subarray(usedBytes);
    }
    // Less than a line or a head: never a body, which is handed on as it comes.
    if (rest.length > 0) this.#held = rest.slice();
  }

  /** The connection has ended; whether that was the end of an answer, or between two. */
  end(): boolean {
    if (this.#state.at === "body" && this.#state.leftBytes === Infinity) {
      this.#finish();
      return true;
    }
    return this.#state.at === "head" && this.#held.length === 0;
  }

  /** How many of `bytes` were understood; 0 when more are needed. */
  #step(bytes: Uint8Array): number {
    const state = this.#state;
    switch (state.at) {
      case "head":
        return this.#head(bytes);
      case "body":
      case "chunk": {
        const part = bytes.subarray(0, state.leftBytes);
        state.leftBytes -= part.length;
        this.#sink.onBody(part);
        if (state.leftBytes === 0) {
          if (state.at === "body") this.#finish();
          else this.#state = { at: "chunk end" };
        }
        return part.length;
      }
      case "chunk end":
        return this.#line(bytes, (line) => {
          if (line !== "") throw new SyntaxError("server sends a chunk that is longer than it said");
          this.#state = { at: "chunk size" };
        });
      case "chunk size":
        return this.#line(bytes, (line) => {
          const size = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i.exec(line)?.[1];
          if (size === undefined) throw new SyntaxError("server sends a chunk without a size");
          const leftBytes = parseInt(size, 16);
          this.#state = leftBytes === 0 ? { at: "trailer" } : { at: "chunk", leftBytes };
        });
      case "trailer":
        return this.#line(bytes, (line) => {
          if (line === "") this.#finish();
        });
    }
  }

  #line(bytes: Uint8Array, take: (line: string) => void): number {
    const end = bytes.indexOf(0x0a);
    if (end < 0) {
      if (bytes.length > CHUNK_LINE_BYTES_MAX) throw new SyntaxError("server sends a line without an end");
      return 0;
    }
    take(latin1(bytes.subarray(0, end)).replace(/\r$/, ""));
    return end + 1;
  }

  #head(bytes: Uint8Array): number {
    // Empty lines before an answer are passed over, as clients do.
    if (bytes[0] === 0x0d || bytes[0] === 0x0a) return 1;
    const end = endOfHead(bytes);
    if (end === undefined) {
      if (bytes.length > HEAD_BYTES_MAX) throw new SyntaxError("server sends a head without an end");
      return 0;
    }
    const [first = "", ...lines] = latin1(bytes.subarray(0, end)).split(/\r?\n/);
    const [, minor, code] = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(first) ?? [];
    if (code === undefined) throw new SyntaxError("server does not speak HTTP/1.1");
    const headers = headersOf(lines);
    const status = Number(code);
    const words = (headers.get("connection") ?? "").toLowerCase();
    const head = { status, headers, isKept: minor === "1" ? !words.includes("close") : words.includes("keep-alive") };
    if (status < 200) {
      this.#sink.onHead(head);
      return end;
    }
    const isChunked = /(^|,)\s*chunked\s*$/i.test(headers.get("transfer-encoding") ?? "");
    const leftBytes = status === 204 || status === 304 ? 0 : lengthOf(headers) ?? Infinity;
    this.#sink.onHead({ ...head, isKept: head.isKept && (isChunked || leftBytes < Infinity) });
    if (isChunked && status !== 204 && status !== 304) this.#state = { at: "chunk size" };
    else if (leftBytes === 0) this.#finish();
    else this.#state = { at: "body", leftBytes };
    return end;
  }

  #finish(): void {
    this.#state = { at: "head" };
    this.#sink.onEnd();
  }
}

/** Where a head ends, its empty line included. */
function endOfHead(bytes: Uint8Array): number | undefined {
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) {
    if (bytes[at + 1] === 0x0a) return at + 2;
    if (bytes[at + 1] === 0x0d && bytes[at + 2] === 0x0a) return at + 3;
  }
  return undefined;
}

function headersOf(lines: string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === "content-length" && headers.has(name) && headers.get(name) !== value) {
      throw new SyntaxError("server tells two lengths of one answer");
    }
    // The first one counts, except where a list may be cut over several lines.
    if (!headers.has(name)) headers.set(name, value);
    else if (name === "connection" || name === "transfer-encoding") headers.set(name, `${headers.get(name)}, ${value}`);
  }
  return headers;
}

function lengthOf(headers: ReadonlyMap<string, string>): number | undefined {
  const text = headers.get("content-length");
  if (text === undefined || headers.has("transfer-encoding")) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new SyntaxError("server tells a length that is no number");
  return Number(text);
}

const decoder = new TextDecoder("latin1");

function latin1(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
