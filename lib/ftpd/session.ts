/**
 * One control connection. Commands are answered one after another in the order in which they came, so that a client
 * may send several at once; only ABOR and STAT reach a running transfer.
 */
import type { Command } from "./command.ts";
import type { ServerIdentity } from "./certificate.ts";
import { ControlLines, parseCommand } from "./control_line.ts";
import type { Abortable } from "./data_channel.ts";
import { type Fact, FACTS } from "./listing.ts";
import type { HashName } from "./hashes.ts";
import type { LoginGuard } from "./login_guard.ts";
import { openPassive, type PassivePort } from "./passive.ts";
import type { Jail } from "./paths.ts";
import type { Quota } from "./quota.ts";
import { Refusal, refusalOf } from "./refusal.ts";
import { secureOver } from "./secure.ts";
import { type FtpEvent, type FtpLimits, type Wire, writeAll } from "./types.ts";
import type { Uploads } from "./uploads.ts";

/** Commands that may wait for their turn; while there are more, the server stops reading. */
const WAITING_MAX = 64;
/** Longest time without a login, milliseconds. */
const LOGIN_MS = 60_000;

/** What all sessions of a server share. */
export interface ServerContext {
  readonly commands: ReadonlyMap<string, Command<Session>>;
  readonly jail: Jail;
  readonly guard: LoginGuard;
  readonly uploads: Uploads;
  readonly quota: Quota;
  readonly limits: FtpLimits;
  readonly readOnly: boolean;
  readonly passivePorts?: { first: number; last: number };
  readonly tls?: ServerIdentity;
  readonly log: (event: FtpEvent) => void;
}

interface Waiting {
  verb: string;
  argument: string;
  tooLong?: boolean;
}

/** A client's session. The public fields are its state as the commands see it. */
export class Session {
  readonly context: ServerContext;
  /** Addresses of the control connection's two ends. */
  readonly peer: string;
  readonly local: string;
  user: string | undefined;
  loggedIn = false;
  /** Whether nothing may be changed: by the server's or the user's word. */
  readOnly: boolean;
  wrongPasswords = 0;
  directory = "/";
  /** Where the next transfer starts, bytes. */
  restartAt = 0;
  /** Where the next RETR or HASH ends, bytes; absent: at the end of the file. */
  endAt: number | undefined;
  hashName: HashName = "SHA-256";
  /** The virtual path of RNFR. */
  renameFrom: string | undefined;
  facts: ReadonlySet<Fact> = new Set(FACTS);
  /** After `EPSV ALL`: PASV is refused. */
  extendedOnly = false;
  /** ABOR commands that came and were not answered yet. */
  abortsWaiting = 0;

  /** After PROT P: data connections may be opened. */
  protects = false;

  #wire: Wire;
  #lines = new ControlLines();
  #secures: "not" | "with the next bytes" | "yes" = "not";
  readonly #encoder = new TextEncoder();
  #passive: PassivePort | undefined;
  #running: (Abortable & { bytes: number }) | undefined;
  #waiting: Waiting[] = [];
  #changed = Promise.withResolvers<void>();
  #inputEnded = false;
  #closed = false;
  #wakePause: (() => void) | undefined;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(wire: Wire, addresses: { peer: string; local: string }, context: ServerContext) {
    this.#wire = wire;
    this.peer = addresses.peer;
    this.local = addresses.local;
    this.context = context;
    this.readOnly = context.readOnly;
  }

  /** Serves the connection until it ends. Never fails. */
  async run(): Promise<void> {
    this.#armIdleTimer();
    const reading = this.#readCommands();
    await this.reply(220, "FileSync FTP server ready");
    while (!this.#closed) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        this.#signalChange();
        await this.#execute(next);
      } else if (this.#inputEnded) break;
      else await this.#changed.promise;
    }
    this.close();
    await reading;
    await this.#passive?.close();
    await this.#wire.ended;
  }

  /** Whether TLS is spoken, or begins with the client's next byte. */
  get isSecure(): boolean {
    return this.#secures !== "not";
  }

  /** What the client sends from now on is TLS; `false` when something has come already, which was not. */
  secureNext(): boolean {
    if (this.#waiting.length > 0 || this.#lines.isAmidLine) return false;
    this.#secures = "with the next bytes";
    return true;
  }

  /** Ends the session at once; a running transfer fails, and what it wrote stays. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#idleTimer);
    this.#running?.abort("Session ended");
    this.#wakePause?.();
    this.#wire.close();
    this.#signalChange();
  }

  /** Sends a reply; several lines become one reply as RFC 959 section 4.2 writes it. */
  reply(code: number, ...lines: string[]): Promise<void> {
    const last = lines.pop() ?? "";
    const text = lines.map((line, n) => (n === 0 ? `${code}-${line}` : ` ${line}`)).concat(`${code} ${last}`);
    const bytes = this.#encoder.encode(`${text.join("\r\n")}\r\n`);
    this.#writing = this.#writing.then(() => writeAll(this.#wire, bytes)).catch(() => {
      // Nobody is there to be told: the session ends, and so does whatever it was doing.
      this.close();
    });
    return this.#writing;
  }

  /** Waits, but not longer than the session lives. */
  async pause(ms: number): Promise<void> {
    if (ms <= 0 || this.#closed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#wakePause = resolve;
    await promise;
    this.#wakePause = undefined;
    clearTimeout(timer);
  }

  /** Opens a port for the next data connection in place of the last one. */
  async openPassive(): Promise<number> {
    await this.#passive?.close();
    this.#passive = undefined;
    this.#passive = openPassive({
      local: this.local,
      peer: this.peer,
      connectMs: this.context.limits.dataConnectMs,
      onStranger: (address) => this.log({ event: "refused", reason: `Data connection from ${address}` }),
      ...(this.context.passivePorts === undefined ? {} : { ports: this.context.passivePorts }),
    });
    return this.#passive.port;
  }

  /** Gives a port up that the coming transfer will not use. */
  async dropPassive(): Promise<void> {
    const passive = this.#passive;
    this.#passive = undefined;
    await passive?.close();
  }

  /**
   * The data connection that the client was told to open.
   * @throws {Refusal} 425 when the client did not ask for one or did not open it in time, 426 when ABOR came first
   */
  async takeDataConnection(): Promise<Deno.TcpConn> {
    if (this.context.tls !== undefined && !this.protects) throw new Refusal(521, "Send PBSZ 0 and PROT P first");
    const passive = this.#passive;
    if (passive === undefined) throw new Refusal(425, "Use EPSV or PASV first");
    this.#passive = undefined;
    let aborted = false;
    this.#running = {
      bytes: 0,
      abort: () => {
        aborted = true;
        void passive.close();
      },
    };
    if (this.abortsWaiting > 0 || this.#closed) this.#running.abort("Transfer aborted");
    try {
      const conn = await passive.connection();
      if (conn !== undefined && !aborted) return conn;
      conn?.close();
      throw aborted ? new Refusal(426, "Transfer aborted") : new Refusal(425, "Data connection was not opened");
    } finally {
      this.#running = undefined;
    }
  }

  /** Runs `move` so that ABOR and the end of the session reach `transfer`. */
  async whileRunning<T>(transfer: Abortable & { bytes: number }, move: () => Promise<T>): Promise<T> {
    this.#running = transfer;
    if (this.#closed || this.abortsWaiting > 0) transfer.abort("Transfer aborted");
    try {
      return await move();
    } finally {
      this.#running = undefined;
      this.#armIdleTimer();
    }
  }

  log(event: DistributiveOmit<FtpEvent, "peer">): void {
    this.context.log({ ...event, peer: this.peer } as FtpEvent);
  }

  async #readCommands(): Promise<void> {
    const buffer = new Uint8Array(4096);
    try {
      for (let count = await this.#wire.read(buffer); count !== null; count = await this.#wire.read(buffer)) {
        if (this.#secures === "with the next bytes") await this.#secure(buffer.slice(0, count));
        else for (const line of this.#lines.push(buffer.subarray(0, count))) this.#arrived(line);
        while (this.#waiting.length > WAITING_MAX && !this.#closed) await this.#changed.promise;
        if (this.#closed) break;
      }
    } catch {
      // Reset by the peer or closed by us: the connection ended either way.
    }
    this.#inputEnded = true;
    // A client that said QUIT and went gets its commands done; any other is gone in the middle of its work.
    if (!this.#waiting.some(({ verb }) => verb === "QUIT")) this.close();
    this.#signalChange();
  }

  async #secure(first: Uint8Array): Promise<void> {
    const { tls } = this.context;
    if (tls === undefined) throw new Error("Cannot secure a session of a server without a certificate");
    this.#secures = "yes";
    this.#wire = await secureOver(this.#wire, tls, { first });
    this.#armIdleTimer();
    if (this.#closed) this.#wire.close();
  }

  #arrived(line: string | undefined): void {
    this.#armIdleTimer();
    const command = line === undefined ? { verb: "", argument: "", tooLong: true } : parseCommand(line);
    if (command.verb === "ABOR") {
      this.abortsWaiting++;
      this.#running?.abort("Transfer aborted");
    } else if (command.verb === "STAT" && this.#running !== undefined) {
      void this.reply(211, `Transfer under way: ${this.#running.bytes} bytes moved`);
      return;
    }
    this.#waiting.push(command);
    this.#signalChange();
  }

  async #execute({ verb, argument, tooLong }: Waiting): Promise<void> {
    const command = this.context.commands.get(verb);
    if (tooLong) return await this.reply(500, "Command line is too long");
    if (command === undefined) return await this.reply(502, "Command is not known here");
    if (command.beforeLogin !== true && !this.loggedIn) return await this.reply(530, "Log in with USER and PASS first");
    if (command.changes === true && this.readOnly) {
      return await this.reply(550, this.context.readOnly ? "Server is read-only" : "This user may only read");
    }
    if (command.needsArgument === true && argument === "") return await this.reply(501, `${verb} needs an argument`);
    try {
      await command.run(this, argument);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal.code === 451) this.log({ event: "error", reason: `${verb}: ${refusal.message}` });
      await this.reply(refusal.code, refusal.message);
    }
    if (command.keeps !== "restart") {
      this.restartAt = 0;
      this.endAt = undefined;
    }
    if (command.keeps !== "rename") this.renameFrom = undefined;
    if (verb === "QUIT") this.close();
  }

  #armIdleTimer(): void {
    clearTimeout(this.#idleTimer);
    if (this.#closed) return;
    const { idleMs } = this.context.limits;
    this.#idleTimer = setTimeout(() => this.#idle(), this.loggedIn ? idleMs : Math.min(idleMs, LOGIN_MS));
  }

  #idle(): void {
    if (this.#running !== undefined) return this.#armIdleTimer();
    void this.reply(421, "Closing an idle connection").then(() => this.close());
    // A client that does not read its replies is not waited for.
    this.#idleTimer = setTimeout(() => this.close(), 1000);
  }

  #signalChange(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
