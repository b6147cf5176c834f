/**
 * A device behind a plugin: starts the process on the first call, restarts it with back-off, checks what it answers.
 * Whatever the plugin does, a call ends with an answer that fits the contract or with a `DriverError`.
 */
import {
  type CallOptions,
  type Capabilities,
  type DeviceClient,
  type DeviceState,
  type DownloadParams,
  type DownloadResult,
  DriverError,
  type Entry,
  type ErrorCode,
  type Finding,
  type ListOutcome,
  type ListParams,
  type LogLevel,
  type Progress,
  type Receipt,
  type RemoveParams,
  type Role,
  type UploadParams,
} from "../driver/mod.ts";
import { isObject, PROTOCOL_VERSION } from "../protocol/messages.ts";
import { Backoff } from "./backoff.ts";
import {
  AnswerError,
  checkConfirmation,
  checkDownloadResult,
  checkEntries,
  checkEntry,
  checkFindings,
  checkInitializeResult,
  checkProgress,
  checkReceipt,
  checkState,
} from "./check_answers.ts";
import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import { Coalescer } from "./coalescer.ts";
import { type LaunchSeams, launchSpec } from "./launch.ts";
import type { DeviceLog } from "./line_log.ts";
import type { Plugin } from "./manifest.ts";
import { PluginDeath } from "./plugin_death.ts";
import { brokenBy, PluginProcess } from "./plugin_process.ts";
import { type Words, wordsFor } from "./words.ts";

/** A life this long is healthy: the back-off starts anew after it, milliseconds. */
const HEALTHY_MS = 60_000;
/** Longest `retryAfterMs` of a plugin that is believed, milliseconds. */
const RETRY_AFTER_MS_MAX = 24 * 60 * 60 * 1000;

export interface HostedDeviceOptions {
  plugin: Plugin;
  /** The device's name in the configuration. */
  name: string;
  role: Role;
  /** Arguments with their secrets resolved and their paths absolute: the plugin runs in `stateDir`. */
  args: Record<string, unknown>;
  /** This device's folder of the spool, absolute. */
  spoolDir: string;
  /** The whole spool, absolute. @default {spoolDir} */
  spoolRoot?: string;
  /** Private to this device, absolute; made when it is not there. */
  stateDir: string;
  /** The plugin's stderr and `$/log`, and what the host says of the plugin. */
  log?: DeviceLog;
  /** What the plugin is asked to log. @default {"info"} */
  logLevel?: LogLevel;
  /** @default {60000} */
  stallMs?: number;
  /** @default {15000} */
  handshakeMs?: number;
  clock?: Clock;
  /** For the jitter of the back-off, a number in [0, 1). */
  random?: () => number;
  launch?: LaunchSeams;
}

/** Extra needs of one call. */
interface SendControls {
  onEntries?: (params: Record<string, unknown>) => void | Promise<void>;
  growing?: { file: string; sizeBytes: number };
  /** The process to ask. @default {the one that runs, started where none does} */
  process?: PluginProcess;
  /** The code of an answer that breaks the contract. @default {"failed"} */
  badAnswer?: ErrorCode;
}

/** One device, one process at a time. */
export class HostedDevice implements DeviceClient {
  readonly name: string;
  readonly role: Role;
  readonly plugin: Plugin;
  readonly #options: HostedDeviceOptions;
  readonly #clock: Clock;
  readonly #log: DeviceLog;
  readonly #words: Words;
  readonly #backoff: Backoff;
  readonly #stateListeners = new Set<(state: DeviceState) => void>();
  readonly #states: Coalescer<DeviceState>;
  #process: PluginProcess | undefined;
  #starting: Promise<PluginProcess> | undefined;
  #startedMs = 0;
  #starts = 0;
  #retryAtMs = -Infinity;
  #lastFailure: DriverError | undefined;
  /** A refusal that only another configuration can change. */
  #refusal: DriverError | undefined;
  #capabilities: Capabilities = {};
  #deviceId: string | undefined;
  #isAway = false;
  #ignoredBefore = 0;
  #isClosed = false;

  constructor(options: HostedDeviceOptions) {
    this.name = options.name;
    this.role = options.role;
    this.plugin = options.plugin;
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#log = options.log ?? (() => {});
    this.#words = wordsFor(options.plugin.args, options.args);
    this.#backoff = new Backoff(options.random === undefined ? {} : { random: options.random });
    this.#states = new Coalescer((state) => this.#tellState(state), this.#clock);
  }

  /** What the driver last said that the device is; `undefined` until it did. */
  get deviceId(): string | undefined {
    return this.#deviceId;
  }

  /** Starts of the process after the first. */
  get restarts(): number {
    return Math.max(0, this.#starts - 1);
  }

  /** The process, while one runs. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /**
   * Listens to `$/state`. When a process that was unavailable or held has died, the listener hears
   * `{available: true, held: false}`: a device is available until told otherwise, so ask it again.
   * @returns what ends the listening
   */
  onState(listener: (state: DeviceState) => void): () => void {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }

  async capabilities(options: CallOptions = {}): Promise<Capabilities> {
    await this.#ready(options.signal);
    return { ...this.#capabilities };
  }

  /** `take` must not call this device: nothing is read from the plugin before it returns. */
  async list(
    params: ListParams,
    take: (entries: Entry[]) => void | Promise<void>,
    options: CallOptions = {},
  ): Promise<ListOutcome> {
    const recursive = params.recursive === true;
    const process = await this.#ready(options.signal);
    const droppedBefore = process.droppedLines;
    let ignored = 0;
    await this.#send("list", params, options, (result) => {
      if (!isObject(result) || result["complete"] !== true) throw new AnswerError("did not say that it is complete");
      // The lost line may have held entries, and what a listing misses counts as gone.
      if (process.droppedLines > droppedBefore) throw new AnswerError("sent a line that could not be read");
    }, {
      process,
      onEntries: (batch) => {
        const checked = checkEntries(batch["entries"], params.directory, recursive, this.#words);
        ignored += checked.ignored;
        return checked.entries.length === 0 ? undefined : take(checked.entries);
      },
    });
    if (ignored !== this.#ignoredBefore && ignored > 0) {
      this.#log(
        "warning",
        `Plugin listed ${ignored} entries that are invalid or not in "${params.directory}": ignored`,
      );
    }
    this.#ignoredBefore = ignored;
    return { ignored };
  }

  stat(path: string, options: CallOptions = {}): Promise<Entry> {
    return this.#send("stat", { path }, options, (result) => checkEntry(result, path, this.#words));
  }

  download(params: DownloadParams, options: CallOptions = {}): Promise<DownloadResult> {
    const growing = { file: params.spoolFile, sizeBytes: params.offsetBytes };
    return this.#send("download", params, options, checkDownloadResult, { growing });
  }

  /** An answer that is no receipt leaves open whether the file landed: `uncertain`. */
  upload(params: UploadParams, options: CallOptions = {}): Promise<Receipt> {
    return this.#send("upload", params, options, (result) => checkReceipt(result, this.#words), {
      badAnswer: "uncertain",
    });
  }

  confirm(params: UploadParams, options: CallOptions = {}): Promise<Receipt | null> {
    return this.#send("confirm", params, options, (result) => checkConfirmation(result, this.#words), {
      badAnswer: "uncertain",
    });
  }

  remove(params: RemoveParams, options: CallOptions = {}): Promise<void> {
    return this.#send("remove", params, options, () => {});
  }

  check(options: CallOptions = {}): Promise<Finding[]> {
    return this.#send("check", {}, options, (result) => checkFindings(result, this.#words));
  }

  /** Ends the process in at most 3 s. Calls under way and later ones fail with `cancelled`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#process?.shutdown();
    this.#states.flush();
    this.#stateListeners.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #send<T>(
    method: string,
    params: unknown,
    options: CallOptions,
    check: (result: unknown) => T,
    controls: SendControls = {},
  ): Promise<T> {
    const process = controls.process ?? await this.#ready(options.signal);
    const { onProgress } = options;
    const progress = new Coalescer<Progress>((news) => onProgress?.(news), this.#clock);
    try {
      const result = await process.call(method, params, {
        signal: options.signal,
        ...(controls.growing === undefined ? {} : { growing: controls.growing }),
        onNotification: (name, news) => {
          if (name === "$/entries") return controls.onEntries?.(news);
          const checked = name === "$/progress" && onProgress !== undefined ? checkProgress(news) : undefined;
          if (checked !== undefined) progress.push(checked);
        },
      });
      progress.flush();
      const checked = check(result);
      this.#backoff.reset();
      return checked;
    } catch (error) {
      progress.flush();
      throw this.#shown(error, method, controls.badAnswer ?? "failed");
    }
  }

  /** The error as it may be shown, its words tidied and without secrets. */
  #shown(error: unknown, method: string, badAnswer: ErrorCode): unknown {
    if (error instanceof AnswerError) {
      const message = `Plugin "${this.plugin.name}" breaks the contract in "${method}": it ${error.message}`;
      return new DriverError(badAnswer, message, { hint: "Report this to the plugin's author", cause: error });
    }
    if (!(error instanceof DriverError)) return error;
    const { hint, retryAfterMs, ...details } = error.details;
    return new DriverError(error.code, this.#words(error.message) || `"${method}" failed without a word`, {
      ...details,
      ...(hint === undefined ? {} : { hint: this.#words(hint) }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs: Math.min(retryAfterMs, RETRY_AFTER_MS_MAX) }),
      ...(error.cause === undefined ? {} : { cause: error.cause }),
    });
  }

  async #ready(signal: AbortSignal | undefined): Promise<PluginProcess> {
    if (signal?.aborted) throw new DriverError("cancelled", "Call is cancelled");
    if (this.#isClosed) throw this.#closedError();
    if (this.#refusal !== undefined) throw this.#refusal;
    if (this.#starting === undefined) {
      if (this.#process?.isUsable) return this.#process;
      this.#starting = this.#start().finally(() => this.#starting = undefined);
      // Whoever waits hears of a failure; a caller that was cancelled meanwhile must not leave it unheard.
      this.#starting.catch(() => {});
    }
    return await orAborted(this.#starting, signal);
  }

  #closedError(): DriverError {
    return new DriverError("cancelled", `Device "${this.name}" is closed`);
  }

  async #start(): Promise<PluginProcess> {
    this.#refuseUnfit();
    await this.#process?.died;
    const waitMs = this.#retryAtMs - this.#clock.nowMs();
    if (waitMs > 0) throw this.#inBackoff(Math.ceil(waitMs));
    if (this.#isClosed) throw this.#closedError();
    this.#starts++;
    this.#startedMs = this.#clock.nowMs();
    const process = this.#spawn();
    this.#process = process;
    const { name, role, plugin } = this;
    const { args, spoolDir, stateDir, logLevel = "info" } = this.#options;
    try {
      const answer = await process.initialize({
        protocol: PROTOCOL_VERSION,
        device: name,
        role,
        args,
        spoolDir,
        stateDir,
        logLevel,
      });
      const { deviceId, capabilities, version } = checkInitializeResult(answer, this.#words);
      this.#capabilities = capabilities;
      if (deviceId !== undefined) this.#deviceId = deviceId;
      this.#log("debug", `Plugin "${plugin.name}" ${version} runs as process ${process.pid}`);
      return process;
    } catch (error) {
      throw await this.#failedStart(process, this.#shown(error, "initialize", "failed"));
    }
  }

  #refuseUnfit(): void {
    const { plugin, role } = this;
    if (plugin.problem !== undefined) {
      this.#refusal = new DriverError("unsupported", `Plugin "${plugin.name}" cannot be used: ${plugin.problem}`, {
        ...(plugin.hint === undefined ? {} : { hint: plugin.hint }),
      });
    } else if (!plugin.roles.includes(role)) {
      this.#refusal = new DriverError("unsupported", `Plugin "${plugin.name}" cannot be a ${role}`, {
        hint: `Use it as ${plugin.roles.join(" or ")}, or choose another driver`,
      });
    }
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  #spawn(): PluginProcess {
    const { plugin } = this;
    const { args, spoolDir, spoolRoot = spoolDir, stateDir, stallMs = 60_000, handshakeMs = 15_000 } = this.#options;
    try {
      return new PluginProcess({
        spec: launchSpec({ plugin, args, spoolDir, spoolRoot, stateDir }, this.#options.launch),
        pluginName: plugin.name,
        clock: this.#clock,
        log: this.#log,
        words: this.#words,
        stallMs,
        handshakeMs,
        onNotification: (method, params) => {
          if (method === "$/state") this.#states.push(checkState(params, this.#words));
        },
        onDeath: (death) => this.#handleDeath(death),
      });
    } catch (error) {
      if (!(error instanceof PluginDeath)) throw error;
      this.#process = undefined;
      throw brokenBy(error, this.#handleDeath(error));
    }
  }

  /** A refusal of the arguments is final; any other failure is tried again after a back-off. */
  async #failedStart(process: PluginProcess, error: unknown): Promise<unknown> {
    if (!process.isUsable) return error;
    await process.shutdown();
    if (!(error instanceof DriverError)) return error;
    if (error.code === "invalid_config" || error.code === "unsupported") return this.#refusal = error;
    const retryAfterMs = this.#holdOff();
    return this.#lastFailure = new DriverError(error.code, error.message, { retryAfterMs, ...error.details });
  }

  #handleDeath(death: PluginDeath): number | undefined {
    if (death.reason === "shutdown") return undefined;
    if (this.#clock.nowMs() - this.#startedMs >= HEALTHY_MS) this.#backoff.reset();
    const retryAfterMs = this.#holdOff();
    this.#lastFailure = brokenBy(death, retryAfterMs);
    const lastWords = death.lastWords === "" ? "" : ` (last words: ${death.lastWords})`;
    this.#log("error", `${death.message}${lastWords}: starts again on demand in ${Math.ceil(retryAfterMs / 1000)} s`);
    this.#states.flush();
    if (this.#isAway) this.#tellState({ available: true, held: false });
    return retryAfterMs;
  }

  #holdOff(): number {
    const retryAfterMs = this.#backoff.next();
    this.#retryAtMs = this.#clock.nowMs() + retryAfterMs;
    return retryAfterMs;
  }

  #inBackoff(retryAfterMs: number): DriverError {
    const last = this.#lastFailure;
    const why = last === undefined ? "" : `: ${last.message}`;
    const hint = last?.details.hint;
    return new DriverError("broken", `Plugin "${this.plugin.name}" waits before it is started again${why}`, {
      retryAfterMs,
      ...(hint === undefined ? {} : { hint }),
      ...(last?.cause === undefined ? {} : { cause: last.cause }),
    });
  }

  #tellState(state: DeviceState): void {
    if (state.deviceId !== undefined) this.#deviceId = state.deviceId;
    if (state.callsMax !== undefined) this.#capabilities.callsMax = state.callsMax;
    if (state.available !== undefined || state.held !== undefined) {
      this.#isAway = state.available === false || state.held === true;
    }
    for (const listener of this.#stateListeners) listener(state);
  }
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(new DriverError("cancelled", "Call is cancelled"));
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
