/**
 * The flight gate: whether anything may be asked of the autopilot. It opens only after heartbeats have said "disarmed"
 * without a break for the time that the autopilot needs to close its log, and shuts within the call that hears "armed".
 */
import type { Clock } from "./clock.ts";
import { AUTOPILOT, type Heartbeat } from "./messages.ts";

/** Without a heartbeat for so long nobody knows whether the vehicle is armed, milliseconds. */
export const SILENCE_MS = 3000;
/** PX4 closes its log at once; logloader waits as long. */
const SETTLE_MS = 3000;
/** ArduPilot goes on logging for 15 s after it was disarmed (ArduPilot issue 12467). */
const SETTLE_ARDUPILOT_MS = 20_000;

/** `silent`: no heartbeat, so armed is not known. `settling`: disarmed, and the log may still be open. */
export type GateState = "silent" | "armed" | "settling" | "open";

export interface FlightGateOptions {
  clock: Clock;
  /** Replaces the autopilot's own. */
  settleMs?: number | undefined;
  /** Called at each change, after it has taken effect. */
  onChange: (state: GateState) => void;
}

export class FlightGate {
  readonly #options: FlightGateOptions;
  #state: GateState = "silent";
  #settleMs: number | undefined;
  #openAtMs = 0;
  #heardMs = -Infinity;
  #cancelSilence: () => void = () => {};
  #cancelSettle: () => void = () => {};

  constructor(options: FlightGateOptions) {
    this.#options = options;
  }

  get state(): GateState {
    return this.#state;
  }

  /** Looks at the clock too: after a pause of this process a request could come before the timer that knows of it. */
  get isOpen(): boolean {
    return this.#state === "open" && this.silentMs <= SILENCE_MS;
  }

  /** Nobody knows whether the vehicle is armed. */
  get isSilent(): boolean {
    return this.#state === "silent" || this.silentMs > SILENCE_MS;
  }

  /** Milliseconds until the gate opens if the vehicle stays disarmed; 0 when it is open, `undefined` when not known. */
  get opensInMs(): number | undefined {
    if (this.isOpen) return 0;
    return this.#state === "settling" ? Math.max(0, this.#openAtMs - this.#options.clock.nowMs()) : undefined;
  }

  /** Milliseconds since the last heartbeat. */
  get silentMs(): number {
    return this.#options.clock.nowMs() - this.#heardMs;
  }

  /** A heartbeat of the autopilot. */
  hear({ isArmed, autopilot }: Heartbeat): void {
    const { clock } = this.#options;
    const nowMs = clock.nowMs();
    if (this.silentMs > SILENCE_MS) {
      // This process was paused: what waited to be read tells of the past, and the settling time begins anew.
      this.#cancelSettle();
      this.#set("silent");
    }
    this.#heardMs = nowMs;
    if (this.#state === "silent") this.#watchSilence(SILENCE_MS);
    if (isArmed) {
      this.#cancelSettle();
      return this.#set("armed");
    }
    if (this.#state === "settling" || this.#state === "open") return;
    this.#settleMs = this.#options.settleMs ?? (autopilot === AUTOPILOT.ARDUPILOT ? SETTLE_ARDUPILOT_MS : SETTLE_MS);
    if (this.#settleMs <= 0) return this.#set("open");
    this.#openAtMs = nowMs + this.#settleMs;
    this.#cancelSettle = clock.after(this.#settleMs, () => this.#settled());
    this.#set("settling");
  }

  /** The link is gone. */
  shut(): void {
    this.#cancelSilence();
    this.#cancelSettle();
    this.#heardMs = -Infinity;
    this.#set("silent");
  }

  #watchSilence(delayMs: number): void {
    this.#cancelSilence = this.#options.clock.after(delayMs, () => {
      const leftMs = SILENCE_MS - this.silentMs;
      if (leftMs > 0) return this.#watchSilence(Math.max(1, leftMs));
      this.#cancelSettle();
      this.#set("silent");
    });
  }

  #settled(): void {
    // Heartbeats without a break: after a pause of this process the timer that knows of the silence may come later.
    if (this.silentMs <= SILENCE_MS) this.#set("open");
  }

  #set(state: GateState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.onChange(state);
  }
}
