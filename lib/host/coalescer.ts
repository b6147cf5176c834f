/** Lets news through at most so often: the first at once, what follows merged into one. */
import type { Clock } from "./clock.ts";

/** Merges objects that come too often. Nothing is lost but what a later one overwrites. */
export class Coalescer<T extends object> {
  readonly #deliver: (news: T) => void;
  readonly #clock: Clock;
  readonly #intervalMs: number;
  #waiting: T | undefined;
  #deliveredMs = -Infinity;
  #cancel: (() => void) | undefined;

  constructor(deliver: (news: T) => void, clock: Clock, intervalMs = 100) {
    this.#deliver = deliver;
    this.#clock = clock;
    this.#intervalMs = intervalMs;
  }

  push(news: T): void {
    this.#waiting = this.#waiting === undefined ? news : { ...this.#waiting, ...news };
    if (this.#cancel !== undefined) return;
    // Most calls have one piece of news: that takes no timer.
    const waitMs = this.#deliveredMs + this.#intervalMs - this.#clock.nowMs();
    if (waitMs <= 0) this.#take();
    else this.#cancel = this.#clock.after(waitMs, () => this.#take());
  }

  /** Delivers what waits and stops the timer. What comes next is let through at once. */
  flush(): void {
    this.#cancel?.();
    this.#take();
    this.#deliveredMs = -Infinity;
  }

  #take(): void {
    this.#cancel = undefined;
    const news = this.#waiting;
    this.#waiting = undefined;
    if (news === undefined) return;
    this.#deliveredMs = this.#clock.nowMs();
    this.#deliver(news);
  }
}
