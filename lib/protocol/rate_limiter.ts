/**
 * A token bucket for one call. It lives here because the bytes move in the plugin.
 */

/** Longest single wait, so that a change of the limit is felt soon, milliseconds. */
const WAIT_SLICE_MS = 250;
/** How much may be moved at once after a pause, in seconds of the limit. */
const BURST_SECONDS = 0.25;

/** Time as the limiter needs it; tests bring their own. */
export interface LimiterTime {
  /** Milliseconds since any fixed moment. */
  nowMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted before. */
  pause(ms: number, signal?: AbortSignal): Promise<void>;
}

const SYSTEM_TIME: LimiterTime = { nowMs: () => performance.now(), pause };

/** Limits bytes per second; without a limit it never waits. */
export class RateLimiter {
  #bytesPerSecond: number | undefined;
  #tokens = 0;
  #refilledMs = 0;
  readonly #time: LimiterTime;

  constructor(bytesPerSecond?: number, time: LimiterTime = SYSTEM_TIME) {
    this.#time = time;
    this.setLimit(bytesPerSecond);
  }

  /** Changes the limit at once; `undefined` or 0 lifts it. */
  setLimit(bytesPerSecond: number | undefined): void {
    // What was earned so far is kept: a limit that is divided anew at each file would hardly be used otherwise.
    this.#refill();
    this.#bytesPerSecond = bytesPerSecond !== undefined && bytesPerSecond > 0 ? bytesPerSecond : undefined;
  }

  /**
   * Waits until `bytes` may be moved.
   * @throws {DOMException} `AbortError` when `signal` is aborted
   */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#bytesPerSecond === undefined) return;
    this.#refill();
    this.#tokens -= bytes;
    for (;;) {
      this.#refill();
      const limit = this.#bytesPerSecond;
      if (limit === undefined || this.#tokens >= 0) return;
      const waitMs = Math.min(WAIT_SLICE_MS, (-this.#tokens / limit) * 1000);
      await this.#time.pause(waitMs, signal);
    }
  }

  #refill(): void {
    const nowMs = this.#time.nowMs();
    const limit = this.#bytesPerSecond;
    if (limit === undefined) {
      this.#tokens = 0;
    } else {
      const earned = ((nowMs - this.#refilledMs) / 1000) * limit;
      this.#tokens = Math.min(this.#tokens + earned, limit * BURST_SECONDS);
    }
    this.#refilledMs = nowMs;
  }
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
