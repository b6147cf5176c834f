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
import { isObject } from "../protocol/messages.ts";
import {
  AnswerError,
  checkConfirmation,
  checkDownloadResult,
  checkEntries,
  checkEntry,
  checkFindings,
  checkProgress,
  checkReceipt,
  checkState,
} from "./check_answers.ts";
import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import { Coalescer } from "./coalescer.ts";
import type { LaunchSeams } from "./launch.ts";
import type { DeviceLog } from "./line_log.ts";
import type { Plugin } from "./manifest.ts";
import type { PluginProcess } from "./plugin_process.ts";
import { shownError } from "./shown_error.ts";
import { Supervisor } from "./supervisor.ts";
import { type Words, wordsFor } from "./words.ts";

/** One device: its plugin, its arguments, its folders. */
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
  readonly #clock: Clock;
  readonly #log: DeviceLog;
  readonly #words: Words;
  readonly #supervisor: Supervisor;
  readonly #stateListeners = new Set<(state: DeviceState) => void>();
  readonly #states: Coalescer<DeviceState>;
  #capabilities: Capabilities = {};
  #deviceId: string | undefined;
  #isAway = false;
  #ignoredBefore = 0;

  constructor(options: HostedDeviceOptions) {
    const { plugin, name, role, args, spoolDir, stateDir } = options;
    this.name = name;
    this.role = role;
    this.plugin = plugin;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#log = options.log ?? (() => {});
    this.#words = wordsFor(plugin.args, args);
    this.#states = new Coalescer((state) => this.#tellState(state), this.#clock);
    this.#supervisor = new Supervisor({
      plugin,
      name,
      role,
      args,
      spoolDir,
      spoolRoot: options.spoolRoot ?? spoolDir,
      stateDir,
      logLevel: options.logLevel ?? "info",
      stallMs: options.stallMs ?? 60_000,
      handshakeMs: options.handshakeMs ?? 15_000,
      clock: this.#clock,
      log: this.#log,
      words: this.#words,
      random: options.random,
      launch: options.launch,
      onInitialized: ({ capabilities, deviceId }) => {
        this.#capabilities = capabilities;
        if (deviceId !== undefined) this.#deviceId = deviceId;
      },
      onNotification: (method, params) => {
        if (method === "$/state") this.#states.push(checkState(params, this.#words));
      },
      onDeath: () => {
        this.#states.flush();
        if (this.#isAway) this.#tellState({ available: true, held: false });
      },
    });
  }

  /** What the driver last said that the device is; `undefined` until it did. */
  get deviceId(): string | undefined {
    return this.#deviceId;
  }

  /** Starts of the process after the first. */
  get restarts(): number {
    return this.#supervisor.restarts;
  }

  /** The process, while one runs. */
  get pid(): number | undefined {
    return this.#supervisor.pid;
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
    await this.#supervisor.ready(options.signal);
    return { ...this.#capabilities };
  }

  /** `take` must not call this device: nothing is read from the plugin before it returns. */
  async list(
    params: ListParams,
    take: (entries: Entry[]) => void | Promise<void>,
    options: CallOptions = {},
  ): Promise<ListOutcome> {
    const recursive = params.recursive === true;
    const process = await this.#supervisor.ready(options.signal);
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
    await this.#supervisor.close();
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
    const process = controls.process ?? await this.#supervisor.ready(options.signal);
    const { onProgress } = options;
    const progress = new Coalescer<Progress>((news) => onProgress?.(news), this.#clock);
    let lastBytes = 0;
    try {
      const result = await process.call(method, params, {
        signal: options.signal,
        limit: options.limit,
        ...(controls.growing === undefined ? {} : { growing: controls.growing }),
        onNotification: (name, news) => {
          if (name === "$/entries") return controls.onEntries?.(news);
          const checked = name === "$/progress" && onProgress !== undefined ? checkProgress(news) : undefined;
          if (checked === undefined) return;
          // Where a call goes back to is told by itself: what is moved again is counted by it.
          const goesBack = checked.doneBytes < lastBytes;
          lastBytes = checked.doneBytes;
          if (goesBack) progress.flush();
          progress.push(checked);
          if (goesBack) progress.flush();
        },
      });
      progress.flush();
      // What the driver said before its answer is known when the answer is: above all which device it is.
      this.#states.flush();
      const checked = check(result);
      this.#supervisor.praise();
      return checked;
    } catch (error) {
      progress.flush();
      throw shownError(error, {
        pluginName: this.plugin.name,
        method,
        words: this.#words,
        ...(controls.badAnswer === undefined ? {} : { badAnswer: controls.badAnswer }),
      });
    }
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
