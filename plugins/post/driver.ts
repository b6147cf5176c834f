/** The `post` driver: an upload form on the web, as target. Each post makes a new entry there: nothing is replaced. */
import {
  type Call,
  type Driver,
  DriverError,
  type Entry,
  type Finding,
  type InitializeParams,
  type InitializeResult,
  pathProblem,
  type Receipt,
  type UploadParams,
} from "../../lib/driver/mod.ts";
import { ConnectionLost } from "../http/lost.ts";
import { linkOf } from "./answer.ts";
import { check } from "./check.ts";
import { parseConfig, type PostConfig } from "./config.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };
import { checkIsLog, FLIGHT_REVIEW_BODY_BYTES, FLIGHT_REVIEW_MAX_BYTES, taggedValues } from "./flight_review.ts";
import { isReachable } from "./reach.ts";
import { findLog } from "./search.ts";
import { sendForm } from "./send.ts";

/** Forms of one server that are filled in at once: a Flight Review reads each log before it answers. */
const CALLS_MAX = 2;
/** Bytes that tell a log from other files. */
const HEAD_BYTES = 16;

/** See `plugins/README.md` for the contract. */
export class PostDriver implements Driver {
  #config: PostConfig | undefined;
  #device = "";

  initialize(params: InitializeParams): InitializeResult {
    const config = parseConfig(params.args);
    this.#config = config;
    this.#device = params.device;
    return {
      name: manifest.name,
      version: manifest.version,
      capabilities: {
        callsMax: CALLS_MAX,
        rateLimit: true,
        // Elsewhere nobody can be asked: the answer is all there is.
        confirm: config.isAskable,
      },
    };
  }

  /** Whether the server is there; a form has nothing else to look at. */
  async stat({ path }: { path: string }, call: Call): Promise<Entry> {
    return await this.#do("look at", call, async (config) => {
      if (path !== "") throw new DriverError("unsupported", "an upload form shows no files");
      await isReachable(config, call.signal);
      return { path: "", kind: "directory" };
    });
  }

  async upload(params: UploadParams, call: Call): Promise<Receipt> {
    return await this.#do(`upload "${params.path}" to`, call, async (config) => {
      checkPath(params.path);
      checkFile(params, config);
      const values = config.isFlightReview ? taggedValues(config.values, params.sha256) : config.values;
      const answer = await sendForm(config, params, call, {
        values,
        ...(config.isFlightReview ? { url: (bodyBytes) => withExpectedSize(config.url, bodyBytes) } : {}),
      }).catch(async (error) => {
        throw await overLimit(error, params, config, call) ?? error;
      });
      const link = linkOf(answer, config);
      return receipt(params, link);
    });
  }

  async confirm(params: UploadParams, call: Call): Promise<Receipt | null> {
    return await this.#do(`ask for "${params.path}" at`, call, async (config) => {
      if (!config.isAskable) {
        throw new DriverError("uncertain", "the server cannot be asked what it has");
      }
      const link = await findLog(config, params, call);
      return link === undefined ? null : receipt(params, link);
    });
  }

  async check(call: Call): Promise<Finding[]> {
    return await this.#do("check", call, (config) => check(config, call));
  }

  /** Runs `work`; its failure gets the contract's code and the name of what was wanted. */
  async #do<T>(action: string, call: Call, work: (config: PostConfig) => Promise<T>): Promise<T> {
    const config = this.#config;
    if (config === undefined) throw new DriverError("failed", "Driver is not initialized");
    try {
      return await work(config);
    } catch (error) {
      const failure = error instanceof ConnectionLost
        ? await ofConnection(error, config, call)
        : call.signal.aborted
        ? new DriverError("cancelled", "call is cancelled", { cause: error })
        : error;
      if (!(failure instanceof DriverError)) throw failure;
      const words = failure.message.charAt(0).toLowerCase() + failure.message.slice(1);
      throw new DriverError(failure.code, `Cannot ${action} "${this.#device}": ${words}`, {
        ...failure.details,
        cause: failure,
      });
    }
  }
}

/** What a connection that ended without an answer means. */
async function ofConnection(lost: ConnectionLost, config: PostConfig, call: Call): Promise<DriverError> {
  const { message, isSent, sentBytes } = lost;
  if (isSent) {
    return new DriverError("uncertain", `all was sent, then the answer was lost: ${message}`, {
      hint: "Look whether the file is there; then run filesync retry or filesync forget",
      cause: lost,
    });
  }
  if (call.signal.aborted) return new DriverError("cancelled", "call is cancelled", { cause: lost });
  if (lost.isDistrusted) {
    return new DriverError("denied", message, {
      hint: 'Name the file of the signing authority in "ca"; a clock that is wrong by years looks so, too',
      cause: lost,
    });
  }
  try {
    // A server that hangs up on one file must not hold up the others; one that is gone has nothing against the file.
    if (sentBytes > 0) await isReachable(config, call.signal);
    else return new DriverError("unavailable", message, { cause: lost });
  } catch {
    return new DriverError("unavailable", message, { cause: lost });
  }
  return new DriverError("failed", `${message} after ${sentBytes} bytes`, {
    hint: 'If large files only fail so, the server has a limit: set "max_size" to it',
    cause: lost,
  });
}

/** A server that hangs up on a file over the limit that every Flight Review has unless told otherwise, and is still there. */
async function overLimit(
  error: unknown,
  { sizeBytes }: UploadParams,
  config: PostConfig,
  call: Call,
): Promise<DriverError | undefined> {
  if (!(error instanceof ConnectionLost) || error.isSent || error.sentBytes === 0) return undefined;
  if (!config.isFlightReview || sizeBytes <= FLIGHT_REVIEW_MAX_BYTES || call.signal.aborted) return undefined;
  try {
    await isReachable(config, call.signal);
  } catch {
    return undefined;
  }
  return new DriverError(
    "rejected",
    `server hangs up on ${sizeBytes} bytes: a Flight Review takes ${FLIGHT_REVIEW_MAX_BYTES} unless it was told to take more`,
    { hint: 'Set "max_size" to the limit of this server', cause: error },
  );
}

/** A Flight Review raises its limit for a request that says what is coming (`UploadHandler.prepare`). */
function withExpectedSize(url: URL, bodyBytes: number): URL {
  if (bodyBytes <= FLIGHT_REVIEW_BODY_BYTES) return url;
  const told = new URL(url);
  told.searchParams.set("expected_size", String(bodyBytes));
  return told;
}

function receipt({ path, sizeBytes }: UploadParams, link: string): Receipt {
  return link === "" ? { path, sizeBytes, verified: "none" } : { path, sizeBytes, url: link, verified: "accepted" };
}

function checkPath(path: string): void {
  const problem = path === "" ? "it is the root" : pathProblem(path);
  if (problem !== undefined) throw new DriverError("rejected", `path cannot be used: ${problem}`);
}

/** Finds out before the first byte is sent what the server would say after the last one. */
function checkFile(params: UploadParams, config: PostConfig): void {
  const { path, sizeBytes, spoolFile } = params;
  if (config.maxBytes !== undefined && sizeBytes > config.maxBytes) {
    throw new DriverError("rejected", `file has ${sizeBytes} bytes: the server takes at most ${config.maxBytes}`, {
      hint: 'Leave such files out with rules.max_size, or raise "max_size" if the server takes more',
    });
  }
  using spool = Deno.openSync(spoolFile);
  const { size } = spool.statSync();
  if (size !== sizeBytes) throw new DriverError("corrupt", `spool file has ${size} bytes: expected ${sizeBytes}`);
  if (!config.isFlightReview) return;
  const head = new Uint8Array(HEAD_BYTES);
  spool.readSync(head);
  checkIsLog(path, head);
}
