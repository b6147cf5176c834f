/** Lets work of the same name run one after another. */
export class Queues {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs `work` when all that was given for `name` before is over, however it ended. */
  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(name);
    const running = before === undefined ? work() : before.then(work, work);
    this.#tails.set(name, running);
    try {
      return await running;
    } finally {
      if (this.#tails.get(name) === running) this.#tails.delete(name);
    }
  }
}
