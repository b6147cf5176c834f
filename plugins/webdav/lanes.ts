/**
 * How many calls talk to the server at once; the rest wait in the driver, so that the next one begins the moment one ends.
 * Near a server four keep it busy. On a long way a small file is nothing but round trips, and only more of them at once
 * make it faster; a server that objects has its peace again.
 */

/** Where the way is short, and at servers that bear no more. */
export const NEAR_LANES = 4;
/** From this round trip on the way is long, milliseconds: a near server takes less for a small file. */
const LONG_MS = 5;

export interface LanesOptions {
  /** At most, from the configuration. */
  connections: number;
  /** Told whenever the number changes. */
  onLimit: (count: number) => void;
}

/** Lets calls in, in their order. */
export class Lanes {
  readonly #options: LanesOptions;
  #limit: number;
  #busyCount = 0;
  #hasObjected = false;
  #waiting: (() => void)[] = [];

  constructor(options: LanesOptions) {
    this.#options = options;
    this.#limit = Math.min(NEAR_LANES, options.connections);
  }

  /** Calls that may run at once now. */
  get limit(): number {
    return this.#limit;
  }

  /** Runs `work` when there is room for it. */
  async use<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    while (this.#busyCount >= this.#limit) await this.#turn(signal);
    signal.throwIfAborted();
    this.#busyCount++;
    try {
      return await work();
    } finally {
      this.#busyCount--;
      this.#wake();
    }
  }

  /** Told of a connection that was made: how long that took is the way there and back, whatever the server does. */
  noteRoundTrip(ms: number): void {
    if (ms >= LONG_MS && !this.#hasObjected) this.#setLimit(this.#options.connections);
  }

  /** The server has too much to do. */
  noteObjection(): void {
    this.#hasObjected = true;
    this.#setLimit(Math.min(NEAR_LANES, this.#options.connections));
  }

  #setLimit(limit: number): void {
    if (limit === this.#limit) return;
    this.#limit = limit;
    this.#options.onLimit(limit);
    for (let room = limit - this.#busyCount; room > 0; room--) this.#wake();
  }

  #wake(): void {
    this.#waiting.shift()?.();
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = () => {
        signal.removeEventListener("abort", stop);
        resolve();
      };
      const stop = () => {
        this.#waiting = this.#waiting.filter((other) => other !== wake);
        reject(signal.reason);
      };
      signal.throwIfAborted();
      signal.addEventListener("abort", stop, { once: true });
      this.#waiting.push(wake);
    });
  }
}
