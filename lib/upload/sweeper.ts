/**
 * Takes away what was gathered on a target of files that a person has given up since: nobody will go on with it. What is
 * only parked stays, for `retry` goes on from there.
 */
import { asDriverError, isOfTheDevice, temporaryPath, type Turn } from "../driver/mod.ts";
import type { Log } from "../observe/mod.ts";
import { type AbandonedUpload, abandonedUploads, markSwept, type Store } from "../state/mod.ts";

/** Rows that are read at once. */
const PAGE = 64;

export class Sweeper {
  readonly #store: Store;
  readonly #target: { id: number; name: string };
  readonly #log: Log;
  #queue: AbandonedUpload[] = [];
  /** More may have been given up. */
  #mayHaveMore = true;
  /** What could not be removed: not tried again in this life of the program. */
  readonly #left = new Set<number>();

  constructor(store: Store, target: { id: number; name: string }, log: Log) {
    this.#store = store;
    this.#target = target;
    this.#log = log;
  }

  /** Something may have been given up. */
  wake(): void {
    this.#mayHaveMore = true;
  }

  /** Whether something is to be taken away. */
  hasWork(): boolean {
    if (this.#queue.length === 0 && this.#mayHaveMore) {
      const page = abandonedUploads(this.#store, this.#target.id, PAGE + this.#left.size);
      this.#queue = page.filter(({ id }) => !this.#left.has(id));
      this.#mayHaveMore = page.length === PAGE + this.#left.size;
    }
    return this.#queue.length > 0;
  }

  /** Takes one away. Ends the turn. */
  async sweep(turn: Turn, signal: AbortSignal): Promise<void> {
    const upload = this.#queue.shift();
    if (upload === undefined || turn.capabilities.remove !== true) {
      // Such a target keeps nothing under a name, or a person has to look.
      this.#queue = [];
      this.#mayHaveMore = false;
      return turn.end();
    }
    const path = await temporaryPath(upload.askedPath, upload.sha256);
    try {
      await turn.client.remove({ path, expect: {} }, { signal });
      turn.end();
      markSwept(this.#store, upload.id);
      await this.#store.durable();
    } catch (error) {
      const failure = asDriverError(error);
      turn.end(failure);
      if (failure.code === "cancelled") return;
      if (isOfTheDevice(failure)) return this.wake();
      this.#left.add(upload.id);
      this.#log.info(`"${path}" stays on "${this.#target.name}", of an upload that was given up: ${failure.message}`);
    }
  }
}
