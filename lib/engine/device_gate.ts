/**
 * The connection checker of one device: whether it can be used, who may use it next, and when to look again. A device
 * that is away holds its queue; one event per transition, which becomes one line of the log.
 */
import {
  asDriverError,
  backoffMs,
  type Capabilities,
  type DeviceAccess,
  type DeviceClient,
  type DeviceState,
  DriverError,
  type ErrorCode,
  type Role,
  type Turn,
  type TurnOptions,
} from "../driver/mod.ts";
import { type Clock, SYSTEM_CLOCK } from "../host/clock.ts";
import type { EventBus } from "../observe/mod.ts";

/** What the gate needs of a hosted plugin. */
export interface GatedClient extends DeviceClient {
  readonly deviceId: string | undefined;
  onState(listener: (state: DeviceState) => void): void;
}

export interface GateOptions {
  name: string;
  role: Role;
  client: GatedClient;
  events: EventBus;
  /** Records each transition for `status`. */
  record: (state: { available: boolean; held: boolean; code?: string; reason?: string }) => void;
  /** Called when the gate opens or closes. */
  onChange: () => void;
  /** Replaced by tests. */
  clock?: Clock;
}

/** Why a device cannot be used now. */
export interface Closed {
  code: ErrorCode;
  reason: string;
  hint?: string;
}

interface Waiter {
  user: string;
  alone: boolean;
  resolve: (turn: Turn) => void;
}

/** How often a device that is away is asked for, milliseconds. */
const AWAY = { firstMs: 1000, maxMs: 30_000 };
const DENIED_MS = 60 * 60 * 1000;
const HELD_MS = 30_000;
const NO_SPACE = { firstMs: 15_000, maxMs: 10 * 60 * 1000 };
/** What the device thinks of our configuration does not change by itself. */
const NEVER_MS = 0x7fffffff;

/** One device in one role, shared by the jobs that use it. */
export class DeviceGate implements DeviceAccess {
  readonly name: string;
  readonly #options: GateOptions;
  #capabilities: Capabilities | undefined;
  #connecting = false;
  #closed: Closed | undefined;
  /** Why it was closed, while an upload tries whether it still is. */
  #onTrial: Closed | undefined;
  #failures = 0;
  /** Why the device says that it is held, until it says that it is not: no error and no answer outweighs that. */
  #heldReason: string | undefined;
  #cancelTimer: () => void = () => {};
  #stopped = false;
  readonly #abort = new AbortController();
  readonly #running = new Set<GateTurn>();
  #waiting: Waiter[] = [];
  #lastUser = "";
  #callsMax: number | undefined;

  constructor(options: GateOptions) {
    this.name = options.name;
    this.#options = options;
    options.client.onState((state) => this.#onState(state));
  }

  get deviceId(): string {
    return this.#options.client.deviceId ?? this.name;
  }

  get isOpen(): boolean {
    return this.#closed === undefined;
  }

  /** Why the device cannot be used, or `undefined` when it can. */
  get closed(): Closed | undefined {
    return this.#closed;
  }

  get callsMax(): number {
    return this.#callsMax ?? this.#capabilities?.callsMax ?? 1;
  }

  /** Calls under way. */
  get active(): number {
    return this.#running.size;
  }

  turn(user: string, options: TurnOptions): Promise<Turn> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        reject(signal.reason);
      };
      const waiter: Waiter = {
        user,
        alone: options.alone ?? false,
        resolve: (turn) => {
          signal.removeEventListener("abort", onAbort);
          resolve(turn);
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(waiter);
      this.#serve();
    });
  }

  /** Ends the checker. Turns that are under way are their owners' business. */
  stop(): void {
    this.#stopped = true;
    this.#abort.abort();
    this.#cancelTimer();
  }

  /** Takes an error's word on the device. */
  report(error: DriverError): void {
    const { code, message, details } = error;
    if (this.#stopped || this.#heldReason !== undefined || code === "cancelled") return;
    if (code === "denied" && details.scope === "file") return;
    const hint = details.hint;
    const closed: Closed = { code, reason: message, ...(hint === undefined ? {} : { hint }) };
    this.#failures++;
    switch (code) {
      case "unavailable":
        return this.#close(closed, Math.max(backoffMs(this.#failures, AWAY), details.retryAfterMs ?? 0));
      case "broken":
        return this.#close(closed, details.retryAfterMs ?? backoffMs(this.#failures, AWAY));
      case "held":
        return this.#close(closed, details.retryAfterMs ?? HELD_MS);
      case "denied":
        return this.#close(closed, backoffMs(1, { firstMs: DENIED_MS, maxMs: DENIED_MS }));
      case "invalid_config":
      case "unsupported":
        return this.#close(closed, NEVER_MS);
      case "no_space":
        // A full spool is the spool's business; only a target can be full itself.
        if (this.#options.role === "target") this.#close(closed, backoffMs(this.#failures, NO_SPACE));
        return;
      default:
        this.#failures--;
    }
  }

  #onState(state: DeviceState): void {
    if (this.#stopped) return;
    if (state.callsMax !== undefined) {
      this.#callsMax = state.callsMax;
      this.#serve();
    }
    const reason = state.reason ?? "Device says so";
    if (state.held !== undefined) this.#heldReason = state.held ? reason : undefined;
    if (this.#heldReason !== undefined) this.#close({ code: "held", reason: this.#heldReason }, NEVER_MS);
    else if (state.available === false) this.#close({ code: "unavailable", reason }, AWAY.maxMs);
    else if (state.available === true || (state.held === false && this.#closed?.code === "held")) this.#openUp();
  }

  #close(closed: Closed, againMs: number): void {
    const was = this.#closed ?? this.#onTrial;
    this.#onTrial = undefined;
    this.#closed = closed;
    this.#cancelTimer();
    const { clock = SYSTEM_CLOCK } = this.#options;
    this.#cancelTimer = clock.after(Math.min(againMs, NEVER_MS), () => this.#lookAgain());
    if (was?.code === closed.code) return;
    this.#tell(closed);
  }

  #openUp(): void {
    this.#cancelTimer();
    if (this.#closed !== undefined || this.#onTrial !== undefined) {
      this.#closed = undefined;
      this.#onTrial = undefined;
      this.#tell(undefined);
    }
    this.#serve();
  }

  /** Only an upload shows whether there is room again: until one succeeds nobody is told, since most often there is not. */
  #openOnTrial(): void {
    this.#cancelTimer();
    this.#onTrial = this.#closed;
    this.#closed = undefined;
    this.#options.onChange();
    this.#serve();
  }

  #tell(closed: Closed | undefined): void {
    const { name, role, events, record, onChange } = this.#options;
    const held = closed?.code === "held";
    const available = closed === undefined || held;
    events.emit({
      event: "device",
      device: name,
      role,
      available,
      ...(held ? { held } : {}),
      ...(closed === undefined ? {} : { code: closed.code, reason: closed.reason }),
      ...(closed?.hint === undefined ? {} : { hint: closed.hint }),
    });
    record({ available, held, ...(closed === undefined ? {} : { code: closed.code, reason: closed.reason }) });
    onChange();
  }

  /** Asks a closed device whether it is there, without touching a file. */
  async #lookAgain(): Promise<void> {
    if (this.#stopped || this.#heldReason !== undefined) return;
    if (this.#closed?.code === "no_space") return this.#openOnTrial();
    const { client } = this.#options;
    const signal = this.#abort.signal;
    try {
      this.#capabilities = await client.capabilities({ signal });
      await client.stat("", { signal });
    } catch (error) {
      const { code, message, details } = asDriverError(error);
      if (this.#stopped) return;
      // The root itself is missing: an unmounted drive looks so.
      if (code === "not_found") return this.report(new DriverError("unavailable", message, details));
      if (["unavailable", "broken", "held", "denied", "invalid_config"].includes(code)) {
        return this.report(asDriverError(error));
      }
    }
    if (this.#stopped || this.#heldReason !== undefined) return;
    this.#openUp();
  }

  /** Hands out turns: users take turns, each user's waiters in their order. */
  #serve(): void {
    if (this.#stopped || this.#closed !== undefined || this.#waiting.length === 0) return;
    const capabilities = this.#capabilities;
    if (capabilities === undefined) {
      this.#connect();
      return;
    }
    for (let waiter = this.#nextWaiter(); waiter !== undefined; waiter = this.#nextWaiter()) {
      this.#waiting = this.#waiting.filter((other) => other !== waiter);
      this.#lastUser = waiter.user;
      const turn = new GateTurn(this, this.#options.client, capabilities, waiter.alone);
      this.#running.add(turn);
      waiter.resolve(turn);
    }
  }

  #nextWaiter(): Waiter | undefined {
    const isAlone = [...this.#running].some((turn) => turn.wantsAlone);
    if (isAlone || this.#running.size >= this.callsMax) return undefined;
    const other = this.#waiting.find((waiter) => waiter.user > this.#lastUser) ?? this.#waiting[0];
    if (other === undefined) return undefined;
    if (other.alone && this.#running.size > 0) return undefined;
    return other;
  }

  #connect(): void {
    if (this.#connecting) return;
    this.#connecting = true;
    this.#options.client.capabilities({ signal: this.#abort.signal }).then(
      (capabilities) => {
        this.#capabilities = capabilities;
        this.#connecting = false;
        this.#serve();
      },
      (error) => {
        this.#connecting = false;
        this.report(asDriverError(error));
      },
    );
  }

  /** For `GateTurn` only. */
  endTurn(turn: GateTurn, error: DriverError | undefined, hasProgressed: boolean): void {
    if (error === undefined) {
      this.#failures = 0;
      if (this.#onTrial !== undefined) this.#openUp();
    } else {
      // All calls of a dead plugin fail together: only one that ran by itself is known to be the cause.
      if (error.code === "broken" && this.#running.size > 1) { for (const other of this.#running) other.shared = true; }
      // A bad link that carries a bit each time must not wait longer and longer.
      if (hasProgressed && error.code === "unavailable") this.#failures = 0;
      // What was under way when the gate closed fails of the same cause: one failure, however many calls it hit.
      if (this.#closed?.code !== error.code) this.report(error);
    }
    this.#running.delete(turn);
    this.#serve();
  }
}

class GateTurn implements Turn {
  readonly client: DeviceClient;
  readonly capabilities: Capabilities;
  readonly wantsAlone: boolean;
  /** Another call was under way when the plugin died. */
  shared = false;
  readonly #gate: DeviceGate;
  #ended = false;

  constructor(gate: DeviceGate, client: DeviceClient, capabilities: Capabilities, wantsAlone: boolean) {
    this.#gate = gate;
    this.client = client;
    this.capabilities = capabilities;
    this.wantsAlone = wantsAlone;
  }

  get alone(): boolean {
    return !this.shared;
  }

  end(error?: DriverError, hasProgressed = false): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#gate.endTurn(this, error, hasProgressed);
  }
}
