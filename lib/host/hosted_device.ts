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
  markUnsent,
  type Progress,
  type Receipt,
  type Release,
  type RemoveParams,
  type Role,
  type UploadParams,
} from "../driver/mod.ts";
import { isObject, type RpcMessage } from "../protocol/messages.ts";
import {
  AnswerError,
  checkConfirmation,
  checkDownloadResult,
  checkEntries,
  checkEntry,
  checkFindings,
  checkProgress,
  checkReceipt,
} from "./check_answers.ts";
import type { Clock } from "./clock.ts";
import { Coalescer } from "./coalescer.ts";
import { DeviceCore } from "./device_core.ts";
import type { LaunchSeams } from "./launch.ts";
import type { DeviceLog } from "./line_log.ts";
import type { Plugin } from "./manifest.ts";
import type { PluginProcess } from "./plugin_process.ts";
import { shownError } from "./shown_error.ts";

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
  /** Hears every message between host and plugin. They hold the device's secrets. */
  onMessage?: (message: RpcMessage, by: "host" | "plugin") => void;
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

/** One device in one role; the other role of an exclusive one is on the same process. */
export class HostedDevice implements DeviceClient {
  readonly name: string;
  readonly role: Role;
  readonly plugin: Plugin;
  readonly #core: DeviceCore;
  #ignoredBefore = 0;

  constructor(options: HostedDeviceOptions, core: DeviceCore = new DeviceCore(options)) {
    this.name = options.name;
    this.role = options.role;
    this.plugin = options.plugin;
    this.#core = core;
  }

  /**
   * The same device in its other role, served by the same process: for plugins that are `exclusive`. What one of the
   * two hears by `$/state` the other hears too, and closing one closes both.
   */
  inRole(role: Role, name: string): HostedDevice {
    return new HostedDevice({ ...this.#core.options, role, name }, this.#core);
  }

  /** What the driver last said that the device is; `undefined` until it did. */
  get deviceId(): string | undefined {
    return this.#core.deviceId;
  }

  /** Starts of the process after the first. */
  get restarts(): number {
    return this.#core.supervisor.restarts;
  }

  /** The process, while one runs. */
  get pid(): number | undefined {
    return this.#core.supervisor.pid;
  }

  /**
   * Listens to `$/state`. When a process that was unavailable or held has died, the listener hears
   * `{available: true, held: false}`: a device is available until told otherwise, so ask it again.
   * @returns what ends the listening
   */
  onState(listener: (state: DeviceState) => void): () => void {
    return this.#core.onState(listener);
  }

  async capabilities(options: CallOptions = {}): Promise<Capabilities> {
    await this.#ready(options.signal);
    return this.#core.capabilitiesOf(this.role);
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
        const checked = checkEntries(batch["entries"], params.directory, recursive, this.#core.words);
        ignored += checked.ignored;
        return checked.entries.length === 0 ? undefined : take(checked.entries);
      },
    });
    if (ignored !== this.#ignoredBefore && ignored > 0) {
      this.#core.log(
        "warning",
        `Plugin listed ${ignored} entries that are invalid or not in "${params.directory}": ignored`,
      );
    }
    this.#ignoredBefore = ignored;
    return { ignored };
  }

  stat(path: string, options: CallOptions = {}): Promise<Entry> {
    return this.#send("stat", { path }, options, (result) => checkEntry(result, path, this.#core.words));
  }

  download(params: DownloadParams, options: CallOptions = {}): Promise<DownloadResult> {
    const growing = { file: params.spoolFile, sizeBytes: params.offsetBytes };
    return this.#send("download", params, options, (result) => checkDownloadResult(result, this.#core.words), {
      growing,
    });
  }

  /** An answer that is no receipt leaves open whether the file landed: `uncertain`. */
  upload(params: UploadParams, options: CallOptions = {}): Promise<Receipt> {
    return this.#send("upload", params, options, (result) => checkReceipt(result, this.#core.words), {
      badAnswer: "uncertain",
    });
  }

  confirm(params: UploadParams, options: CallOptions = {}): Promise<Receipt | null> {
    return this.#send("confirm", params, options, (result) => checkConfirmation(result, this.#core.words), {
      badAnswer: "uncertain",
    });
  }

  remove(params: RemoveParams, options: CallOptions = {}): Promise<void> {
    return this.#send("remove", params, options, () => {});
  }

  check(options: CallOptions = {}): Promise<Finding[]> {
    return this.#send("check", {}, options, (result) => checkFindings(result, this.#core.words));
  }

  release(options: CallOptions = {}): Promise<Release> {
    return this.#send("release", {}, options, (result) => ({ safe: isObject(result) && result["safe"] === true }));
  }

  /** Ends the process in at most 3 s. Calls under way and later ones fail with `cancelled`. */
  async close(): Promise<void> {
    await this.#core.close();
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
    const progress = new Coalescer<Progress>((news) => onProgress?.(news), this.#core.clock);
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
      this.#core.flushStates();
      const checked = check(result);
      this.#core.supervisor.praise(method);
      return checked;
    } catch (error) {
      progress.flush();
      throw shownError(error, {
        pluginName: this.plugin.name,
        method,
        words: this.#core.words,
        ...(controls.badAnswer === undefined ? {} : { badAnswer: controls.badAnswer }),
      });
    }
  }

  async #ready(signal: AbortSignal | undefined): Promise<PluginProcess> {
    try {
      return await this.#core.supervisor.ready({ role: this.role, name: this.name }, signal);
    } catch (error) {
      // One error may have ended the wait of several calls; a new one is this call's own.
      if (!(error instanceof DriverError)) throw error;
      const { code, message, details, cause } = error;
      throw markUnsent(new DriverError(code, message, cause === undefined ? details : { ...details, cause }));
    }
  }
}
