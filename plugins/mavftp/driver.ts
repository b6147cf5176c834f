/**
 * The `mavftp` driver: the logs of one autopilot. Nothing is asked of it while it is armed or not known to be disarmed;
 * what was begun goes on afterwards from the byte where it stopped.
 */
import {
  type Call,
  type DeviceLink,
  type DownloadParams,
  type DownloadResult,
  type Driver,
  DriverError,
  type Entry,
  type Finding,
  fingerprintOf,
  type InitializeParams,
  type InitializeResult,
  type ListParams,
  pathProblem,
  type RemoveParams,
  sameFingerprint,
} from "../../lib/driver/mod.ts";
import { isNak } from "./channel.ts";
import { check } from "./check.ts";
import { SYSTEM_CLOCK } from "./clock.ts";
import { parseConfig } from "./config.ts";
import { Connection, type ConnectionContext } from "./connection.ts";
import { download } from "./download.ts";
import { findEntry, listEntries, newest, PRECISION_MS } from "./entries.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };
import { NAK, OPCODE } from "./ftp_codec.ts";
import { Journal } from "./journal.ts";
import { refusal } from "./session.ts";

/** How soon a link that was lost is opened again, so that the host hears of the vehicle at once, milliseconds. */
const REOPEN_MS = { first: 1000, max: 5000 };

export class MavftpDriver implements Driver {
  #context: ConnectionContext | undefined;
  #connection: Connection | undefined;
  #opening: Promise<Connection> | undefined;
  #cancelReopening: () => void = () => {};
  #isShutDown = false;
  /** One conversation at a time: PX4 has one session. */
  #turn: Promise<unknown> = Promise.resolve();

  initialize(params: InitializeParams, link: DeviceLink): InitializeResult {
    const config = parseConfig(params.args);
    this.#context = { config, params, device: link, journal: new Journal(params.stateDir) };
    return {
      name: manifest.name,
      version: manifest.version,
      capabilities: { callsMax: 1, resumeDownload: true, remove: true, rateLimit: true },
    };
  }

  async list({ directory }: ListParams, call: Call): Promise<void> {
    await this.#do(`list "${directory}" on`, call, async (connection) => {
      checkPath(directory, "not_found", false);
      await connection.ready(call);
      await listEntries(connection, directory, call);
    });
  }

  async stat({ path }: { path: string }, call: Call): Promise<Entry> {
    return await this.#do(`look at "${path}" on`, call, async (connection) => {
      checkPath(path, "not_found", false);
      await connection.ready(call);
      if (path === "") {
        await connection.root(call.signal);
        return { path, kind: "directory" };
      }
      const entry = await findEntry(connection, path, call);
      if (entry === undefined) throw new DriverError("not_found", `Autopilot has no "${path}"`);
      return entry;
    });
  }

  async download(params: DownloadParams, call: Call): Promise<DownloadResult> {
    return await this.#do(`download "${params.path}" from`, call, async (connection) => {
      checkPath(params.path, "not_found");
      await connection.ready(call, params.offsetBytes);
      return await download(connection, this.#context!, params, call);
    });
  }

  async remove({ path, expect }: RemoveParams, call: Call): Promise<void> {
    await this.#do(`remove "${path}" from`, call, async (connection) => {
      checkPath(path, "failed");
      await connection.ready(call);
      const entry = await findEntry(connection, path, call);
      if (entry === undefined) return;
      if (entry.kind === "directory") throw new DriverError("failed", `Path "${path}" is a directory: expected a file`);
      if (!sameFingerprint(fingerprintOf(entry), expect, PRECISION_MS)) {
        throw new DriverError("changed", `Log "${path}" changed on the autopilot`);
      }
      if ((await newest(connection, call)).has(path)) {
        // Asked again later: then another one is the newest.
        throw new DriverError("failed", `Log "${path}" is the newest, which is never removed`);
      }
      const { channel } = connection.station;
      const data = await connection.remotePath(path, call.signal);
      const reply = await channel.ask({ opcode: OPCODE.REMOVE, data }, { keepSeq: true, signal: call.signal });
      // A repeat of a request whose answer was lost finds nothing any more.
      if (!reply.isAck && !isNak(reply, NAK.NOT_FOUND)) throw refusal(reply);
    });
  }

  async check(call: Call): Promise<Finding[]> {
    return await check(this.#context!, (work) => this.#do("check", call, work), call);
  }

  async shutdown(): Promise<void> {
    this.#isShutDown = true;
    this.#cancelReopening();
    await this.#opening?.catch(() => {});
    const connection = this.#connection;
    this.#connection = undefined;
    await connection?.close();
  }

  /** Runs `work` in its turn; its failure names what was wanted. */
  async #do<T>(action: string, call: Call, work: (connection: Connection) => Promise<T>): Promise<T> {
    const context = this.#context;
    if (context === undefined) throw new DriverError("failed", "Driver is not initialized");
    const turn = this.#turn.then(async () => {
      call.signal.throwIfAborted();
      return await work(await this.#connect(context));
    });
    this.#turn = turn.catch(() => {});
    try {
      return await turn;
    } catch (error) {
      if (call.signal.aborted) throw new DriverError("cancelled", "Call is cancelled", { cause: error });
      throw named(error, `${action} "${context.params.device}"`);
    }
  }

  /** The cable was pulled: whoever puts it back may have little time. */
  #reopen(context: ConnectionContext, delayMs: number): void {
    if (this.#isShutDown) return;
    this.#cancelReopening = SYSTEM_CLOCK.after(delayMs, async () => {
      if (this.#connection !== undefined || this.#isShutDown) return;
      try {
        await this.#connect(context);
      } catch {
        // Still away: calls tell why.
        this.#reopen(context, Math.min(2 * delayMs, REOPEN_MS.max));
      }
    });
  }

  async #connect(context: ConnectionContext): Promise<Connection> {
    if (this.#connection !== undefined) return this.#connection;
    this.#opening ??= Connection.open(context, (lost) => {
      if (this.#connection !== lost) return;
      this.#connection = undefined;
      this.#reopen(context, REOPEN_MS.first);
    });
    try {
      const connection = await this.#opening;
      if (!connection.station.isStopped) this.#connection = connection;
      return connection;
    } finally {
      this.#opening = undefined;
    }
  }
}

function named(error: unknown, action: string): DriverError {
  const text = error instanceof Error ? error.message : String(error);
  const { code, details } = error instanceof DriverError ? error : new DriverError("failed", text);
  if (text.startsWith("Cannot ")) return new DriverError(code, text, { ...details, cause: error });
  const words = text.charAt(0).toLowerCase() + text.slice(1);
  return new DriverError(code, `Cannot ${action}: ${words}`, { ...details, cause: error });
}

/** The root is a path for listings only. */
function checkPath(path: string, code: "not_found" | "failed", isFile = true): void {
  const problem = path === "" && isFile ? "it is the root" : pathProblem(path);
  if (problem !== undefined) throw new DriverError(code, `Path cannot be used: ${problem}`);
}
