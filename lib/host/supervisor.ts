/**
 * Keeps one process of a plugin: starts it when somebody asks, and again after a death, never sooner than the back-off
 * allows. A refusal of the configuration is final.
 */
import { backoffMs, DriverError, type InitializeResult, type LogLevel, type Role } from "../driver/mod.ts";
import { PROTOCOL_VERSION } from "../protocol/messages.ts";
import { checkInitializeResult } from "./check_answers.ts";
import type { Clock } from "./clock.ts";
import { type LaunchSeams, launchSpec } from "./launch.ts";
import type { DeviceLog } from "./line_log.ts";
import type { Plugin } from "./manifest.ts";
import { PluginDeath } from "./plugin_death.ts";
import { brokenBy, PluginProcess } from "./plugin_process.ts";
import { shownError } from "./shown_error.ts";
import type { Words } from "./words.ts";

/** Back-off of a plugin that dies or cannot be started. */
const RESTART = { firstMs: 1000, maxMs: 60_000 };
/** A life this long is healthy: the back-off starts anew after it, milliseconds. */
const HEALTHY_MS = 60_000;

export interface SupervisorOptions {
  plugin: Plugin;
  /** The device's name. */
  name: string;
  role: Role;
  args: Record<string, unknown>;
  spoolDir: string;
  spoolRoot: string;
  stateDir: string;
  logLevel: LogLevel;
  stallMs: number;
  handshakeMs: number;
  clock: Clock;
  log: DeviceLog;
  words: Words;
  random: (() => number) | undefined;
  launch: LaunchSeams | undefined;
  onInitialized: (result: InitializeResult) => void;
  onNotification: (method: string, params: Record<string, unknown>) => void;
  /** The process died, and not because it was closed. */
  onDeath: () => void;
}

/** The life after life of a plugin. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  #failures = 0;
  #process: PluginProcess | undefined;
  #starting: Promise<PluginProcess> | undefined;
  #startedMs = 0;
  #starts = 0;
  #retryAtMs = -Infinity;
  #lastFailure: DriverError | undefined;
  #refusal: DriverError | undefined;
  #isClosed = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Starts of the process after the first. */
  get restarts(): number {
    return Math.max(0, this.#starts - 1);
  }

  /** The process, while one is there. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /**
   * The running, initialized process; started when none runs.
   * @throws {DriverError} the refusal of `initialize`, `broken` while a restart has to wait, `cancelled` after close
   */
  async ready(signal: AbortSignal | undefined): Promise<PluginProcess> {
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

  /** A call succeeded: the next death is a first one again. */
  praise(): void {
    this.#failures = 0;
  }

  /** Ends the process in at most 3 s. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#process?.shutdown();
  }

  #closedError(): DriverError {
    return new DriverError("cancelled", `Device "${this.#options.name}" is closed`);
  }

  async #start(): Promise<PluginProcess> {
    this.#refuseUnfit();
    await this.#process?.died;
    const waitMs = this.#retryAtMs - this.#options.clock.nowMs();
    if (waitMs > 0) throw this.#inBackoff(Math.ceil(waitMs));
    if (this.#isClosed) throw this.#closedError();
    this.#starts++;
    this.#startedMs = this.#options.clock.nowMs();
    const process = this.#spawn();
    this.#process = process;
    const { name, role, plugin, args, spoolDir, stateDir, logLevel, log, words, onInitialized } = this.#options;
    try {
      const params = { protocol: PROTOCOL_VERSION, device: name, role, args, spoolDir, stateDir, logLevel };
      const result = checkInitializeResult(await process.initialize(params), words);
      onInitialized(result);
      log("debug", `Plugin "${plugin.name}" ${result.version} runs as process ${process.pid}`);
      return process;
    } catch (error) {
      throw await this.#failedStart(process, error);
    }
  }

  #refuseUnfit(): void {
    const { plugin, role } = this.#options;
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
    const { plugin, args, spoolDir, spoolRoot, stateDir, launch, ...options } = this.#options;
    try {
      return new PluginProcess({
        ...options,
        spec: launchSpec({ plugin, args, spoolDir, spoolRoot, stateDir }, launch),
        pluginName: plugin.name,
        onDeath: (death) => this.#handleDeath(death),
      });
    } catch (error) {
      this.#process = undefined;
      if (!(error instanceof PluginDeath)) throw error;
      throw brokenBy(error, this.#handleDeath(error));
    }
  }

  async #failedStart(process: PluginProcess, raw: unknown): Promise<unknown> {
    const { plugin, words } = this.#options;
    const error = shownError(raw, { pluginName: plugin.name, method: "initialize", words });
    if (!process.isUsable) return error;
    await process.shutdown();
    if (!(error instanceof DriverError)) return error;
    if (error.code === "invalid_config" || error.code === "unsupported") return this.#refusal = error;
    const retryAfterMs = this.#holdOff();
    return this.#lastFailure = new DriverError(error.code, error.message, { retryAfterMs, ...error.details });
  }

  #handleDeath(death: PluginDeath): number | undefined {
    if (death.reason === "shutdown") return undefined;
    if (this.#options.clock.nowMs() - this.#startedMs >= HEALTHY_MS) this.#failures = 0;
    const retryAfterMs = this.#holdOff();
    this.#lastFailure = brokenBy(death, retryAfterMs);
    const lastWords = death.lastWords === "" ? "" : ` (last words: ${death.lastWords})`;
    const seconds = Math.ceil(retryAfterMs / 1000);
    this.#options.log("error", `${death.message}${lastWords}: starts again on demand in ${seconds} s`);
    this.#options.onDeath();
    return retryAfterMs;
  }

  #holdOff(): number {
    const { random } = this.#options;
    const retryAfterMs = backoffMs(++this.#failures, { ...RESTART, ...(random === undefined ? {} : { random }) });
    this.#retryAtMs = this.#options.clock.nowMs() + retryAfterMs;
    return retryAfterMs;
  }

  #inBackoff(retryAfterMs: number): DriverError {
    const last = this.#lastFailure;
    const why = last === undefined ? "" : `: ${last.message}`;
    const hint = last?.details.hint;
    return new DriverError("broken", `Plugin "${this.#options.plugin.name}" waits before it is started again${why}`, {
      retryAfterMs,
      ...(hint === undefined ? {} : { hint }),
      ...(last?.cause === undefined ? {} : { cause: last.cause }),
    });
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
