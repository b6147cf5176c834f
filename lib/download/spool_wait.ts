/**
 * Downloads that wait because the spool takes nothing now: told once in the log, kept in the store for `status`, and taken
 * back when it is over.
 */
import type { Log } from "../observe/mod.ts";
import { endPause, recordPause, type Store } from "../state/mod.ts";

/** A spool that is full for so long is told, milliseconds. */
const SHORT_TOLD_MS = 4000;

export const FULL = "Disk of the spool is full";

export class SpoolWait {
  readonly #store: Store;
  readonly #job: string;
  readonly #log: Log;
  #isWaiting = false;
  #isFullTold = false;
  /** Since when there is no room for the next file, monotonic milliseconds. */
  #shortSinceMs: number | undefined;
  /** Why the last write to the spool failed. */
  #trouble: string | undefined;
  #recorded: string | undefined;

  constructor(store: Store, job: string, log: Log) {
    this.#store = store;
    this.#job = job;
    this.#log = log;
  }

  /** Whether the queue waits for room in the spool. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Writing to the spool failed, although there seemed to be room: said once, until a file is in it again. */
  noteTrouble(reason: string): void {
    const words = /no space left/.test(reason) ? FULL : reason;
    if (this.#trouble !== words) this.#log.warning(`${words}: downloads wait, uploads go on`);
    this.#trouble = words;
    this.#isWaiting = true;
    this.#record(words);
  }

  /** @param also what goes on all the same */
  noteFull(reason: string, also = ", uploads go on"): void {
    if (!this.#isFullTold) this.#log.warning(`${reason}: downloads wait${also}`);
    this.#isFullTold = true;
    this.#isWaiting = true;
    if (this.#trouble === undefined) this.#record(reason);
  }

  /** A spool smaller than the work is full at every file: that is told when it lasts. */
  noteShort(reason: string): void {
    this.#isWaiting = true;
    this.#shortSinceMs ??= performance.now();
    if (performance.now() - this.#shortSinceMs >= SHORT_TOLD_MS) this.noteFull(reason);
  }

  /** There is room for a file. Whether it can be written is another matter. */
  noteRoom(): void {
    if (this.#isFullTold && this.#trouble === undefined) this.#log.info("Spool has room again: downloads go on");
    this.#isFullTold = false;
    this.#shortSinceMs = undefined;
    this.#isWaiting = false;
    if (this.#trouble === undefined) this.#record(undefined);
  }

  /** A file is in the spool. */
  noteWritten(): void {
    if (this.#trouble === undefined) return;
    this.#log.info("Spool can be written again: downloads go on");
    this.#trouble = undefined;
    this.#record(undefined);
  }

  #record(reason: string | undefined): void {
    if (reason === this.#recorded) return;
    this.#recorded = reason;
    if (reason === undefined) endPause(this.#store, this.#job);
    else recordPause(this.#store, this.#job, reason);
  }
}
