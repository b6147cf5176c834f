/** One timer for all that is to be looked at now and then: one for each of thousands of small files costs more than the looks. */
export class Ticker {
  readonly #everyMs: number;
  readonly #looks = new Set<() => void>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** Calls `look` at each tick, the first within one interval, until what is returned is called. */
  add(look: () => void): () => void {
    this.#looks.add(look);
    this.#timer ??= setInterval(() => this.#tick(), this.#everyMs);
    return () => {
      this.#looks.delete(look);
      if (this.#looks.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  #tick(): void {
    for (const look of [...this.#looks]) look();
  }
}
