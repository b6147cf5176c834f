/** One life of a plugin's process: from spawn and handshake to its end, which fails every call with the reason. */
import { DriverError, type InitializeParams, type LimitShare } from "../driver/mod.ts";
import {
  Connection,
  type ConnectionOptions,
  type DropReason,
  type NotificationHandler,
} from "../protocol/connection.ts";
import { Child } from "./child.ts";
import type { Clock } from "./clock.ts";
import { waitMsOf } from "./check_answers.ts";
import type { LaunchSpec } from "./launch.ts";
import { memoryBytesOf } from "./limits.ts";
import { type DeviceLog, LogGate, StderrLog } from "./line_log.ts";
import { type DeathReason, PluginDeath } from "./plugin_death.ts";
import { mib, stateDirProblem } from "./state_dir.ts";
import { Watchdog } from "./watchdog.ts";
import type { Words } from "./words.ts";

/** Answer to `$/cancel`, milliseconds. */
const CANCEL_MS = 2000;
/** Between SIGTERM and SIGKILL, milliseconds. */
const TERMINATE_MS = 1000;
/** For the answer to `shutdown` and the exit after it. With {@linkcode TERMINATE_MS} and a moment for the kernel under 3 s. */
const SHUTDOWN_MS = 1500;
/** For what a dead process left in its pipes, when something else holds them open, milliseconds. */
const DRAIN_MS = 500;
/** How often the plugin's folder is measured, milliseconds. */
const STATE_LOOK_MS = 60_000;
/** How often its memory is looked at, milliseconds. */
const MEMORY_LOOK_MS = 5000;
/** A process that closed a stream is given this long to exit by itself, milliseconds. */
const STREAMS_MS = 1000;

export interface PluginProcessOptions {
  spec: LaunchSpec;
  pluginName: string;
  clock: Clock;
  log: DeviceLog;
  words: Words;
  /** Memory of it and of what it started; with more it is ended. */
  memoryBytesMax: number;
  /** Longest silence of a call, milliseconds. */
  stallMs: number;
  /** For the answer to `initialize`, milliseconds. */
  handshakeMs: number;
  /** See {@linkcode Connection}. */
  onMessage?: ConnectionOptions["onMessage"];
  /** Notifications that name no call, but `$/log`. */
  onNotification: (method: string, params: Record<string, unknown>) => void;
  /**
   * Called once, before the calls fail, with the methods that were under way; returns when a restart may be tried,
   * milliseconds from then.
   */
  onDeath: (death: PluginDeath, methods: readonly string[]) => number | undefined;
}

/** What {@linkcode PluginProcess.call} may be told. */
export interface CallControls {
  signal?: AbortSignal | undefined;
  onNotification?: NotificationHandler;
  /** The call's part of a bandwidth limit. */
  limit?: LimitShare | undefined;
  /** Growth of this file beyond `sizeBytes` is a sign of life. */
  growing?: { file: string; sizeBytes: number };
}

/** A running plugin. */
export class PluginProcess {
  /** Resolves after the last call was failed. */
  readonly died: Promise<PluginDeath>;
  readonly #options: PluginProcessOptions;
  readonly #child: Child;
  readonly #connection: Connection;
  readonly #gate: LogGate;
  readonly #stderr: StderrLog;
  readonly #watchdogs = new Set<Watchdog>();
  readonly #timers = new Set<() => void>();
  #killReason: { reason: DeathReason; message: string } | undefined;
  #isDead = false;

  /** @throws {PluginDeath} `spawn`, if it cannot be started */
  constructor(options: PluginProcessOptions) {
    this.#options = options;
    this.#gate = new LogGate(options.log, options.clock);
    this.#stderr = new StderrLog(this.#gate, options.words);
    try {
      Deno.mkdirSync(options.spec.cwd, { recursive: true, mode: 0o700 });
      this.#child = new Child(options.spec);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw this.#death("spawn", `Cannot start plugin "${options.pluginName}": ${why}`);
    }
    this.#connection = new Connection({
      write: (bytes) => this.#child.write(bytes),
      ...(options.onMessage === undefined ? {} : { onMessage: options.onMessage }),
      onNotification: (method, params) => this.#handleNotification(method, params),
      onDropped: (reason, excerpt) => this.#reportDropped(reason, excerpt),
      onWriteError: () => this.#expectExit("stdin"),
      onEnd: () => this.#expectExit("stdout"),
    });
    const reading = this.#connection.run(this.#child.stdout);
    this.died = this.#watch(reading, this.#readStderr());
    this.#guardStateDir();
    this.#guardMemory();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** False from the moment that its end was seen or decided. */
  get isUsable(): boolean {
    return !this.#isDead && this.#killReason === undefined;
  }

  /** Lines of stdout that may have carried something and could not be read. */
  get droppedLines(): number {
    return this.#connection.droppedLines;
  }

  /**
   * The raw answer to `initialize`.
   * @throws {DriverError} the driver's own, or `broken`
   */
  async initialize(params: InitializeParams): Promise<unknown> {
    const { handshakeMs, pluginName } = this.#options;
    const stop = this.#after(handshakeMs, () => {
      this.#kill("handshake", `Plugin "${pluginName}" did not answer "initialize" within ${seconds(handshakeMs)}`);
    });
    try {
      return await this.#connection.request("initialize", params);
    } finally {
      stop();
    }
  }

  /**
   * The raw answer to a call.
   * @throws {DriverError} the driver's own, `cancelled`, or `broken` with the {@linkcode PluginDeath} as its cause
   */
  async call(method: string, params: unknown, controls: CallControls = {}): Promise<unknown> {
    const { signal, onNotification, growing, limit } = controls;
    const { clock, stallMs, pluginName } = this.#options;
    let sizeBytes = growing?.sizeBytes ?? 0;
    const watchdog = new Watchdog({
      clock,
      limitMs: stallMs,
      hasSignOfLife: () => {
        if (this.#connection.isHandling) return true;
        const nowBytes = growing === undefined ? 0 : sizeOf(growing.file);
        if (nowBytes <= sizeBytes) return false;
        sizeBytes = nowBytes;
        return true;
      },
      onStall: () => {
        this.#kill("stall", `Plugin "${pluginName}" gave no sign of life during "${method}" for ${seconds(stallMs)}`);
      },
    });
    this.#watchdogs.add(watchdog);
    let stopCancel: (() => void) | undefined;
    try {
      return await this.#connection.request(method, params, {
        ...(signal === undefined ? {} : { signal }),
        onNotification: (name, news) => {
          watchdog.touch(name === "$/progress" ? waitMsOf(news) : 0);
          return this.#afterHandling(onNotification?.(name, news));
        },
        onSent: (id) => {
          if (limit === undefined) return;
          limit.onChange = (maxBytesPerSecond) => this.#connection.notify("$/limit", { id, maxBytesPerSecond });
        },
        onCancel: () => {
          watchdog.stop();
          stopCancel = this.#after(CANCEL_MS, () => {
            this.#kill("cancel", `Plugin "${pluginName}" did not give up "${method}" within ${seconds(CANCEL_MS)}`);
          });
        },
      });
    } finally {
      watchdog.stop();
      this.#watchdogs.delete(watchdog);
      stopCancel?.();
    }
  }

  /** Ends it in at most 3 s, whatever it does. Calls under way are cancelled. */
  async shutdown(): Promise<void> {
    if (this.#isDead) return;
    this.#killReason ??= { reason: "shutdown", message: `Plugin "${this.#options.pluginName}" was shut down` };
    this.#connection.cancelAll();
    this.#connection.request("shutdown", {}).catch(() => {}).finally(() => this.#child.closeStdin());
    if (await this.#endsWithin(SHUTDOWN_MS)) return;
    this.#child.closeStdin();
    this.#child.kill("SIGTERM");
    if (await this.#endsWithin(TERMINATE_MS)) return;
    this.#child.kill("SIGKILL");
    // Longer only when the kernel cannot end it (a hung mount): then it is left to the kernel.
    await this.#endsWithin(DRAIN_MS);
  }

  #endsWithin(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const stop = this.#options.clock.after(ms, () => resolve(false));
      this.died.then(() => {
        stop();
        resolve(true);
      });
    });
  }

  #guardStateDir(): void {
    this.#after(STATE_LOOK_MS, () => {
      const problem = stateDirProblem(this.#options.spec.cwd);
      if (problem !== undefined) return this.#kill("state", `Plugin "${this.#options.pluginName}" ${problem}`);
      this.#guardStateDir();
    });
  }

  #guardMemory(): void {
    this.#after(MEMORY_LOOK_MS, () => {
      const { pluginName, memoryBytesMax } = this.#options;
      const bytes = memoryBytesOf(this.pid);
      if (bytes <= memoryBytesMax) return this.#guardMemory();
      const [used, most] = [mib(bytes), mib(memoryBytesMax)];
      this.#kill("memory", `Plugin "${pluginName}" took ${used} of memory: at most ${most} ("plugins.limits")`);
    });
  }

  #kill(reason: DeathReason, message: string): void {
    if (!this.isUsable) return;
    this.#killReason = { reason, message };
    if (reason === "handshake") return this.#child.kill("SIGKILL");
    this.#child.kill("SIGTERM");
    this.#after(TERMINATE_MS, () => this.#child.kill("SIGKILL"));
  }

  #expectExit(stream: string): void {
    if (!this.isUsable) return;
    this.#after(STREAMS_MS, () => this.#kill("streams", `Plugin "${this.#options.pluginName}" closed its ${stream}`));
  }

  #after(ms: number, run: () => void): () => void {
    const cancel = this.#options.clock.after(ms, () => {
      this.#timers.delete(stop);
      run();
    });
    const stop = () => {
      this.#timers.delete(stop);
      cancel();
    };
    this.#timers.add(stop);
    return stop;
  }

  /** While a handler of ours held back the reader, the signs of life of other calls waited in the pipe. */
  #afterHandling(handled: void | Promise<void>): void | Promise<void> {
    return handled?.then(() => {
      for (const watchdog of this.#watchdogs) watchdog.touch();
    });
  }

  #handleNotification(method: string, params: Record<string, unknown>): void {
    if (method !== "$/log") return this.#options.onNotification(method, params);
    const { level, message } = params;
    const known = level === "debug" || level === "warning" || level === "error" ? level : "info";
    if (typeof message === "string") this.#gate.write(known, this.#options.words(message));
  }

  #reportDropped(reason: DropReason, excerpt: string): void {
    const what = reason === "oversize" ? "a line over 1 MiB" : `a line that is no message (${reason})`;
    const shown = excerpt === "" ? "" : `: ${this.#options.words(excerpt)}`;
    this.#gate.write("warning", `Plugin wrote ${what} to stdout, which is ignored${shown}`);
  }

  async #readStderr(): Promise<void> {
    for await (const chunk of this.#child.stderr) this.#stderr.push(chunk);
    this.#stderr.end();
  }

  async #watch(reading: Promise<void>, logging: Promise<void>): Promise<PluginDeath> {
    const status = await this.#child.ended;
    this.#isDead = true;
    await this.#drain(Promise.allSettled([reading, logging]));
    for (const stop of [...this.#timers]) stop();
    this.#gate.tellSuppressed();
    const death = this.#death("exit", undefined, status);
    const retryAfterMs = this.#options.onDeath(death, this.#connection.pendingMethods);
    this.#connection.end((method) => brokenBy(death, retryAfterMs, method));
    return death;
  }

  /** Lets the last words arrive, but not wait for a process that fled from the group and holds the pipes. */
  async #drain(read: Promise<unknown>): Promise<void> {
    let stop = () => {};
    const late = new Promise<void>((resolve) => stop = this.#options.clock.after(DRAIN_MS, resolve));
    await Promise.race([read, late]);
    stop();
    await this.#child.release();
  }

  #death(
    fallback: DeathReason,
    message?: string,
    { exitCode, signal } = { exitCode: null as number | null, signal: null as string | null },
  ): PluginDeath {
    const name = this.#options.pluginName;
    const how = signal === null ? `ended with exit code ${exitCode}` : `was killed by ${signal}`;
    return new PluginDeath(message ?? this.#killReason?.message ?? `Plugin "${name}" ${how}`, {
      exitCode,
      signal,
      reason: this.#killReason?.reason ?? fallback,
      killedByUs: this.#killReason !== undefined,
      lastWords: this.#stderr.lastWords,
    });
  }
}

/** The error of a call that ended with the process. */
export function brokenBy(death: PluginDeath, retryAfterMs: number | undefined, method?: string): DriverError {
  const during = method === undefined || death.message.includes(`"${method}"`) ? "" : ` during "${method}"`;
  const hint = death.killedFromOutside && death.signal === "SIGKILL"
    ? "Look whether the machine ran out of memory: journalctl -k"
    : death.lastWords === ""
    ? undefined
    : `Its last words: ${death.lastWords}`;
  return new DriverError(death.reason === "shutdown" ? "cancelled" : "broken", death.message + during, {
    ...(hint === undefined ? {} : { hint }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    cause: death,
  });
}

function seconds(ms: number): string {
  return ms >= 1000 ? `${Math.round(ms / 100) / 10} s` : `${ms} ms`;
}

function sizeOf(file: string): number {
  try {
    return Deno.statSync(file).size;
  } catch {
    // Gone: then it does not grow.
    return 0;
  }
}
