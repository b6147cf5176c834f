/** The rates that a transfer keeps to, as bytes that may be asked for. */
import { type Clock, sleep } from "./clock.ts";

export interface CreditOptions {
  clock: Clock;
  /** Waits until so many bytes may come. */
  throttle: (bytes: number) => Promise<void>;
  /** Least of the limits that are known at the start, bytes a second. */
  rateMax?: number | undefined;
  /** The link's own limit, bytes a second. */
  linkRate?: number | undefined;
}

/** How many bytes may be asked for: what the limits allow, let in step by step. */
export class Credit {
  readonly #options: CreditOptions;
  readonly #onMore: () => void;
  readonly #stepBytes: number;
  readonly #abort = new AbortController();
  #bytes: number;
  #wake: () => void = () => {};
  #nextMs: number;

  constructor(options: CreditOptions, onMore: () => void) {
    this.#options = options;
    this.#onMore = onMore;
    const rate = Math.min(options.rateMax ?? Infinity, options.linkRate ?? Infinity);
    this.#stepBytes = Math.max(256, Math.min(16 * 1024, rate / 8));
    this.#bytes = this.#stepBytes;
    this.#nextMs = options.clock.nowMs();
    this.#run().catch(() => {
      // Cancelled: the transfer hears of it itself.
    });
  }

  get isAvailable(): boolean {
    return this.#bytes > 0;
  }

  take(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#bytes < this.#stepBytes) this.#wake();
  }

  stop(): void {
    this.#abort.abort();
    this.#wake();
  }

  async #run(): Promise<void> {
    const { throttle, linkRate, clock } = this.#options;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      while (this.#bytes >= this.#stepBytes && !signal.aborted) {
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
      if (signal.aborted) return;
      await throttle(this.#stepBytes);
      if (linkRate !== undefined) {
        const nowMs = clock.nowMs();
        this.#nextMs = Math.max(this.#nextMs, nowMs) + this.#stepBytes * 1000 / linkRate;
        if (this.#nextMs - nowMs > 1) await sleep(clock, this.#nextMs - nowMs, signal);
      }
      const wasAvailable = this.isAvailable;
      this.#bytes += this.#stepBytes;
      if (!wasAvailable && this.isAvailable) this.#onMore();
    }
  }
}
