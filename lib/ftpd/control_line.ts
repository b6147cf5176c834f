/** Bytes of a control connection to command lines, in bounded memory. */

/** Longest command line, bytes: a path of 4,096 bytes, its command, and room. */
export const LINE_BYTES_MAX = 8192;

const NEWLINE = 10;
const RETURN = 13;
/** Telnet commands (RFC 854) start here; UTF-8 never holds these bytes. Clients send some of them before ABOR. */
const TELNET_FIRST = 0xf0;

/** A line, or `undefined` for one that was too long. */
export type ControlLine = string | undefined;

/** Cuts chunks into lines. Bytes that are no UTF-8 become U+FFFD, which no path may hold. */
export class ControlLines {
  #kept = new Uint8Array(0);
  #skipping = false;
  #newlineOwed = false;
  readonly #decoder = new TextDecoder();

  *push(chunk: Uint8Array): Generator<ControlLine> {
    let start = 0;
    if (this.#newlineOwed && chunk.length > 0) {
      this.#newlineOwed = false;
      if (chunk[0] === NEWLINE) start = 1;
    }
    for (let end = chunk.indexOf(NEWLINE, start); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#keep(chunk.subarray(start, end));
      start = end + 1;
      yield this.#take();
    }
    this.#keep(chunk.subarray(start));
    // Python's ftplib sends "ABOR" as urgent data, and the system keeps the urgent byte, which is the last one: the
    // newline never comes.
    if (this.#endsInAbort()) {
      yield this.#take();
      this.#newlineOwed = true;
    }
  }

  /** Whether a line has begun that has not ended. */
  get isAmidLine(): boolean {
    return this.#skipping || this.#kept.length > 0;
  }

  #endsInAbort(): boolean {
    const length = this.#kept.length;
    return length >= 5 && length <= 16 && this.#kept[length - 1] === RETURN &&
      /^\ufffd*ABOR\r$/i.test(this.#decoder.decode(this.#kept));
  }

  #keep(part: Uint8Array): void {
    if (this.#skipping || part.length === 0) return;
    if (this.#kept.length + part.length > LINE_BYTES_MAX) {
      this.#skipping = true;
      this.#kept = new Uint8Array(0);
      return;
    }
    const joined = new Uint8Array(this.#kept.length + part.length);
    joined.set(this.#kept);
    joined.set(part, this.#kept.length);
    this.#kept = joined;
  }

  #take(): ControlLine {
    if (this.#skipping) {
      this.#skipping = false;
      return undefined;
    }
    let line = this.#kept;
    this.#kept = new Uint8Array(0);
    if (line.at(-1) === RETURN) line = line.subarray(0, -1);
    let first = 0;
    while ((line[first] ?? 0) >= TELNET_FIRST) first++;
    return this.#decoder.decode(line.subarray(first));
  }
}

/** A command line as a verb in capitals and the rest as it was sent. */
export function parseCommand(line: string): { verb: string; argument: string } {
  const space = line.indexOf(" ");
  if (space < 0) return { verb: line.toUpperCase(), argument: "" };
  return { verb: line.slice(0, space).toUpperCase(), argument: line.slice(space + 1) };
}
