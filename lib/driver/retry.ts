/** Back-off, the one helper: exponential, capped, with jitter. */

export interface BackoffOptions {
  /** First wait, milliseconds. */
  firstMs: number;
  /** Longest wait, milliseconds. */
  maxMs: number;
  /** Share of the wait that is random, 0 to 1. */
  jitter?: number;
  /** Replaced by tests. */
  random?: () => number;
}

/** How long to wait after the `failures`-th failure in a row (1 for the first), milliseconds. */
export function backoffMs(failures: number, options: BackoffOptions): number {
  const { firstMs, maxMs, jitter = 0.25, random = Math.random } = options;
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(30, Math.max(0, failures - 1)));
  return Math.max(1, Math.round(full * (1 - jitter + 2 * jitter * random())));
}
