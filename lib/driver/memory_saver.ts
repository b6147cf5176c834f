/**
 * When a process gives back the memory that it does not need: what its start took, when work has begun; and all that
 * can be given when nothing is under way any more, not all the time.
 */
import { spareMemory, spareStart } from "./spare_memory.ts";

/** So long after work began it is looked whether it is over, milliseconds: what follows at once would need it again. */
const QUIET_MS = 3000;
/** So long after work began what only the start needed is given back, milliseconds. */
const START_MS = 500;
/** Between two times, milliseconds: it costs some 20 ms of processor time. */
const INTERVAL_MS = 60_000;

/** What tests replace. */
export interface MemorySaverSeams {
  spare?: () => void;
  spareStart?: () => void;
  nowMs?: () => number;
  /** Calls `run` once after `ms`; what is returned prevents it. */
  after?: (ms: number, run: () => void) => () => void;
}

/** Watches over one process. */
export class MemorySaver {
  readonly #isBusy: () => boolean;
  readonly #spare: () => void;
  readonly #spareStart: () => void;
  readonly #nowMs: () => number;
  readonly #after: (ms: number, run: () => void) => () => void;
  #lastMs = -Infinity;
  #cancel: (() => void) | undefined;
  #cancelStart: (() => void) | undefined;

  /** @param isBusy whether something is under way that needs the memory */
  constructor(isBusy: () => boolean, seams: MemorySaverSeams = {}) {
    this.#isBusy = isBusy;
    this.#spare = seams.spare ?? spareMemory;
    this.#spareStart = seams.spareStart ?? spareStart;
    this.#nowMs = seams.nowMs ?? (() => performance.now());
    this.#after = seams.after ?? afterUnref;
  }

  /** Something is or was under way. */
  noteWork(): void {
    this.#cancelStart ??= this.#after(START_MS, this.#spareStart);
    if (this.#cancel !== undefined) return;
    const waitMs = Math.max(QUIET_MS, this.#lastMs + INTERVAL_MS - this.#nowMs());
    this.#cancel = this.#after(waitMs, () => this.#look());
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#cancelStart?.();
  }

  #look(): void {
    this.#cancel = undefined;
    if (this.#isBusy()) return this.noteWork();
    this.#lastMs = this.#nowMs();
    this.#spare();
  }
}

/** A timer that keeps no process alive. */
function afterUnref(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms);
  Deno.unrefTimer(timer);
  return () => clearTimeout(timer);
}
