/** Ends what gives no sign of life: one for each call to a plugin. */
import { WAIT_MS_MAX } from "../protocol/messages.ts";
import type { Clock } from "./clock.ts";

export interface WatchdogOptions {
  clock: Clock;
  /** Longest silence, milliseconds. */
  limitMs: number;
  /** Asked once when the silence was too long, before `onStall`: the place for a look that costs. */
  hasSignOfLife: () => boolean;
  onStall: () => void;
}

/** Calls `onStall` once after `limitMs` without {@linkcode Watchdog.touch}. */
export class Watchdog {
  readonly #options: WatchdogOptions;
  #deadlineMs: number;
  #cancel: (() => void) | undefined;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#deadlineMs = options.clock.nowMs() + options.limitMs;
    this.#arm();
  }

  /**
   * A sign of life.
   * @param waitMs patience that is asked for until the next one, at most 30 minutes
   */
  touch(waitMs = 0): void {
    const { clock, limitMs } = this.#options;
    this.#deadlineMs = clock.nowMs() + Math.max(limitMs, Math.min(waitMs, WAIT_MS_MAX));
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(): void {
    const { clock } = this.#options;
    // Never re-armed by a touch, so that a busy call costs no timers.
    this.#cancel = clock.after(Math.max(1, this.#deadlineMs - clock.nowMs()), () => this.#fire());
  }

  #fire(): void {
    this.#cancel = undefined;
    if (this.#options.clock.nowMs() < this.#deadlineMs) return this.#arm();
    if (!this.#options.hasSignOfLife()) return this.#options.onStall();
    this.touch();
    this.#arm();
  }
}
