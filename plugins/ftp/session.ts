/** A logged-in connection: binary type, the root found, the server's features known. */
import { DriverError, type LogLevel } from "../../lib/driver/mod.ts";
import type { FtpConfig } from "./config.ts";
import { Control, isDone, REPLY_TIMEOUT_MS } from "./control.ts";
import { isTooMany, ReplyError, TooManyConnections, verbOf } from "./errors.ts";
import type { Memory } from "./memory.ts";
import type { Openssl } from "./openssl.ts";
import { type Reply, replyText } from "./parse_reply.ts";
import { type ByteStream, closeConn, ConnectionLost, connectTcp, ConnStream, TlsRefused } from "./stream.ts";
import { makeTlsClient, type TlsClient } from "./tls.ts";

/** Time for the server's greeting, milliseconds: a server that is full often just does not answer. */
const GREETING_TIMEOUT_MS = 30_000;
/** Time for the goodbye, milliseconds. */
const QUIT_TIMEOUT_MS = 400;

/** Bytes of one read or write. */
const CHUNK_BYTES = 256 * 1024;

/** What every session of a device shares. */
export interface SessionContext {
  config: FtpConfig;
  /** OpenSSL, or `null` for Deno's own TLS. */
  loadTls: () => Openssl | null;
  memory: Memory;
  /** A root that was never there may be made: files are to be put into it. */
  makesRoot: boolean;
  stateDir: string;
  log: (level: LogLevel, message: string) => void;
  /** EPSV has worked on one of them since the driver started. */
  hasEpsv: boolean;
}

/** One connection to the server. Used by one call at a time. */
export class Session {
  readonly context: SessionContext;
  readonly control: Control;
  /** Present on secured connections. */
  readonly tls: TlsClient | undefined;
  /** Lower-case features with their parameters: `rest stream`. Empty when the server does not tell. */
  features: string[] = [];
  /** Absolute path of the device's root on the server. */
  base = "/";
  isClosed = false;
  /** The server may still know a file that RNFR named. */
  isRenaming = false;
  /** Shortest time that an answer took at the login, milliseconds: the link's round trip, and hardly more. */
  roundTripMs = Infinity;
  #isRooted = false;
  /** Closes the data connection under way, which ends with the session. */
  closeData: (() => void) | undefined;
  #chunk: Uint8Array<ArrayBuffer> | undefined;
  readonly #dataHost: string;
  readonly #closing = new AbortController();

  private constructor(context: SessionContext, control: Control, tls: TlsClient | undefined, dataHost: string) {
    this.context = context;
    this.control = control;
    this.tls = tls;
    this.#dataHost = dataHost;
  }

  /**
   * Connects, secures, logs in and enters the root.
   * @throws {TooManyConnections} the server takes no more of them now
   * @throws {DriverError} `denied` for a wrong password, `unavailable` when the root is not there
   */
  static async open(context: SessionContext, signal?: AbortSignal): Promise<Session> {
    const { config } = context;
    const conn = await connectTcp(config.host, config.port, signal);
    const tls = config.secure === false ? undefined : clientFor(context, conn);
    let session: Session | undefined;
    const onAbort = () => session === undefined ? closeConn(conn) : session.close();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      const stream = tls !== undefined && config.secure === "implicit" ? await tls.wrap(conn) : new ConnStream(conn);
      session = new Session(context, new Control(stream), tls, await dataHost(config.host, conn));
      await session.#greet();
      if (tls !== undefined && config.secure === "explicit") await session.#authTls(tls, conn);
      await session.#login();
      await session.#prepare();
      return session;
    } catch (error) {
      if (session === undefined) {
        tls?.close();
        closeConn(conn);
      } else session.close();
      signal?.throwIfAborted();
      // No file is concerned yet: what is refused here is the server's state.
      if (error instanceof ReplyError) throw new ConnectionLost(error.message, { cause: error });
      throw error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** `path` of the contract as an absolute path of the server. */
  path(path: string): string {
    if (path === "") return this.base;
    return this.base.endsWith("/") ? this.base + path : `${this.base}/${path}`;
  }

  /** A buffer for the bytes of a transfer, one for the session's life: new ones would fill the heap file by file. */
  get chunk(): Uint8Array<ArrayBuffer> {
    return this.#chunk ??= new Uint8Array(CHUNK_BYTES);
  }

  /** Whether FEAT names `feature`, such as `mdtm` or `rest stream`. */
  has(feature: string): boolean {
    return this.features.some((known) => known === feature || known.startsWith(`${feature} `));
  }

  /** MLST and MLSD can be used. */
  get hasMlst(): boolean {
    return this.has("mlst") && !this.context.memory.has("noMlsd");
  }

  /**
   * Asks for a data port and starts to connect to it. The address in a PASV reply is ignored: it is often one behind
   * NAT, and a hostile server could point it at a third machine.
   * @param command what the connection is for. It is sent together with the question, which saves a round trip, where
   *   EPSV has worked before; `isSent` says whether it was
   */
  async passive(command?: string): Promise<{ connecting: Promise<Deno.TcpConn>; isSent: boolean }> {
    const { memory, hasEpsv } = this.context;
    const isTogether = command !== undefined && hasEpsv && !memory.has("noTogether");
    if (isTogether) {
      await this.control.send("EPSV", command);
      const reply = await this.control.reply(REPLY_TIMEOUT_MS, "EPSV");
      const port = portOf(reply);
      if (port !== undefined) return { connecting: this.#connectData(port), isSent: true };
      // Without a port the command is refused, and both are sent one after the other; or the server waits for a
      // connection that nobody makes.
      const refusal = await this.control.reply(REPLY_TIMEOUT_MS, verbOf(command));
      if (refusal.code < 200) throw new ConnectionLost(new ReplyError("EPSV", reply).message);
    }
    let reply: Reply | undefined;
    if (!memory.has("noEpsv")) {
      reply = await this.control.command("EPSV");
      if (reply.code >= 500) {
        memory.learn("noEpsv");
        reply = undefined;
      }
    }
    const asked = reply === undefined ? "PASV" : "EPSV";
    reply ??= await this.control.command("PASV");
    const port = portOf(reply);
    if (port === undefined) throw new ConnectionLost(new ReplyError(asked, reply).message);
    this.context.hasEpsv = asked === "EPSV";
    return { connecting: this.#connectData(port), isSent: false };
  }

  #connectData(port: number): Promise<Deno.TcpConn> {
    const connecting = connectTcp(this.#dataHost, port, this.#closing.signal);
    connecting.catch(() => {}); // Awaited later, after the command that uses it was sent.
    return connecting;
  }

  /** TLS on a data connection, resuming the session of the control connection. */
  async secureData(conn: Deno.TcpConn): Promise<ByteStream> {
    return this.tls === undefined ? new ConnStream(conn) : await this.tls.wrap(conn, this.control.stream);
  }

  /** Says goodbye where the server listens, and closes. */
  async quit(): Promise<void> {
    if (this.isClosed) return;
    try {
      await this.control.command("QUIT", QUIT_TIMEOUT_MS);
    } catch {
      // The connection ends either way.
    }
    this.close();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#closing.abort(new ConnectionLost("Connection is closed"));
    this.closeData?.();
    this.control.close();
    this.tls?.close();
  }

  async #greet(): Promise<void> {
    let reply = await this.control.reply(GREETING_TIMEOUT_MS, "the connection");
    // "120 Service ready in nnn minutes", then 220.
    if (reply.code === 120) reply = await this.control.reply(GREETING_TIMEOUT_MS, "the connection");
    this.control.begin();
    if (isDone(reply)) return;
    if (isTooMany(reply)) throw new TooManyConnections(`Server refuses the connection: "${replyText(reply)}"`);
    throw new ConnectionLost(`Server refuses the connection: "${replyText(reply)}"`);
  }

  async #authTls(tls: TlsClient, conn: Deno.TcpConn): Promise<void> {
    const reply = await this.control.command("AUTH TLS");
    if (!isDone(reply)) {
      throw new TlsRefused(`Server offers no TLS: "${replyText(reply)}"`, {
        hint: 'Turn TLS on at the server, or set "secure" to false: password and files then travel in clear',
      });
    }
    this.control.secure(await tls.wrap(conn));
  }

  async #login(): Promise<void> {
    const { user, passwd } = this.context.config;
    let reply = (await this.#timed([`USER ${user}`]))[0]!;
    if (reply.code === 331) reply = (await this.#timed([`PASS ${passwd}`]))[0]!;
    if (isDone(reply)) return;
    if (isTooMany(reply)) throw new TooManyConnections(`Server refuses the login: "${replyText(reply)}"`);
    if (reply.code < 500 && reply.code !== 332 && reply.code !== 430) {
      throw new ConnectionLost(`Server cannot log us in now: "${replyText(reply)}"`);
    }
    if (reply.code === 332) {
      throw new DriverError("unsupported", "Server asks for an account (ACCT), which FileSync does not send");
    }
    const hint = this.tls === undefined && /tls|ssl|secure|encrypt/i.test(replyText(reply))
      ? 'Server wants TLS: set "secure" to "explicit"'
      : 'Check "user" and "passwd"';
    throw new DriverError("denied", `Server refuses the login of "${user}": "${replyText(reply)}"`, { hint });
  }

  async #prepare(): Promise<void> {
    if (this.tls !== undefined) {
      await this.control.expect("PBSZ 0");
      await this.control.expect("PROT P");
    }
    // Type first: SIZE in ASCII type is refused by most servers.
    const type = "TYPE I";
    const [typed, feat] = await this.#timed([type, "FEAT"]) as [Reply, Reply];
    if (!isDone(typed)) throw new ReplyError(type, typed);
    if (feat.code === 211) this.features = feat.lines.slice(1, -1).map((line) => line.trim().toLowerCase());
    // Draft of RFC 2640; a refusal is harmless.
    await this.enterRoot(this.has("utf8") ? ["OPTS UTF8 ON"] : []);
  }

  /** {@linkcode Control.exchange}, from which the link's round trip is learned. */
  async #timed(lines: string[]): Promise<Reply[]> {
    const sinceMs = performance.now();
    const replies = await this.control.exchange(lines);
    this.roundTripMs = Math.min(this.roundTripMs, performance.now() - sinceMs);
    return replies;
  }

  /**
   * Changes into the device's root. Its absolute path is learned once, right after the login: later the working
   * directory is wherever the last listing or directory check left it.
   * @param first commands that are sent before, whatever becomes of them
   * @throws {DriverError} `unavailable` when it is not there
   */
  async enterRoot(first: string[] = []): Promise<void> {
    const { config: { dir }, memory, makesRoot } = this.context;
    const target = this.#isRooted ? this.base : dir;
    const enter = target === "" ? [] : [`CWD ${target}`];
    const where = this.#isRooted ? [] : ["PWD"];
    const replies = await this.control.exchange([...first, ...enter, ...where]);
    let pwd = replies[first.length + enter.length];
    let entered = enter.length === 0 ? undefined : replies[first.length]!;
    // Once, and below a directory that is there: later a missing root means that a disk is gone.
    if (
      entered !== undefined && !isDone(entered) && makesRoot && !memory.hasRoot(dir) &&
      isDone(await this.control.command(`MKD ${target}`))
    ) {
      const again = await this.control.exchange([...enter, ...where]);
      entered = again[0]!;
      pwd = again[1];
    }
    if (entered !== undefined && !isDone(entered)) {
      throw new DriverError("unavailable", `Directory "${dir}" is not there: "${replyText(entered)}"`, {
        hint: 'Make the directory on the server, or correct "dir"',
      });
    }
    if (pwd === undefined) return;
    const quoted = quotedName(replyText(pwd));
    if (isDone(pwd) && quoted?.startsWith("/")) this.base = quoted;
    else if (dir.startsWith("/")) this.base = dir;
    else throw new ReplyError("PWD", pwd);
    this.#isRooted = true;
    if (makesRoot) memory.learnRoot(dir);
  }
}

/** The name in `257 "/name with ""quotes""" comment`; pure-ftpd does not double the quotes. */
export function quotedName(text: string): string | undefined {
  const doubled = /^[^"]*"((?:[^"]|"")*)"(?= |$)/.exec(text)?.[1];
  return doubled?.replaceAll('""', '"') ?? /"(.*)"/.exec(text)?.[1];
}

function clientFor({ config, loadTls }: SessionContext, conn: Deno.TcpConn): TlsClient {
  try {
    return makeTlsClient({
      hostname: config.host,
      ...(config.ca === undefined ? {} : { ca: config.ca }),
      ...(config.pin === undefined ? {} : { pin: config.pin }),
    }, loadTls());
  } catch (error) {
    conn.close();
    throw error;
  }
}

/** Data connections go to the address that the name led to, unless the permissions name only the name. */
async function dataHost(host: string, conn: Deno.TcpConn): Promise<string> {
  const address = conn.remoteAddr.hostname;
  const { state } = await Deno.permissions.query({
    name: "net",
    host: address.includes(":") ? `[${address}]` : address,
  });
  return state === "granted" ? address : host;
}

function portOf(reply: Reply): number | undefined {
  const text = replyText(reply);
  let port: number | undefined;
  if (reply.code === 229) {
    const match = /\((.)\1\1(\d+)\1\)/.exec(text);
    if (match !== null) port = Number(match[2]);
  } else if (reply.code === 227) { // Some servers answer EPSV with it too.
    const match = /\d+,\s*\d+,\s*\d+,\s*\d+,\s*(\d+),\s*(\d+)/.exec(text);
    if (match !== null) port = Number(match[1]) * 256 + Number(match[2]);
  }
  return port !== undefined && port > 0 && port <= 65535 ? port : undefined;
}
