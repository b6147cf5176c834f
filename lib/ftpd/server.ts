/** Listens, counts and ends sessions. */
import { COMMANDS } from "./commands.ts";
import { LoginGuard } from "./login_guard.ts";
import { plainAddress } from "./passive.ts";
import { Jail } from "./paths.ts";
import { Quota } from "./quota.ts";
import { type ServerContext, Session } from "./session.ts";
import { type FtpLimits, type FtpServer, type FtpServerOptions, writeAll } from "./types.ts";
import { Uploads } from "./uploads.ts";

/** What holds where {@linkcode FtpServerOptions.limits} says nothing else. */
export const FTP_LIMITS: FtpLimits = {
  connectionsMax: 64,
  connectionsPerAddressMax: 32,
  idleMs: 300_000,
  stallMs: 60_000,
  dataConnectMs: 30_000,
  loginDelayMs: 500,
  loginAttemptsMax: 5,
  abandonedMs: 3_000,
};

/** Wait before the next accept when the system has no descriptor left, milliseconds. */
const ACCEPT_PAUSE_MS = 100;

/**
 * Starts an FTP server (RFC 959, 2389, 2428, 3659) for one directory, one user who writes and others who only read;
 * passive mode only.
 *
 * What a client may rely on: 226 after STOR means that the bytes are on disk; RNTO replaces a file in one step; an
 * interrupted upload leaves a true prefix that REST or APPE goes on from; nothing outside `root` can be reached.
 *
 * @throws {TypeError} when a user or a password is empty, two users have one name, or the range of ports is none
 * @throws {Deno.errors.NotFound} when `root` does not exist
 * @throws {Deno.errors.AddrInUse} when the port is taken
 */
export async function startFtpServer(options: FtpServerOptions): Promise<FtpServer> {
  const readOnly = options.readOnly ?? false;
  const accounts = [
    { user: options.user, passwd: options.passwd, readOnly },
    ...(options.readers ?? []).map((reader) => ({ ...reader, readOnly: true })),
  ];
  for (const { user, passwd } of accounts) {
    if (user === "") throw new TypeError("Cannot start the FTP server: user is empty");
    if (passwd === "") throw new TypeError("Cannot start the FTP server: password is empty, and there is no default");
  }
  if (new Set(accounts.map(({ user }) => user)).size < accounts.length) {
    throw new TypeError("Cannot start the FTP server: two users have one name");
  }
  const { passivePorts } = options;
  if (
    passivePorts !== undefined &&
    !(passivePorts.first >= 1 && passivePorts.first <= passivePorts.last && passivePorts.last <= 65_535)
  ) {
    throw new TypeError(
      `Cannot start the FTP server: ${passivePorts.first}-${passivePorts.last} is no range of ports`,
    );
  }
  const root = await Deno.realPath(options.root);
  if (!(await Deno.stat(root)).isDirectory) {
    throw new TypeError(`Cannot start the FTP server: "${options.root}" is not a directory`);
  }
  const limits = { ...FTP_LIMITS, ...options.limits };
  const context: ServerContext = {
    commands: COMMANDS,
    jail: new Jail(root),
    guard: new LoginGuard(accounts, limits.loginDelayMs),
    uploads: new Uploads(limits.abandonedMs),
    quota: new Quota(root, options.quotaBytes),
    limits,
    readOnly,
    log: options.log ?? (() => {}),
    ...(passivePorts === undefined ? {} : { passivePorts }),
    ...(options.tls === undefined ? {} : { tls: options.tls }),
  };
  const listener = Deno.listen({ hostname: options.host ?? "127.0.0.1", port: options.port ?? 0 });
  const sessions = new Sessions(context);
  const accepting = acceptAll(listener, sessions, context);
  return {
    port: listener.addr.port,
    async stop() {
      sessions.stopping = true;
      listener.close();
      await accepting;
      await sessions.end();
    },
  };
}

async function acceptAll(listener: Deno.TcpListener, sessions: Sessions, context: ServerContext): Promise<void> {
  while (!sessions.stopping) {
    try {
      sessions.add(await listener.accept());
    } catch (error) {
      if (sessions.stopping) return;
      const reason = error instanceof Error ? error.message : String(error);
      context.log({ event: "error", peer: "", reason: `Cannot accept a connection: ${reason}` });
      await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
    }
  }
}

/** The sessions of a server, by address. */
class Sessions {
  stopping = false;
  readonly #context: ServerContext;
  readonly #running = new Map<Session, Promise<void>>();
  readonly #turnedAway = new Set<Promise<void>>();
  readonly #perAddress = new Map<string, number>();

  constructor(context: ServerContext) {
    this.#context = context;
  }

  add(conn: Deno.TcpConn): void {
    const { limits, log } = this.#context;
    const peer = plainAddress(conn.remoteAddr.hostname);
    const fromPeer = this.#perAddress.get(peer) ?? 0;
    if (this.#running.size >= limits.connectionsMax || fromPeer >= limits.connectionsPerAddressMax) {
      log({ event: "refused", peer, reason: "Too many connections" });
      const turned = turnAway(conn).finally(() => this.#turnedAway.delete(turned));
      this.#turnedAway.add(turned);
      return;
    }
    // Replies are short and waited for; a peer that vanished is found by the keep-alive probes.
    conn.setNoDelay(true);
    conn.setKeepAlive(true);
    const session = new Session(conn, { peer, local: plainAddress(conn.localAddr.hostname) }, this.#context);
    this.#perAddress.set(peer, fromPeer + 1);
    log({ event: "connected", peer });
    this.#running.set(session, session.run().finally(() => this.#ended(session)));
  }

  async end(): Promise<void> {
    const running = [...this.#running.values()];
    for (const session of this.#running.keys()) session.close();
    await Promise.all([...running, ...this.#turnedAway]);
  }

  #ended(session: Session): void {
    this.#running.delete(session);
    const left = (this.#perAddress.get(session.peer) ?? 1) - 1;
    if (left === 0) this.#perAddress.delete(session.peer);
    else this.#perAddress.set(session.peer, left);
    this.#context.log({ event: "closed", peer: session.peer });
  }
}

async function turnAway(conn: Deno.TcpConn): Promise<void> {
  try {
    await writeAll(conn, new TextEncoder().encode("421 Too many connections: try again later\r\n"));
  } catch {
    // It is to be closed anyway.
  } finally {
    conn.close();
  }
}
