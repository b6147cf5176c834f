/** The `ftp` driver: one directory on an FTP or FTPS server, as source and as target. */
import {
  type Call,
  type DeviceLink,
  type DownloadParams,
  type DownloadResult,
  type Driver,
  DriverError,
  type Entry,
  type Finding,
  type InitializeParams,
  type InitializeResult,
  type ListParams,
  pathProblem,
  type Receipt,
  type RemoveParams,
  sameFingerprint,
  type UploadParams,
} from "../../lib/driver/mod.ts";
import { LivingCall } from "../../lib/protocol/serve.ts";
import { check } from "./check.ts";
import { parseConfig } from "./config.ts";
import { isDone } from "./control.ts";
import { Directories } from "./directories.ts";
import { download, PRECISION_MS } from "./download.ts";
import { explainMissing, listDirectory, lookUp } from "./entries.ts";
import { ReplyError, toDriverError } from "./errors.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };
import { Memory } from "./memory.ts";
import { loadOpenssl, type Openssl } from "./openssl.ts";
import { withPath } from "./long_path.ts";
import { Pool } from "./pool.ts";
import { Session } from "./session.ts";
import { confirm, upload } from "./upload.ts";

/**
 * Calls that may wait for a connection here: the next one begins on it without a word through the host, and its first
 * commands travel with the last ones of the file before. What waits shows how many connections are of use.
 */
const CALLS_AHEAD = 16;

/** See `plugins/README.md` for the contract. */
export class FtpDriver implements Driver {
  #params: InitializeParams | undefined;
  #pool: Pool | undefined;
  readonly #directories = new Directories();
  readonly #loadTls: () => Openssl | null;

  /** @param loadTls gives the TLS to use, `null` for Deno's own; called only for secured devices */
  constructor(loadTls: () => Openssl | null = loadOpenssl) {
    this.#loadTls = loadTls;
  }

  initialize(params: InitializeParams, link: DeviceLink): InitializeResult {
    const config = parseConfig(params.args, this.#loadTls);
    const memory = new Memory(params.stateDir, `${config.host}:${config.port}:${config.user}`);
    const context = {
      config,
      loadTls: this.#loadTls,
      memory,
      makesRoot: params.role === "target",
      stateDir: params.stateDir,
      log: link.log.bind(link),
      hasEpsv: false,
    };
    this.#params = params;
    this.#pool = new Pool({
      connections: config.connections,
      memory,
      open: (signal) => Session.open(context, signal),
      onLimit: (callsMax) => link.state({ callsMax }),
    });
    return {
      name: manifest.name,
      version: manifest.version,
      capabilities: {
        callsMax: this.#pool.limit,
        callsAhead: CALLS_AHEAD,
        resumeDownload: true,
        resumeUpload: true,
        atomicReplace: true,
        repeatable: true,
        confirm: true,
        remove: true,
        rateLimit: true,
        modifiedPrecisionMs: PRECISION_MS,
        checksums: ["sha256"],
      },
    };
  }

  async list({ directory }: ListParams, call: Call): Promise<void> {
    await this.#do(directory === "" ? "list" : `list "${directory}" on`, call, async (pool, call) => {
      checkPath(directory, "not_found", false);
      await pool.use(call.signal, async (session) => {
        try {
          await listDirectory(session, directory, call);
        } catch (error) {
          if (!(error instanceof ReplyError) || error.isPermission) throw error;
          // Servers refuse a directory that is not there with 550, 501 or 450.
          await session.enterRoot();
          if (isDone(await session.control.command(`CWD ${session.path(directory)}`))) throw error;
          throw directory === ""
            ? new DriverError("not_found", `Directory "${directory}" is not on the server`, { cause: error })
            : await explainMissing(session, directory, "directory");
        }
      });
      pool.growForWaiting();
    });
  }

  async stat({ path }: { path: string }, call: Call): Promise<Entry> {
    return await this.#do(path === "" ? "look at" : `look at "${path}" on`, call, async (pool, call) => {
      checkPath(path, "not_found", false);
      return await pool.use(call.signal, async (session) => {
        if (path === "") {
          await session.enterRoot();
          return { path, kind: "directory" };
        }
        const found = await lookUp(session, path);
        if (found === undefined) throw await explainMissing(session, path);
        return { path, ...found };
      });
    });
  }

  async download(params: DownloadParams, call: Call): Promise<DownloadResult> {
    return await this.#do(`download "${params.path}" from`, call, async (pool, call) => {
      checkPath(params.path, "not_found");
      const result = await withPath(params.path, pool, call, () => download(pool, params, call));
      pool.grow();
      return result;
    }, params.offsetBytes);
  }

  async upload(params: UploadParams, call: Call): Promise<Receipt> {
    return await this.#do(`upload "${params.path}" to`, call, async (pool, call) => {
      checkPath(params.path, "rejected");
      const receipt = await withPath(
        params.path,
        pool,
        call,
        () => upload(pool, this.#directories, params, call),
      );
      pool.grow();
      return receipt;
    });
  }

  async confirm(params: UploadParams, call: Call): Promise<Receipt | null> {
    return await this.#do(`confirm "${params.path}" on`, call, async (pool, call) => {
      checkPath(params.path, "rejected");
      return await withPath(params.path, pool, call, () => confirm(pool, params, call));
    });
  }

  async remove({ path, expect }: RemoveParams, call: Call): Promise<void> {
    await this.#do(`remove "${path}" from`, call, async (pool, call) => {
      checkPath(path, "failed");
      await pool.use(call.signal, async (session) => {
        const found = await lookUp(session, path);
        if (found === undefined) {
          const reason = await explainMissing(session, path);
          if (reason.code === "not_found") return;
          throw reason;
        }
        if (found.kind === "directory") {
          throw new DriverError("failed", `Path "${path}" is a directory: expected a file`);
        }
        if (!sameFingerprint(found, expect, PRECISION_MS)) {
          throw new DriverError("changed", `File "${path}" changed on the server`);
        }
        const reply = await session.control.command(`DELE ${session.path(path)}`);
        if (isDone(reply) || await lookUp(session, path) === undefined) return;
        throw new DriverError("denied", new ReplyError("DELE", reply).message, {
          scope: "file",
          hint: "Give the user the right to delete on the server",
        });
      });
    });
  }

  async check(call: Call): Promise<Finding[]> {
    return await this.#do("check", call, (pool, call) => check(pool, this.#params!.role, this.#params!.device, call));
  }

  async shutdown(): Promise<void> {
    await this.#pool?.close();
  }

  /** Resolves when no connection is being made in the background; for tests. */
  async settled(): Promise<void> {
    await this.#pool?.settled();
  }

  /** Runs `work`; its failure gets the contract's code and the name of what was wanted. */
  async #do<T>(
    action: string,
    call: Call,
    work: (pool: Pool, call: Call) => Promise<T>,
    startBytes = 0,
  ): Promise<T> {
    const pool = this.#pool;
    if (pool === undefined) throw new DriverError("failed", "Driver is not initialized");
    using living = new LivingCall(call, startBytes);
    try {
      return await work(pool, living);
    } catch (error) {
      if (call.signal.aborted) throw new DriverError("cancelled", "Call is cancelled", { cause: error });
      throw toDriverError(error, `${action} "${this.#params?.device}"`);
    }
  }
}

/** The root is a path for listings only. */
function checkPath(path: string, code: "not_found" | "rejected" | "failed", isFile = true): void {
  const problem = path === "" && isFile ? "it is the root" : pathProblem(path);
  if (problem !== undefined) throw new DriverError(code, `Path cannot be used: ${problem}`);
}
