/** Replies of the control connection (RFC 959 section 4.2), from bytes. */

/** One reply, all of its lines. */
export interface Reply {
  code: number;
  /** The lines without line ends; the first and the last begin with the code. */
  lines: string[];
}

/** What was read is no FTP. */
export class BadReply extends Error {
  override readonly name = "BadReply";
}

/** Longest line and most lines of a reply: a server that floods is cut off. */
const LINE_BYTES_MAX = 16 * 1024;
const LINES_MAX = 2000;
const LF = 10;
const CR = 13;

/** Cuts bytes into lines at LF or CR LF; bytes that are no UTF-8 become U+FFFD. */
export class LineReader {
  readonly #decoder = new TextDecoder();
  #rest = new Uint8Array(0);

  /** The lines that `chunk` completes. */
  *push(chunk: Uint8Array): Generator<string> {
    let start = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
      yield this.#line(chunk.subarray(start, end));
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
  }

  /** What is left without a line end, or `undefined`. */
  end(): string | undefined {
    return this.#rest.length === 0 ? undefined : this.#line(new Uint8Array(0));
  }

  #keep(part: Uint8Array): void {
    if (part.length === 0) return;
    if (this.#rest.length + part.length > LINE_BYTES_MAX) throw new BadReply("Server sends a line without an end");
    const joined = new Uint8Array(this.#rest.length + part.length);
    joined.set(this.#rest);
    joined.set(part, this.#rest.length);
    this.#rest = joined;
  }

  #line(tail: Uint8Array): string {
    if (this.#rest.length > 0) {
      this.#keep(tail);
      tail = this.#rest;
      this.#rest = new Uint8Array(0);
    }
    return this.#decoder.decode(tail.at(-1) === CR ? tail.subarray(0, -1) : tail);
  }
}

/** Puts lines together to replies. */
export class ReplyParser {
  readonly #reader = new LineReader();
  #open: Reply | undefined;

  /**
   * The replies that `chunk` completes.
   * @throws {BadReply}
   */
  *push(chunk: Uint8Array): Generator<Reply> {
    for (const line of this.#reader.push(chunk)) {
      const reply = this.#take(line);
      if (reply !== undefined) yield reply;
    }
  }

  #take(line: string): Reply | undefined {
    const open = this.#open;
    if (open === undefined) {
      const match = /^([1-6]\d\d)(?:([ -])|$)/.exec(line);
      if (match === null) {
        // Some servers end a reply with an empty line.
        if (line.trim() === "") return undefined;
        throw new BadReply(`Server does not speak FTP: it says "${line.slice(0, 60)}"`);
      }
      const reply = { code: Number(match[1]), lines: [line] };
      if (match[2] !== "-") return reply;
      this.#open = reply;
      return undefined;
    }
    open.lines.push(line);
    if (open.lines.length > LINES_MAX) throw new BadReply("Server sends a reply without an end");
    if (!new RegExp(`^${open.code}(?: |$)`).test(line)) return undefined;
    this.#open = undefined;
    return open;
  }
}

/** The reply in one line, for messages. */
export function replyText(reply: Reply): string {
  return (reply.lines.at(-1) ?? "").trim().slice(0, 200);
}
