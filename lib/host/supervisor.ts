/**
 * Keeps one process of a plugin: starts it when somebody asks, and again after a death, never sooner than the back-off
 * allows. A process serves one role, or both where the manifest says `exclusive`: then each role is initialized once in
 * each life of it, before its first call. A refusal of the configuration is final for its role.
 */
import {
  backoffMs,
  DriverError,
  type ErrorCode,
  type InitializeResult,
  type LogLevel,
  type Role,
} from "../driver/mod.ts";
import type { ConnectionOptions } from "../protocol/connection.ts";
import { PROTOCOL_VERSION } from "../protocol/messages.ts";
import { checkInitializeResult } from "./check_answers.ts";
import type { Clock } from "./clock.ts";
import { type LaunchSeams, launchSpec } from "./launch.ts";
import type { DeviceLog } from "./line_log.ts";
import { limitsOf, type Plugin } from "./manifest.ts";
import { PluginDeath } from "./plugin_death.ts";
import { brokenBy, PluginProcess } from "./plugin_process.ts";
import { shownError } from "./shown_error.ts";
import { trimStateDir } from "./state_dir.ts";
import type { Words } from "./words.ts";

/** Back-off of a plugin that dies or cannot be started. */
const RESTART = { firstMs: 1000, maxMs: 60_000 };
/** A life this long is healthy: the back-off starts anew after it, milliseconds. */
const HEALTHY_MS = 60_000;
/** What `initialize` may fail with and mean; with any other code the plugin cannot be used, and nobody knows why. */
const ANSWERS_OF_INITIALIZE: readonly ErrorCode[] = ["denied", "unavailable", "held", "cancelled", "broken"];
/** Those that only another configuration changes. */
const REFUSALS: readonly ErrorCode[] = ["invalid_config", "unsupported"];

export interface SupervisorOptions {
  plugin: Plugin;
  args: Record<string, unknown>;
  /** Those that the process may be asked to serve. */
  roles: readonly Role[];
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
  onMessage?: ConnectionOptions["onMessage"];
  onInitialized: (result: InitializeResult, role: Role) => void;
  onNotification: (method: string, params: Record<string, unknown>) => void;
  /** The process died, and not because it was closed. */
  onDeath: () => void;
}

/** Who asks for the process: a role, and the name that the device has in it. */
export interface RoleUse {
  role: Role;
  name: string;
}

/** What is known of one role. */
interface RoleState {
  refusal: DriverError | undefined;
  starting: Promise<PluginProcess> | undefined;
  /** The life of the process that was initialized for this role. */
  initialized: PluginProcess | undefined;
  /** `initialize` failed while the process served the other role: not again before. */
  retryAtMs: number;
  failures: number;
  lastFailure: DriverError | undefined;
}

/** The life after life of a plugin. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #roles = new Map<Role, RoleState>();
  #failures = 0;
  #process: PluginProcess | undefined;
  #spawning: Promise<PluginProcess> | undefined;
  /** Settled when no `initialize` is under way: they never overlap. */
  #handshake: Promise<unknown> = Promise.resolve();
  #startedMs = 0;
  #starts = 0;
  #retryAtMs = -Infinity;
  #lastFailure: DriverError | undefined;
  /** Methods that were under way when the process last died: only a success of one of them forgives that so soon. */
  #fatal: ReadonlySet<string> = new Set();
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
   * The running process, initialized for a role; started when none runs.
   * @throws {DriverError} the refusal of `initialize`, `broken` while a restart has to wait, `cancelled` after close
   */
  async ready(use: RoleUse, signal: AbortSignal | undefined): Promise<PluginProcess> {
    if (signal?.aborted) throw new DriverError("cancelled", "Call is cancelled");
    if (this.#isClosed) throw closedError(use.name);
    const state = this.#stateOf(use.role);
    if (state.refusal !== undefined) throw state.refusal;
    if (state.starting === undefined) {
      if (this.#process?.isUsable && state.initialized === this.#process) return this.#process;
      state.starting = this.#start(use, state).finally(() => state.starting = undefined);
      // Whoever waits hears of a failure; a caller that was cancelled meanwhile must not leave it unheard.
      state.starting.catch(() => {});
    }
    return await orAborted(state.starting, signal);
  }

  /** A call succeeded. When the process died in such a call, the next death is a first one again. */
  praise(method: string): void {
    if (this.#fatal.has(method)) this.#failures = 0;
  }

  /** Ends the process in at most 3 s. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#process?.shutdown();
  }

  #stateOf(role: Role): RoleState {
    let state = this.#roles.get(role);
    if (state === undefined) {
      state = {
        refusal: undefined,
        starting: undefined,
        initialized: undefined,
        retryAtMs: -Infinity,
        failures: 0,
        lastFailure: undefined,
      };
      this.#roles.set(role, state);
    }
    return state;
  }

  /** Whether a role other than `role` has the process, or is about to. */
  #servesOther(role: Role): boolean {
    return [...this.#roles].some(([other, { initialized, starting }]) =>
      other !== role && (starting !== undefined || (initialized !== undefined && initialized === this.#process))
    );
  }

  async #start(use: RoleUse, state: RoleState): Promise<PluginProcess> {
    this.#refuseUnfit(use.role, state);
    const waitMs = state.retryAtMs - this.#options.clock.nowMs();
    if (waitMs > 0) throw this.#inBackoff(Math.ceil(waitMs), state.lastFailure);
    const process = await this.#running(use.name);
    const before = this.#handshake;
    const initializing = before.then(() => this.#initialize(process, use, state));
    this.#handshake = initializing.catch(() => {});
    return await initializing;
  }

  /** The process that runs, started where none does. */
  async #running(name: string): Promise<PluginProcess> {
    if (this.#spawning !== undefined) return await this.#spawning;
    if (this.#process?.isUsable) return this.#process;
    this.#spawning = this.#spawnAfterBackoff(name).finally(() => this.#spawning = undefined);
    return await this.#spawning;
  }

  async #spawnAfterBackoff(name: string): Promise<PluginProcess> {
    await this.#process?.died;
    const waitMs = this.#retryAtMs - this.#options.clock.nowMs();
    if (waitMs > 0) throw this.#inBackoff(Math.ceil(waitMs), this.#lastFailure);
    if (this.#isClosed) throw closedError(name);
    this.#starts++;
    this.#startedMs = this.#options.clock.nowMs();
    return this.#process = this.#spawn();
  }

  async #initialize(process: PluginProcess, { role, name }: RoleUse, state: RoleState): Promise<PluginProcess> {
    const { plugin, args, spoolDir, stateDir, logLevel, log, words, onInitialized } = this.#options;
    try {
      const params = { protocol: PROTOCOL_VERSION, device: name, role, args, spoolDir, stateDir, logLevel };
      const result = checkInitializeResult(await process.initialize(params), words);
      state.initialized = process;
      state.failures = 0;
      this.praise("initialize");
      onInitialized(result, role);
      log("debug", `Plugin "${plugin.name}" ${result.version} runs as process ${process.pid} (${role})`);
      return process;
    } catch (error) {
      throw await this.#failedStart(process, { role, name }, state, error);
    }
  }

  #refuseUnfit(role: Role, state: RoleState): void {
    const { plugin } = this.#options;
    if (plugin.problem !== undefined) {
      state.refusal = new DriverError("unsupported", `Plugin "${plugin.name}" cannot be used: ${plugin.problem}`, {
        ...(plugin.hint === undefined ? {} : { hint: plugin.hint }),
      });
    } else if (!plugin.roles.includes(role)) {
      state.refusal = new DriverError("unsupported", `Plugin "${plugin.name}" cannot be a ${role}`, {
        hint: `Use it as ${plugin.roles.join(" or ")}, or choose another driver`,
      });
    }
    if (state.refusal !== undefined) throw state.refusal;
  }

  #spawn(): PluginProcess {
    const { plugin, args, roles, spoolDir, spoolRoot, stateDir, launch, ...options } = this.#options;
    try {
      trimStateDir(stateDir, (message) => options.log("warning", `Plugin "${plugin.name}" ${message}`));
      return new PluginProcess({
        ...options,
        spec: launchSpec({ plugin, args, roles, spoolDir, spoolRoot, stateDir }, launch),
        memoryBytesMax: limitsOf(plugin).memoryBytes,
        pluginName: plugin.name,
        onDeath: (death, methods) => this.#handleDeath(death, methods),
      });
    } catch (error) {
      this.#process = undefined;
      if (!(error instanceof PluginDeath)) throw error;
      throw brokenBy(error, this.#handleDeath(error, ["initialize"]));
    }
  }

  async #failedStart(process: PluginProcess, use: RoleUse, state: RoleState, raw: unknown): Promise<unknown> {
    const { plugin, words, clock } = this.#options;
    const error = shownError(raw, { pluginName: plugin.name, method: "initialize", words, badAnswer: "broken" });
    if (!process.isUsable) return error;
    const isShared = this.#servesOther(use.role);
    if (!isShared) await process.shutdown();
    if (!(error instanceof DriverError)) return error;
    if (REFUSALS.includes(error.code)) return state.refusal = error;
    const code = ANSWERS_OF_INITIALIZE.includes(error.code) ? error.code : "broken";
    if (!isShared) this.#fatal = new Set(["initialize"]);
    const retryAfterMs = isShared ? this.#delay(++state.failures) : this.#holdOff();
    if (isShared) state.retryAtMs = clock.nowMs() + retryAfterMs;
    const message = code === error.code ? error.message : `Plugin "${plugin.name}" cannot start: ${error.message}`;
    const failure = new DriverError(code, message, { retryAfterMs, ...error.details });
    state.lastFailure = failure;
    if (!isShared) this.#lastFailure = failure;
    return failure;
  }

  #handleDeath(death: PluginDeath, methods: readonly string[]): number | undefined {
    if (death.reason === "shutdown") return undefined;
    if (this.#options.clock.nowMs() - this.#startedMs >= HEALTHY_MS) this.#failures = 0;
    this.#fatal = new Set(methods);
    const retryAfterMs = this.#holdOff();
    this.#lastFailure = brokenBy(death, retryAfterMs);
    const lastWords = death.lastWords === "" ? "" : ` (last words: ${death.lastWords})`;
    const seconds = Math.ceil(retryAfterMs / 1000);
    this.#options.log("error", `${death.message}${lastWords}: starts again on demand in ${seconds} s`);
    this.#options.onDeath();
    return retryAfterMs;
  }

  #holdOff(): number {
    const retryAfterMs = this.#delay(++this.#failures);
    this.#retryAtMs = this.#options.clock.nowMs() + retryAfterMs;
    return retryAfterMs;
  }

  #delay(failures: number): number {
    const { random } = this.#options;
    return backoffMs(failures, { ...RESTART, ...(random === undefined ? {} : { random }) });
  }

  #inBackoff(retryAfterMs: number, last: DriverError | undefined): DriverError {
    const why = last === undefined ? "" : `: ${last.message}`;
    const hint = last?.details.hint;
    return new DriverError("broken", `Plugin "${this.#options.plugin.name}" waits before it is started again${why}`, {
      retryAfterMs,
      ...(hint === undefined ? {} : { hint }),
      ...(last?.cause === undefined ? {} : { cause: last.cause }),
    });
  }
}

function closedError(name: string): DriverError {
  return new DriverError("cancelled", `Device "${name}" is closed`);
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(new DriverError("cancelled", "Call is cancelled"));
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
