/** Time as the host sees it, so that tests can replace it. */

/** A monotonic clock with timers. */
export interface Clock {
  /** Milliseconds since any fixed moment; never goes back. */
  nowMs(): number;
  /** Calls `run` once after `ms`; the returned function prevents it. */
  after(ms: number, run: () => void): () => void;
}

/** The machine's clock. */
export const SYSTEM_CLOCK: Clock = {
  nowMs: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
