/** When a process gives back the memory that it does not need: when nothing is under way any more, and not all the time. */
import { spareMemory } from "./spare_memory.ts";

/** So long after work began it is looked whether it is over, milliseconds: what follows at once would need it again. */
const QUIET_MS = 3000;
/** Between two times, milliseconds: it costs some 20 ms of processor time. */
const INTERVAL_MS = 60_000;

/** What tests replace. */
export interface MemorySaverSeams {
  spare?: () => void;
  nowMs?: () => number;
  /** Calls `run` once after `ms`; what is returned prevents it. */
  after?: (ms: number, run: () => void) => () => void;
}

/** Watches over one process. */
export class MemorySaver {
  readonly #isBusy: () => boolean;
  readonly #spare: () => void;
  readonly #nowMs: () => number;
  readonly #after: (ms: number, run: () => void) => () => void;
  #lastMs = -Infinity;
  #cancel: (() => void) | undefined;

  /** @param isBusy whether something is under way that needs the memory */
  constructor(isBusy: () => boolean, seams: MemorySaverSeams = {}) {
    this.#isBusy = isBusy;
    this.#spare = seams.spare ?? spareMemory;
    this.#nowMs = seams.nowMs ?? (() => performance.now());
    this.#after = seams.after ?? afterUnref;
  }

  /** Something is or was under way. */
  noteWork(): void {
    if (this.#cancel !== undefined) return;
    const waitMs = Math.max(QUIET_MS, this.#lastMs + INTERVAL_MS - this.#nowMs());
    this.#cancel = this.#after(waitMs, () => this.#look());
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
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
