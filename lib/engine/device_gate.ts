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
import { type PooledTurn, TurnPool, type TurnTaker } from "./turns.ts";

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
  /** The turns at the process, shared with the device's other role when it has one. @default {its own} */
  turns?: TurnPool;
  /** Replaced by tests. */
  clock?: Clock;
}

/** Why a device cannot be used now. */
export interface Closed {
  code: ErrorCode;
  reason: string;
  hint?: string;
}

/** How often a device that is away is asked for, milliseconds. */
const AWAY = { firstMs: 1000, maxMs: 30_000 };
const DENIED_MS = 60 * 60 * 1000;
const HELD_MS = 30_000;
const NO_SPACE = { firstMs: 15_000, maxMs: 10 * 60 * 1000 };
/** Codes that speak of the process or of the whole device, and so of both of its roles. */
const OF_BOTH_ROLES: readonly ErrorCode[] = ["unavailable", "held", "broken"];
/** Codes after which a device that was asked stays closed. */
const CLOSING: readonly ErrorCode[] = ["unavailable", "broken", "held", "denied", "invalid_config"];
/** A device that answered when it was asked, and failed in use all the same, so often in a row: its word is not told on. */
const RELAPSES_TOLD = 2;
/** What the device thinks of our configuration does not change by itself. */
const NEVER_MS = 0x7fffffff;

/** One device in one role, shared by the jobs that use it. */
export class DeviceGate implements DeviceAccess, TurnTaker<GateTurn> {
  readonly name: string;
  readonly #options: GateOptions;
  #capabilities: Capabilities | undefined;
  #connecting = false;
  #closed: Closed | undefined;
  /** Why it was closed, while its next use tries whether it still is. */
  #onTrial: Closed | undefined;
  #failures = 0;
  /** Since a look has opened the gate, nothing succeeded. */
  #isUnproven = false;
  /** How often in a row it closed again unproven. */
  #relapses = 0;
  /** Why the device says that it is held, until it says that it is not: no error and no answer outweighs that. */
  #heldReason: string | undefined;
  #cancelTimer: () => void = () => {};
  #stopped = false;
  readonly #abort = new AbortController();
  readonly #turns: TurnPool;
  #active = 0;
  #openings = 0;

  constructor(options: GateOptions) {
    this.name = options.name;
    this.#options = options;
    this.#turns = options.turns ?? new TurnPool();
    this.#turns.join(this);
    options.client.onState((state) => this.#onState(state));
  }

  get deviceId(): string {
    return this.#options.client.deviceId ?? this.name;
  }

  get isOpen(): boolean {
    return this.#closed === undefined;
  }

  /** It is open to find out whether it can be used: most often it cannot. */
  get isOnTrial(): boolean {
    return this.#onTrial !== undefined;
  }

  /** Why the device cannot be used, or `undefined` when it can. */
  get closed(): Closed | undefined {
    return this.#closed;
  }

  get callsMax(): number {
    return this.#capabilities?.callsMax ?? 1;
  }

  /** For `TurnPool`. */
  get callsAhead(): number {
    return this.#capabilities?.callsAhead ?? 0;
  }

  /** How often the device came back since the start: its visits. */
  get openings(): number {
    return this.#openings;
  }

  /** Whether the device can be let go. */
  get canRelease(): boolean {
    return this.#capabilities?.release === true;
  }

  /** Calls under way. */
  get active(): number {
    return this.#active;
  }

  /** For `TurnPool`: open, and what the device can do is known. */
  get isReady(): boolean {
    return !this.#stopped && this.#closed === undefined && this.#capabilities !== undefined;
  }

  /** For `TurnPool` only. */
  newTurn(alone: boolean): GateTurn {
    this.#active++;
    return new GateTurn(this, this.#options.client, this.#capabilities ?? {}, alone);
  }

  async turn(user: string, options: TurnOptions): Promise<Turn> {
    const { signal, alone = false, ahead = false } = options;
    // A job's two sides of one process are two users.
    const asked = this.#turns.ask(this, `${user}\n${this.#options.role}`, { signal, alone, ahead });
    this.#serve();
    return await asked;
  }

  /** There will be work soon: the plugin may start meanwhile. Touches no device. */
  prepare(): void {
    if (!this.#stopped && this.#closed === undefined && this.#capabilities === undefined) this.#connect();
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
        return this.#closeBoth(closed, Math.max(backoffMs(this.#failures, AWAY), details.retryAfterMs ?? 0));
      case "broken":
        return this.#closeBoth(closed, details.retryAfterMs ?? backoffMs(this.#failures, AWAY));
      case "held":
        // Whoever says "at once" and refuses all the same would be asked without end.
        return this.#closeBoth(closed, Math.max(details.retryAfterMs ?? HELD_MS, backoffMs(1 + this.#relapses, AWAY)));
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
    if (state.callsMax !== undefined && this.#capabilities !== undefined) {
      this.#capabilities = { ...this.#capabilities, callsMax: state.callsMax };
      this.#serve();
    }
    const reason = state.reason ?? "Device says so";
    if (state.held !== undefined) this.#heldReason = state.held ? reason : undefined;
    if (this.#heldReason !== undefined) this.#close({ code: "held", reason: this.#heldReason }, NEVER_MS);
    else if (state.available === false) this.#close({ code: "unavailable", reason }, AWAY.maxMs);
    else if (state.available === true || (state.held === false && this.#closed?.code === "held")) this.#openUp();
  }

  /** The other role of the device is at the same process: what this one learned holds for both. */
  #closeBoth(closed: Closed, againMs: number): void {
    this.#close(closed, againMs);
    for (const other of this.#others()) {
      if (!other.#stopped && other.#closed === undefined) other.#close(closed, againMs);
    }
  }

  #others(): DeviceGate[] {
    return [...this.#turns.takers].filter((taker): taker is DeviceGate =>
      taker instanceof DeviceGate && taker !== this
    );
  }

  #close(closed: Closed, againMs: number): void {
    const was = this.#closed ?? this.#onTrial;
    if (this.#isUnproven) this.#relapses++;
    this.#isUnproven = false;
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
      const code = (this.#closed ?? this.#onTrial)!.code;
      this.#closed = undefined;
      this.#onTrial = undefined;
      this.#openings++;
      this.#tell(undefined);
      if (OF_BOTH_ROLES.includes(code)) this.#others().forEach((other) => other.#lookIfClosedWith(code));
    }
    this.#serve();
  }

  /**
   * Only use shows whether a full target has room again, and whether one is whole that answers and fails all the same (a
   * firewall that lets no data connection through): until a call succeeds nobody is told, since most often it is not.
   */
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

  #lookIfClosedWith(code: ErrorCode): void {
    if (this.#closed?.code !== code) return;
    this.#cancelTimer();
    this.#lookAgain();
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
      if (CLOSING.includes(code)) return this.report(asDriverError(error));
    }
    if (this.#stopped || this.#heldReason !== undefined) return;
    this.#isUnproven = true;
    if (this.#relapses >= RELAPSES_TOLD) this.#openOnTrial();
    else this.#openUp();
  }

  /** Hands out turns, to the other role too: what one gives back the other may take. */
  #serve(): void {
    if (this.#stopped) return;
    if (this.#closed === undefined && this.#capabilities === undefined && this.#turns.hasWaiters(this)) this.#connect();
    this.#turns.serve();
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
        const { message, details } = asDriverError(error);
        this.report(asDriverError(error));
        // Whatever it calls it: what cannot be started cannot be used, and nobody else would ask again.
        if (!this.#stopped && this.#closed === undefined) this.report(new DriverError("broken", message, details));
      },
    );
  }

  /** For `GateTurn` only. */
  endTurn(turn: GateTurn, error: DriverError | undefined, hasProgressed: boolean): void {
    this.#active--;
    this.#turns.end(turn, { pluginDied: error?.code === "broken" });
    if (error === undefined || hasProgressed) {
      this.#isUnproven = false;
      this.#relapses = 0;
    }
    if (error === undefined) {
      this.#failures = 0;
      if (this.#onTrial !== undefined) this.#openUp();
    } else {
      // A bad link that carries a bit each time must not wait longer and longer.
      if (hasProgressed && error.code === "unavailable") this.#failures = 0;
      // What was under way when the gate closed fails of the same cause: one failure, however many calls it hit.
      if (this.#closed?.code !== error.code) this.report(error);
    }
    this.#serve();
  }
}

class GateTurn implements Turn, PooledTurn {
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
