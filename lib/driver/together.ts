/** Work that costs little more for many than for one, such as an fsync: who asks while one run is under way shares the next. */

/** Gathers items and works on them together, one run after the other. */
export class Together<T> {
  readonly #work: (items: T[]) => Promise<PromiseSettledResult<unknown>[]>;
  readonly #most: number;
  #waiting: { item: T; resolve: () => void; reject: (error: unknown) => void }[] = [];
  #isRunning = false;

  /**
   * @param work does it for all `items`; what it begins after it was called counts for all of them. The results are in
   *   the order of the items
   * @param most items in one run
   */
  constructor(work: (items: T[]) => Promise<PromiseSettledResult<unknown>[]>, most: number) {
    this.#work = work;
    this.#most = most;
  }

  /** Resolves when a run that began after this call has done `item`; rejects with that item's own failure. */
  add(item: T): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#isRunning) return;
      this.#isRunning = true;
      // Not at once: those who ask in this turn of the event loop come along.
      setImmediate(() => this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const taken = this.#waiting.splice(0, this.#most);
      const results = await this.#work(taken.map(({ item }) => item));
      for (const [at, { resolve, reject }] of taken.entries()) {
        const result = results[at]!;
        if (result.status === "fulfilled") resolve();
        else reject(result.reason);
      }
      // Whoever waited goes on now, and may ask for more that belongs into the next run.
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    this.#isRunning = false;
  }
}
