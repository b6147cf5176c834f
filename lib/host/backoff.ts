/** Exponential back-off with jitter: the one helper for it. */

export interface BackoffOptions {
  /** @default {1000} */
  firstMs?: number;
  /** @default {60000} */
  longestMs?: number;
  /** A number in [0, 1). @default {Math.random} */
  random?: () => number;
}

/** Delays that double from `firstMs` up to `longestMs`, each shortened by up to half at random. */
export class Backoff {
  readonly #firstMs: number;
  readonly #longestMs: number;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: BackoffOptions = {}) {
    this.#firstMs = options.firstMs ?? 1000;
    this.#longestMs = options.longestMs ?? 60_000;
    this.#random = options.random ?? Math.random;
  }

  /** Failures since the last reset. */
  get failures(): number {
    return this.#failures;
  }

  /** Counts a failure and returns how long to wait, milliseconds. */
  next(): number {
    // 2^30 is beyond any longest delay, and keeps the power finite.
    const fullMs = Math.min(this.#longestMs, this.#firstMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    return Math.round(fullMs * (1 - this.#random() / 2));
  }

  reset(): void {
    this.#failures = 0;
  }
}
