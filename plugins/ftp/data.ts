/** Data connections: one command, one stream of bytes, one final reply. */
import { isDone, REPLY_TIMEOUT_MS } from "./control.ts";
import { ReplyError, ReplyTimeout, verbOf } from "./errors.ts";
import { LineReader, type Reply, replyText } from "./parse_reply.ts";
import { ReadAhead } from "./read_ahead.ts";
import type { Session } from "./session.ts";
import { type ByteStream, closeConn, ConnectionLost, messageOf, TlsRefused } from "./stream.ts";
import { TcpSocket, UNSENT_BYTES } from "./tcp_socket.ts";

/** How long a data connection may stand still, milliseconds. */
const IDLE_TIMEOUT_MS = 60_000;
const IDLE_CHECK_MS = 5_000;
/** Bytes of a listing read at once. */
const LINES_BYTES = 32 * 1024;

/** What the bytes go through, and the connection below it. */
interface Carrier {
  stream: ByteStream;
  conn: Deno.TcpConn;
  /** Most that will be sent, where that is known. */
  sizeBytes: number;
}

/** How to open a transfer. */
export interface TransferOptions {
  restBytes?: number;
  sizeBytes?: number;
}

/** An open transfer. Call {@linkcode Transfer.finish} or {@linkcode Transfer.abandon}, and nothing on the session before. */
export class Transfer {
  readonly #session: Session;
  readonly #verb: string;
  readonly #stream: ByteStream | undefined;
  /** What the kernel knows of an upload's data connection, and what its peer had acknowledged before the first byte. */
  readonly #socket: TcpSocket | undefined;
  readonly #ackedBefore: number = 0;
  /** Of a download. */
  readonly readAhead: ReadAhead | undefined;
  #writtenBytes = 0;
  #takenBytes = 0;
  /** A server that has nothing to send may answer 226 without 150. */
  readonly #early: Reply | undefined;
  readonly #watch: ReturnType<typeof setInterval>;
  #pendingSinceMs: number | undefined;
  #isLate = false;

  private constructor(session: Session, verb: string, carrier: Carrier | { early: Reply }) {
    this.#session = session;
    this.#verb = verb;
    if ("early" in carrier) this.#early = carrier.early;
    else {
      this.#stream = carrier.stream;
      if (isUpload(verb) && carrier.sizeBytes > UNSENT_BYTES) {
        this.#socket = TcpSocket.of(carrier.conn);
        this.#socket?.boundUnsent();
        this.#ackedBefore = this.#socket?.ackedBytes ?? 0;
      } else if (!isUpload(verb)) this.readAhead = new ReadAhead(carrier.conn);
    }
    session.closeData = () => {
      this.#noteTaken();
      this.#stream?.close();
    };
    this.#watch = setInterval(() => this.#checkIdle(), IDLE_CHECK_MS);
  }

  /**
   * Sends `command` with a data connection.
   * @param options.restBytes where the server is to begin
   * @param options.sizeBytes how much will be sent, where that is known: too little to wait in the kernel needs no bound
   * @throws {ReplyError} the server refuses it; the session is good for more
   */
  static async open(session: Session, command: string, options: TransferOptions = {}): Promise<Transfer> {
    const { restBytes = 0, sizeBytes = Infinity } = options;
    const { connecting, isSent } = await session.passive(restBytes > 0 ? undefined : command);
    let conn: Deno.TcpConn | undefined;
    try {
      if (restBytes > 0) await session.control.expect(`REST ${restBytes}`, 350);
      if (!isSent) await session.control.send(command);
      conn = await connecting;
      session.closeData = () => closeConn(conn!);
      const reply = await session.control.reply(REPLY_TIMEOUT_MS, verbOf(command));
      if (isDone(reply)) {
        closeConn(conn);
        return new Transfer(session, verbOf(command), { early: reply });
      }
      if (reply.code >= 200) throw reuseProblem(session, reply) ?? new ReplyError(command, reply);
    } catch (error) {
      // A connection that is still being made must not stay behind.
      connecting.then(closeConn).catch(() => {});
      if (isSent && error instanceof ReplyTimeout) session.context.memory.learn("noTogether");
      // The server waits for a data connection that cannot be made: the session is of no use any more.
      if (error instanceof ConnectionLost) session.close();
      throw error;
    }
    try {
      return new Transfer(session, verbOf(command), { stream: await session.secureData(conn), conn, sizeBytes });
    } catch (error) {
      session.close();
      throw error;
    }
  }

  /** Reads at least one byte; `null` at the end of the data. */
  async read(into: Uint8Array): Promise<number | null> {
    return this.#stream === undefined ? null : await this.#watched(this.#stream.read(into));
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#stream === undefined) return;
    // A write that fails may have sent some of it.
    this.#writtenBytes += bytes.length;
    await this.#watched(this.#stream.write(bytes));
  }

  /**
   * Bytes of an upload that the other side's system has taken, also when the connection broke. The rest lies in our
   * kernel or is on its way: lost with the connection, and never moved twice. TLS makes the figure up to 0.2 % too high.
   */
  get takenBytes(): number {
    this.#noteTaken();
    return this.#takenBytes;
  }

  #noteTaken(): void {
    const ackedBytes = this.#socket?.ackedBytes ?? 0;
    const taken = this.#socket === undefined ? this.#writtenBytes : ackedBytes - this.#ackedBefore;
    this.#takenBytes = Math.max(this.#takenBytes, Math.min(taken, this.#writtenBytes));
  }

  /** The lines of the data, until its end. */
  async *lines(): AsyncGenerator<string> {
    const reader = new LineReader();
    const bytes = this.#session.chunk.subarray(0, LINES_BYTES);
    for (let count = await this.read(bytes); count !== null; count = await this.read(bytes)) {
      yield* reader.push(bytes.subarray(0, count));
    }
    const last = reader.end();
    if (last !== undefined) yield last;
  }

  /**
   * Ends the data and waits for the reply that decides.
   * @throws {ConnectionLost} the reply did not come: the transfer may have worked
   */
  async finish(timeoutMs: number = REPLY_TIMEOUT_MS): Promise<Reply> {
    try {
      if (this.#early !== undefined) return this.#early;
      // After a failed write the server's reply still tells why.
      await this.#stream?.end().catch(() => {});
      // A download is over on both sides: some servers wait for our end before they reply.
      if (!isUpload(this.#verb)) this.#stream?.close();
      const reply = await this.#session.control.reply(timeoutMs, this.#verb);
      if (!isDone(reply)) throw reuseProblem(this.#session, reply) ?? new ReplyError(this.#verb, reply);
      return reply;
    } catch (error) {
      if (error instanceof ConnectionLost) this.#session.close();
      throw error;
    } finally {
      this.#dispose();
    }
  }

  /** Ends a transfer early. The session goes on when the server takes note of it, else it is closed. */
  async abandon(): Promise<void> {
    this.#dispose();
    if (this.#early !== undefined) return;
    try {
      await this.#session.control.reply(5_000, this.#verb);
    } catch {
      this.#session.close();
    }
  }

  /** Ends transfer and session at once. */
  destroy(): void {
    this.#dispose();
    this.#session.close();
  }

  #dispose(): void {
    clearInterval(this.#watch);
    this.#noteTaken();
    this.#stream?.close();
    this.#session.closeData = undefined;
  }

  async #watched<T>(operation: Promise<T>): Promise<T> {
    this.#pendingSinceMs = performance.now();
    try {
      return await operation;
    } catch (error) {
      if (this.#isLate) throw new ConnectionLost(`Data connection stood still for ${IDLE_TIMEOUT_MS / 1000} s`);
      if (error instanceof ConnectionLost) throw error;
      throw new ConnectionLost(`Data connection broke: ${messageOf(error)}`, { cause: error });
    } finally {
      this.#pendingSinceMs = undefined;
    }
  }

  #checkIdle(): void {
    if (this.#pendingSinceMs === undefined || performance.now() - this.#pendingSinceMs < IDLE_TIMEOUT_MS) return;
    this.#isLate = true;
    this.#stream?.close();
  }
}

function isUpload(verb: string): boolean {
  return verb === "STOR" || verb === "APPE";
}

/** The refusal of a data connection whose TLS session is new, which only OpenSSL can avoid. */
function reuseProblem(session: Session, reply: Reply): TlsRefused | undefined {
  if (session.tls === undefined || session.tls.resumes) return undefined;
  if (reply.code !== 522 && !/reuse|session|resum/i.test(replyText(reply))) return undefined;
  return new TlsRefused(
    `Server wants data connections to resume the TLS session, which needs OpenSSL 3 (package libssl3): "${
      replyText(reply)
    }"`,
    { hint: "apt install libssl3" },
  );
}
