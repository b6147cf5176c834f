/** Drives a scheduler by the monotonic clock. */
import type { Scheduler } from "./scheduler.ts";

export class RealTime {
  readonly #startMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerMs = Infinity;
  #isRunning = true;

  constructor(readonly scheduler: Scheduler) {
    this.#startMs = performance.now() - scheduler.nowMs;
    scheduler.onEarlier = () => this.#watch();
    this.#watch();
  }

  /** Milliseconds since the start. */
  get nowMs(): number {
    return performance.now() - this.#startMs;
  }

  /** Does what is due, and then what is to be done now. */
  now(run: () => void = () => {}): void {
    if (!this.#isRunning) return;
    this.scheduler.runUntil(this.nowMs);
    run();
    this.scheduler.runUntil(this.scheduler.nowMs);
    this.#watch();
  }

  stop(): void {
    this.#isRunning = false;
    clearTimeout(this.#timer);
    this.scheduler.clear();
  }

  #watch(): void {
    const next = this.scheduler.nextMs;
    if (!this.#isRunning || next === undefined || (this.#timer !== undefined && next >= this.#timerMs)) return;
    clearTimeout(this.#timer);
    this.#timerMs = next;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#timerMs = Infinity;
      this.now();
    }, Math.max(0, next - this.nowMs));
  }
}
