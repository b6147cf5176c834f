/** The `webdav` driver: one folder on a WebDAV server, as source and as target. */
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
import { download } from "./download.ts";
import { fingerprintOf, listFolder, PRECISION_MS } from "./entries.ts";
import { StatusError, toDriverError } from "./errors.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };
import { Folders } from "./folders.ts";
import { Lanes, NEAR_LANES } from "./lanes.ts";
import { Memory } from "./memory.ts";
import { DavServer } from "./server.ts";
import { enterRoot, type Tools } from "./tools.ts";
import { confirm, upload } from "./upload.ts";

/** Calls of small files that wait in the driver, so that the host's answer to one costs the next one nothing. */
const CALLS_AHEAD = 8;

/** See `plugins/README.md` for the contract. */
export class WebdavDriver implements Driver {
  #params: InitializeParams | undefined;
  #tools: Tools | undefined;
  #lanes: Lanes | undefined;

  initialize(params: InitializeParams, link: DeviceLink): InitializeResult {
    const config = parseConfig(params.args);
    const memory = new Memory(params.stateDir, config.root.href);
    this.#params = params;
    const lanes = new Lanes({
      // The others count what one login asks at once, or need a process of their own for each.
      connections: config.kind === "none" ? config.connections : Math.min(NEAR_LANES, config.connections),
      onLimit: (callsMax) => link.state({ callsMax }),
    });
    const server = new DavServer(config, (roundTripMs) => lanes.noteRoundTrip(roundTripMs));
    this.#lanes = lanes;
    this.#tools = { role: params.role, server, memory, folders: new Folders() };
    return {
      name: manifest.name,
      version: manifest.version,
      capabilities: {
        callsMax: lanes.limit,
        callsAhead: CALLS_AHEAD,
        resumeDownload: true,
        resumeUpload: config.kind === "nextcloud" || (memory.partialWrite ?? "none") !== "none",
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
    await this.#do(directory === "" ? "list" : `list "${directory}" on`, call, async (tools, call) => {
      checkPath(directory, "not_found", false);
      try {
        await listFolder(tools.server, directory, call);
        if (directory === "") tools.memory.learnRoot();
      } catch (error) {
        throw isMissing(error) ? await missing(tools, `Folder "${directory}"`, call) : error;
      }
    });
  }

  async stat({ path }: { path: string }, call: Call): Promise<Entry> {
    return await this.#do(path === "" ? "look at" : `look at "${path}" on`, call, async (tools, call) => {
      checkPath(path, "not_found", false);
      if (path === "") {
        await enterRoot(tools, call);
        return { path, kind: "directory" };
      }
      const found = await tools.server.look(path, call.signal);
      if (found === undefined) throw await missing(tools, `File "${path}"`, call);
      if (found.isFolder) return { path, kind: "directory" };
      return { path, kind: "file", ...fingerprintOf(found) };
    });
  }

  async download(params: DownloadParams, call: Call): Promise<DownloadResult> {
    return await this.#do(`download "${params.path}" from`, call, async (tools, call) => {
      checkPath(params.path, "not_found");
      try {
        return await download(tools.server, params, call);
      } catch (error) {
        throw isMissing(error) ? await missing(tools, `File "${params.path}"`, call) : error;
      }
    }, params.offsetBytes);
  }

  async upload(params: UploadParams, call: Call): Promise<Receipt> {
    return await this.#do(`upload "${params.path}" to`, call, async (tools, call) => {
      checkPath(params.path, "rejected");
      return await upload(tools, params, call);
    });
  }

  async confirm(params: UploadParams, call: Call): Promise<Receipt | null> {
    return await this.#do(`confirm "${params.path}" on`, call, async (tools, call) => {
      checkPath(params.path, "rejected");
      return await confirm(tools, params, call);
    });
  }

  async remove({ path, expect }: RemoveParams, call: Call): Promise<void> {
    await this.#do(`remove "${path}" from`, call, async (tools, call) => {
      checkPath(path, "failed");
      const { server } = tools;
      const found = await server.look(path, call.signal);
      if (found === undefined) {
        const reason = await missing(tools, `File "${path}"`, call);
        if (reason.code === "not_found") return;
        throw reason;
      }
      // DELETE of a folder removes all that is in it.
      if (found.isFolder) throw new DriverError("failed", `Path "${path}" is a folder: expected a file`);
      if (!sameFingerprint(fingerprintOf(found), expect, PRECISION_MS)) {
        throw new DriverError("changed", `File "${path}" changed on the server`);
      }
      const isStrong = found.etag !== undefined && found.etag.startsWith('"');
      const headers = isStrong ? { "If-Match": found.etag! } : {};
      const reply = await server.request({ method: "DELETE", url: server.url(path), headers }, call.signal);
      if (reply.status === 412) throw new DriverError("changed", `File "${path}" changed on the server`);
      if (![200, 202, 204, 404, 410].includes(reply.status)) throw await server.refusal("DELETE", reply);
      await reply.discard();
      // A captive portal says 200 to everything; 202 is a promise.
      if (reply.status === 204 || reply.status >= 400) return;
      if (await server.look(path, call.signal) !== undefined) {
        throw new DriverError("failed", `Server answers DELETE with ${reply.status}, and the file is still there`);
      }
    });
  }

  async check(call: Call): Promise<Finding[]> {
    return await this.#do("check", call, (tools, call) => check(tools, this.#params!.device, call));
  }

  shutdown(): Promise<void> {
    this.#tools?.server.close();
    return Promise.resolve();
  }

  /** Runs `work`; its failure gets the contract's code and the name of what was wanted. */
  async #do<T>(
    action: string,
    call: Call,
    work: (tools: Tools, call: Call) => Promise<T>,
    startBytes = 0,
  ): Promise<T> {
    const tools = this.#tools;
    if (tools === undefined) throw new DriverError("failed", "Driver is not initialized");
    using living = new LivingCall(call, startBytes);
    try {
      return await this.#lanes!.use(call.signal, () => work(tools, living));
    } catch (error) {
      if (error instanceof StatusError && [429, 503].includes(error.status)) this.#lanes!.noteObjection();
      if (call.signal.aborted) throw new DriverError("cancelled", "Call is cancelled", { cause: error });
      throw toDriverError(error, `${action} "${this.#params?.device}"`);
    }
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof DriverError
    ? error.code === "not_found"
    : error instanceof StatusError && error.status === 404;
}

/** Why something is not there: alone, or with all of the device. */
async function missing(tools: Tools, what: string, call: Call): Promise<DriverError> {
  try {
    await enterRoot(tools, call);
  } catch (error) {
    if (error instanceof DriverError) return error;
    throw error;
  }
  return new DriverError("not_found", `${what} is not on the server`);
}

/** The root is a path for listings only. */
function checkPath(path: string, code: "not_found" | "rejected" | "failed", isFile = true): void {
  const problem = path === "" && isFile ? "it is the root" : pathProblem(path);
  if (problem !== undefined) throw new DriverError(code, `Path cannot be used: ${problem}`);
}
