/** Waiting for something to happen, without polling. */

/** A bell that wakes everyone who waits; rung while nobody waits, it wakes the next one who comes. */
export class Bell {
  #rung = false;
  #waiting = new Set<() => void>();

  /** Wakes all who wait. */
  ring(): void {
    if (this.#waiting.size === 0) {
      this.#rung = true;
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /** Resolves at the next ring, when `timeoutMs` has passed, or when `signal` is aborted: look again, whatever it was. */
  wait(signal?: AbortSignal, timeoutMs?: number): Promise<void> {
    // Whoever is stopping leaves the ring to one who can use it.
    if (signal?.aborted) return Promise.resolve();
    if (this.#rung) {
      this.#rung = false;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        this.#waiting.delete(done);
        resolve();
      };
      // setTimeout takes 31 bits of milliseconds.
      if (timeoutMs !== undefined) timer = setTimeout(done, Math.min(Math.max(0, timeoutMs), 0x7fffffff));
      signal?.addEventListener("abort", done, { once: true });
      this.#waiting.add(done);
    });
  }
}
