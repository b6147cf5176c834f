/** What both roles of a device share: the process, its words and its state. */
import type { Capabilities, DeviceState, Role } from "../driver/mod.ts";
import { checkState } from "./check_answers.ts";
import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import { Coalescer } from "./coalescer.ts";
import type { HostedDeviceOptions } from "./hosted_device.ts";
import type { DeviceLog } from "./line_log.ts";
import { Supervisor } from "./supervisor.ts";
import { type Words, wordsFor } from "./words.ts";

/** One device, one process at a time. */
export class DeviceCore {
  readonly options: HostedDeviceOptions;
  readonly clock: Clock;
  readonly log: DeviceLog;
  readonly words: Words;
  readonly supervisor: Supervisor;
  readonly #listeners = new Set<(state: DeviceState) => void>();
  readonly #states: Coalescer<DeviceState>;
  readonly #capabilities = new Map<Role, Capabilities>();
  /** What the process said since `initialize`. */
  #callsMax: number | undefined;
  #deviceId: string | undefined;
  #isAway = false;
  #closing: Promise<void> | undefined;

  constructor(options: HostedDeviceOptions) {
    const { plugin, args, spoolDir, stateDir } = options;
    this.options = options;
    this.clock = options.clock ?? SYSTEM_CLOCK;
    this.log = options.log ?? (() => {});
    this.words = wordsFor(plugin.args, args);
    this.#states = new Coalescer((state) => this.#tell(state), this.clock);
    this.supervisor = new Supervisor({
      plugin,
      args,
      roles: plugin.exclusive ? plugin.roles : [options.role],
      spoolDir,
      spoolRoot: options.spoolRoot ?? spoolDir,
      stateDir,
      logLevel: options.logLevel ?? "info",
      stallMs: options.stallMs ?? 60_000,
      handshakeMs: options.handshakeMs ?? 15_000,
      clock: this.clock,
      log: this.log,
      words: this.words,
      random: options.random,
      launch: options.launch,
      ...(options.onMessage === undefined ? {} : { onMessage: options.onMessage }),
      onInitialized: ({ capabilities, deviceId }, role) => {
        this.#capabilities.set(role, capabilities);
        if (deviceId !== undefined) this.#deviceId = deviceId;
      },
      onNotification: (method, params) => {
        if (method !== "$/state") return;
        const state = checkState(params, this.words);
        // Entries that follow belong to it: the rest of the news may wait a moment, this may not.
        if (state.deviceId !== undefined) this.#deviceId = state.deviceId;
        this.#states.push(state);
      },
      onDeath: () => {
        this.#states.flush();
        this.#callsMax = undefined;
        if (this.#isAway) this.#tell({ available: true, held: false });
      },
    });
  }

  get deviceId(): string | undefined {
    return this.#deviceId;
  }

  /** What the driver said that it can do in a role, with the number of calls that it said last. */
  capabilitiesOf(role: Role): Capabilities {
    this.#states.flush();
    const told = this.#capabilities.get(role) ?? {};
    return this.#callsMax === undefined ? { ...told } : { ...told, callsMax: this.#callsMax };
  }

  onState(listener: (state: DeviceState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    await this.supervisor.close();
    this.#states.flush();
    this.#listeners.clear();
  }

  /** Hands on what the plugin has said so far. */
  flushStates(): void {
    this.#states.flush();
  }

  #tell(state: DeviceState): void {
    if (state.deviceId !== undefined) this.#deviceId = state.deviceId;
    if (state.callsMax !== undefined) this.#callsMax = state.callsMax;
    if (state.available !== undefined || state.held !== undefined) {
      this.#isAway = state.available === false || state.held === true;
    }
    for (const listener of this.#listeners) listener(state);
  }
}
