/**
 * The socket beside the store: commands that change something go through the process that syncs, the only writer. One
 * JSON line asks, one answers: `{method, params}` → `{result}` or `{error: {message, hint?, exitCode}}`.
 */
import { createHash } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, rmSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { Bell } from "../driver/mod.ts";
import type { Log } from "../observe/mod.ts";
import type { Store } from "../state/mod.ts";
import { asEngineError, EngineError, EXIT } from "./errors.ts";
import { readLine, writeLine } from "./control_line.ts";

/** Answers one method; what it throws is told to the asker. */
export type ControlHandler = (params: unknown) => unknown;

/** Where the store remembers a socket that is not beside it. */
export const SOCKET_META = "socket";
/** Longest path that `sun_path` takes on Linux, bytes without its NUL. */
const SOCKET_BYTES_MAX = 107;
/** A connection that asks nothing for so long is closed, milliseconds. */
const SILENCE_MS = 10_000;
/** Connections at once; more are closed unheard. */
const CONNECTIONS_MAX = 16;
/** Rest after a connection could not be taken, milliseconds. */
const ACCEPT_PAUSE_MS = 1000;

/** The listening side. */
export class ControlServer {
  readonly path: string;
  readonly #listener: Deno.UnixListener;
  readonly #handlers: Record<string, ControlHandler>;
  readonly #log: Log;
  readonly #closing = new AbortController();
  readonly #accepting: Promise<void>;
  readonly #serving = new Set<Promise<void>>();
  /** Connections that have not asked yet. */
  readonly #silent = new Set<Deno.Conn>();

  private constructor(path: string, listener: Deno.UnixListener, handlers: Record<string, ControlHandler>, log: Log) {
    this.path = path;
    this.#listener = listener;
    this.#handlers = handlers;
    this.#log = log;
    this.#accepting = this.#accept();
  }

  /**
   * Listens beside the store, whose lock the caller holds: a socket that is there was left by a process that died.
   * Files move also when nobody can be listened to: then `undefined`, with a line in the log.
   */
  static open(store: Store, handlers: Record<string, ControlHandler>, log: Log): ControlServer | undefined {
    const beside = `${store.path}.sock`;
    const reasons = new Set<string>();
    // A long path, or a file system without sockets (FAT): then a short one that the store remembers.
    for (const place of [() => beside, () => shortPath(store.path)]) {
      try {
        const path = place();
        const listener = listen(path);
        const remembered = path === beside ? "" : path;
        if ((store.meta(SOCKET_META) ?? "") !== remembered) {
          store.write(() => store.setMeta(SOCKET_META, remembered));
          store.flush();
        }
        return new ControlServer(path, listener, handlers, log);
      } catch (error) {
        reasons.add(error instanceof Error ? error.message : String(error));
      }
    }
    log.warning(
      `Cannot listen for commands: ${[...reasons].join("; ")}; "retry" and "forget" work when this process has ended`,
    );
    return undefined;
  }

  /** Ends: what was asked is answered, and the socket is removed. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#listener.close();
    await this.#accepting;
    for (const connection of this.#silent) closeQuietly(connection);
    await Promise.all(this.#serving);
    rmSync(this.path, { force: true });
  }

  async #accept(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      let connection: Deno.UnixConn;
      try {
        connection = await this.#listener.accept();
      } catch (error) {
        if (signal.aborted) return;
        this.#log.warning(`Cannot take a command: ${error instanceof Error ? error.message : error}`);
        await new Bell().wait(signal, ACCEPT_PAUSE_MS);
        continue;
      }
      if (this.#serving.size >= CONNECTIONS_MAX) {
        connection.close();
        continue;
      }
      const serving = this.#serve(connection).finally(() => this.#serving.delete(serving));
      this.#serving.add(serving);
    }
  }

  async #serve(connection: Deno.UnixConn): Promise<void> {
    this.#silent.add(connection);
    const silence = setTimeout(() => closeQuietly(connection), SILENCE_MS);
    try {
      const line = await readLine(connection);
      clearTimeout(silence);
      this.#silent.delete(connection);
      if (line !== undefined) await writeLine(connection, await this.#answer(line));
    } catch (error) {
      // Whoever asked has left, or never asked: nothing is owed to them.
      this.#log.debug(`Command is not answered: ${error instanceof Error ? error.message : error}`);
    } finally {
      clearTimeout(silence);
      this.#silent.delete(connection);
      closeQuietly(connection);
    }
  }

  async #answer(line: string): Promise<unknown> {
    try {
      const { method, params } = JSON.parse(line) as { method?: unknown; params?: unknown };
      const handler = typeof method === "string" && Object.hasOwn(this.#handlers, method)
        ? this.#handlers[method]
        : undefined;
      if (handler === undefined) {
        throw new EngineError(EXIT.failed, `Command ${JSON.stringify(method)} is not known to process ${Deno.pid}`, {
          hint: "Restart filesync sync: it is of another version",
        });
      }
      return { result: await handler(params) };
    } catch (error) {
      const told = asEngineError(error);
      if (told instanceof EngineError) {
        const { message, hint, exitCode } = told;
        return { error: { message, exitCode, ...(hint === undefined ? {} : { hint }) } };
      }
      const message = error instanceof Error ? error.message : String(error);
      this.#log.error(`Command failed: ${message}`);
      return { error: { message, exitCode: EXIT.failed } };
    }
  }
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // Closed already, by the silence timer or by the end of the server.
  }
}

/** @throws when the path is too long, is taken by what is no socket, or cannot be made */
function listen(path: string): Deno.UnixListener {
  if (new TextEncoder().encode(path).length > SOCKET_BYTES_MAX) {
    throw new Error(`Path "${path}" is longer than ${SOCKET_BYTES_MAX} bytes`);
  }
  const stale = lstatSync(path, { throwIfNoEntry: false });
  if (stale !== undefined) {
    if (!stale.isSocket()) throw new Error(`"${path}" is no socket`);
    rmSync(path, { force: true });
  }
  // 0600 from its first moment.
  const mask = Deno.umask(0o177);
  try {
    return Deno.listen({ transport: "unix", path });
  } finally {
    Deno.umask(mask);
  }
}

/** A socket path for a store that cannot have one beside it, in a directory that is only ours. */
function shortPath(storePath: string): string {
  const { uid } = userInfo();
  const runtime = Deno.env.get("XDG_RUNTIME_DIR");
  const dir = join(runtime !== undefined && existsSync(runtime) ? runtime : "/tmp", `filesync-${uid}`);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const stat = lstatSync(dir);
  if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o077) !== 0) {
    throw new Error(`Directory "${dir}" is not private to this user`);
  }
  return join(dir, `${createHash("sha256").update(storePath).digest("hex").slice(0, 16)}.sock`);
}
