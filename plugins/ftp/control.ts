/** The control connection: commands out, replies in. Nothing but checked single lines is ever written. */
import { DriverError } from "../../lib/driver/mod.ts";
import { ReplyError, TooManyConnections, verbOf } from "./errors.ts";
import { BadReply, type Reply, ReplyParser, replyText } from "./parse_reply.ts";
import { type ByteStream, ConnectionLost } from "./stream.ts";

/** Time for a reply, milliseconds. */
export const REPLY_TIMEOUT_MS = 60_000;

const encoder = new TextEncoder();

/** Replies come in the order of the commands; one caller at a time. */
export class Control {
  #stream: ByteStream;
  #parser = new ReplyParser();
  #replies: Reply[] = [];
  #bytes = new Uint8Array(8 * 1024);
  /** Replies read so far: a stale connection is one that breaks before the first. */
  repliesCount = 0;
  #owedCount = 0;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  /** Every command has its final reply, so that the next reply will belong to the next command. */
  get isInStep(): boolean {
    return this.#owedCount === 0 && this.#replies.length === 0;
  }

  get stream(): ByteStream {
    return this.#stream;
  }

  /** Goes on over TLS. Replies that arrived in clear before it are not taken for the secured server's. */
  secure(stream: ByteStream): void {
    this.#stream = stream;
    this.#parser = new ReplyParser();
    this.#replies = [];
  }

  /**
   * Sends one command and returns its reply, whatever it says.
   * @throws {ConnectionLost} also for 421, which announces the end of the connection
   */
  async command(line: string, timeoutMs: number = REPLY_TIMEOUT_MS): Promise<Reply> {
    await this.send(line);
    return await this.reply(timeoutMs, verbOf(line));
  }

  /** {@linkcode Control.command} that throws `ReplyError` unless the reply is 2xx, or one of `codes`. */
  async expect(line: string, ...codes: number[]): Promise<Reply> {
    const reply = await this.command(line);
    if (codes.length > 0 ? codes.includes(reply.code) : isDone(reply)) return reply;
    throw new ReplyError(line, reply);
  }

  /** Sends commands together, so that they cost one round trip; none of them may depend on another's success. */
  async exchange(lines: string[]): Promise<Reply[]> {
    await this.#write(lines);
    const replies: Reply[] = [];
    for (const line of lines) replies.push(await this.reply(REPLY_TIMEOUT_MS, verbOf(line)));
    return replies;
  }

  /** The greeting, which answers no command, has been read. */
  begin(): void {
    this.#owedCount = 0;
  }

  async send(line: string): Promise<void> {
    await this.#write([line]);
  }

  /** The next reply. `asked` is the command that it answers, for messages. */
  async reply(timeoutMs: number = REPLY_TIMEOUT_MS, asked = "the connection"): Promise<Reply> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#stream.close();
    }, timeoutMs);
    try {
      while (this.#replies.length === 0) {
        const count = await this.#stream.read(this.#bytes);
        if (count === null) throw new ConnectionLost(`Server closed the connection before it answered ${asked}`);
        for (const reply of this.#parser.push(this.#bytes.subarray(0, count))) this.#replies.push(reply);
      }
    } catch (error) {
      if (isLate) throw new ConnectionLost(`Server did not answer ${asked} in ${timeoutMs / 1000} s`);
      if (error instanceof BadReply) throw new ConnectionLost(error.message, { cause: error });
      throw error;
    } finally {
      clearTimeout(timer);
    }
    const reply = this.#replies.shift()!;
    if (reply.code === 421) throw new TooManyConnections(`Server ends the connection: "${replyText(reply)}"`);
    this.repliesCount++;
    if (reply.code >= 200) this.#owedCount--;
    return reply;
  }

  close(): void {
    this.#stream.close();
  }

  async #write(lines: string[]): Promise<void> {
    // deno-lint-ignore no-control-regex
    if (lines.some((line) => /[\u0000-\u001f\u007f\ufffd]/.test(line) || !line.isWellFormed())) {
      throw new DriverError("rejected", "Name holds a character that cannot be sent to an FTP server");
    }
    this.#owedCount += lines.length;
    await this.#stream.write(encoder.encode(lines.map((line) => `${line}\r\n`).join("")));
  }
}

/** 2xx. */
export function isDone(reply: Reply): boolean {
  return reply.code >= 200 && reply.code < 300;
}
