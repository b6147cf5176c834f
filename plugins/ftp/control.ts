/** The control connection: commands out, replies in. Nothing but checked single lines is ever written. */
import { DriverError } from "../../lib/driver/mod.ts";
import { ReplyError, ReplyTimeout, TooManyConnections, verbOf } from "./errors.ts";
import { BadReply, type Reply, ReplyParser, replyText } from "./parse_reply.ts";
import { type ByteStream, ConnectionLost } from "./stream.ts";

/** Time for a reply, milliseconds. */
export const REPLY_TIMEOUT_MS = 60_000;

const encoder = new TextEncoder();

/** A reply that somebody waits for. */
interface Expected {
  /** The command that it answers, for messages. */
  asked: string;
  /** It answers a question of a call that has given the connection back. */
  isLate: boolean;
  resolve: (reply: Reply) => void;
  reject: (error: unknown) => void;
  timer: ReturnType<typeof setTimeout>;
}

/** A question that goes out with the next command. */
interface Question {
  line: string;
  resolve: (reply: Reply) => void;
  reject: (error: unknown) => void;
}

/** Replies come in the order of the commands; one caller at a time, but for {@linkcode Control.ask}. */
export class Control {
  #stream: ByteStream;
  #parser = new ReplyParser();
  #replies: Reply[] = [];
  #expected: Expected[] = [];
  #questions: Question[] = [];
  #isReading = false;
  #bytes = new Uint8Array(8 * 1024);
  /** Replies read so far, but those of questions: a stale connection is one that breaks before the first. */
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
    await this.send(...lines);
    const replies: Reply[] = [];
    for (const line of lines) replies.push(await this.reply(REPLY_TIMEOUT_MS, verbOf(line)));
    return replies;
  }

  /**
   * A question whose answer the caller awaits after it gave the connection back: it goes out together with the next
   * caller's first command, or by itself where none comes at once.
   */
  ask(line: string): Promise<Reply> {
    checkLines([line]);
    return new Promise((resolve, reject) => {
      this.#questions.push({ line, resolve, reject });
      if (this.#questions.length === 1) setImmediate(() => this.#sendQuestions());
    });
  }

  /** The greeting, which answers no command, has been read. */
  begin(): void {
    this.#owedCount = 0;
  }

  /** Sends commands together; each of their replies is to be read. */
  async send(...lines: string[]): Promise<void> {
    checkLines(lines);
    this.#owedCount += lines.length;
    await this.#write([...this.#takeQuestions(), ...lines]);
  }

  /** The next reply. `asked` is the command that it answers, for messages. */
  reply(timeoutMs: number = REPLY_TIMEOUT_MS, asked = "the connection"): Promise<Reply> {
    return new Promise((resolve, reject) => this.#await({ asked, isLate: false, resolve, reject }, timeoutMs));
  }

  close(): void {
    this.#stream.close();
  }

  #sendQuestions(): void {
    const lines = this.#takeQuestions();
    if (lines.length > 0) this.#write(lines).catch(() => {}); // Whoever waits for the replies hears of it.
  }

  #takeQuestions(): string[] {
    const questions = this.#questions;
    this.#questions = [];
    for (const { line, resolve, reject } of questions) {
      this.#await({ asked: verbOf(line), isLate: true, resolve, reject }, REPLY_TIMEOUT_MS);
    }
    return questions.map(({ line }) => line);
  }

  #await(expected: Omit<Expected, "timer">, timeoutMs: number): void {
    const timer = setTimeout(() => {
      const { asked } = expected;
      expected.reject(new ReplyTimeout(`Server did not answer ${asked} in ${timeoutMs / 1000} s`));
      this.#stream.close();
    }, timeoutMs);
    this.#expected.push({ ...expected, timer });
    this.#handOut();
    if (this.#expected.length > 0 && !this.#isReading) this.#read();
  }

  /** Reads as long as somebody waits. */
  async #read(): Promise<void> {
    this.#isReading = true;
    try {
      while (this.#expected.length > 0) {
        const count = await this.#stream.read(this.#bytes);
        if (count === null) {
          const asked = this.#expected[0]?.asked;
          throw new ConnectionLost(`Server closed the connection before it answered ${asked}`);
        }
        for (const reply of this.#parser.push(this.#bytes.subarray(0, count))) this.#replies.push(reply);
        this.#handOut();
      }
    } catch (error) {
      const failure = error instanceof BadReply ? new ConnectionLost(error.message, { cause: error }) : error;
      for (const { timer, reject } of this.#expected.splice(0)) {
        clearTimeout(timer);
        reject(failure);
      }
    } finally {
      this.#isReading = false;
    }
  }

  #handOut(): void {
    while (this.#replies.length > 0 && this.#expected.length > 0) {
      const reply = this.#replies.shift()!;
      const { isLate, timer, resolve, reject } = this.#expected.shift()!;
      clearTimeout(timer);
      if (reply.code === 421) {
        reject(new TooManyConnections(`Server ends the connection: "${replyText(reply)}"`));
        continue;
      }
      if (!isLate) {
        this.repliesCount++;
        if (reply.code >= 200) this.#owedCount--;
      }
      resolve(reply);
    }
  }

  async #write(lines: string[]): Promise<void> {
    await this.#stream.write(encoder.encode(lines.map((line) => `${line}\r\n`).join("")));
  }
}

function checkLines(lines: string[]): void {
  // deno-lint-ignore no-control-regex
  if (lines.some((line) => /[\u0000-\u001f\u007f\ufffd]/.test(line) || !line.isWellFormed())) {
    throw new DriverError("rejected", "Name holds a character that cannot be sent to an FTP server");
  }
}

/** 2xx. */
export function isDone(reply: Reply): boolean {
  return reply.code >= 200 && reply.code < 300;
}
