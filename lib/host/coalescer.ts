/** Lets news through at most so often: the first at once, what follows merged into one. */
import type { Clock } from "./clock.ts";

/** Merges objects that come too often. Nothing is lost but what a later one overwrites. */
export class Coalescer<T extends object> {
  readonly #deliver: (news: T) => void;
  readonly #clock: Clock;
  readonly #intervalMs: number;
  #waiting: T | undefined;
  #cancel: (() => void) | undefined;

  constructor(deliver: (news: T) => void, clock: Clock, intervalMs = 100) {
    this.#deliver = deliver;
    this.#clock = clock;
    this.#intervalMs = intervalMs;
  }

  push(news: T): void {
    this.#waiting = this.#waiting === undefined ? news : { ...this.#waiting, ...news };
    if (this.#cancel === undefined) this.#open();
  }

  /** Delivers what waits and stops the timer. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#take();
  }

  #open(): void {
    this.#cancel = undefined;
    if (this.#waiting === undefined) return;
    this.#cancel = this.#clock.after(this.#intervalMs, () => this.#open());
    this.#take();
  }

  #take(): void {
    const news = this.#waiting;
    this.#waiting = undefined;
    if (news !== undefined) this.#deliver(news);
  }
}
