/**
 * A download that is slowed by its limit lets both kernels read ahead of it: megabytes that have crossed the link, are lost
 * with a driver that is killed, and are fetched again. What was never asked for cannot be lost, so a limited download asks
 * for one piece after the other. The question costs a round trip, which the limit's own waits hide when a piece is large
 * enough; a limit that slows nothing makes the pieces grow until they cost nothing.
 */
import { OVERLAP_BYTES } from "../../lib/protocol/serve.ts";

/** With the overlap that a resume compares, 256 KiB: what an interruption may cost a file, bytes. */
const LEAST_BYTES = 256 * 1024 - OVERLAP_BYTES;
/** From here on a round trip for each piece is nothing, bytes. */
const MOST_BYTES = 64 * 1024 * 1024;
/** Part of a piece's time that its limit held it up, from which on it counts as slowed. */
const SLOWED_SHARE = 0.05;

/** What one piece took. */
export interface PieceTimes {
  bytes: number;
  /** From the question to the beginning of its answer, milliseconds. */
  answerMs: number;
  /** Of it the limit held up this much, milliseconds. */
  waitedMs: number;
  /** All of it, milliseconds. */
  tookMs: number;
}

/** How much one download asks for at once. */
export class Pieces {
  #bytes = LEAST_BYTES;
  // The least: a server that was busy once is no longer link.
  #roundTripMs = Infinity;

  /** Bytes of the next one. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Told of each piece. */
  note({ bytes, answerMs, waitedMs, tookMs }: PieceTimes): void {
    this.#roundTripMs = Math.min(this.#roundTripMs, answerMs);
    this.#bytes = waitedMs < tookMs * SLOWED_SHARE
      ? Math.min(MOST_BYTES, this.#bytes * 2)
      : Math.min(MOST_BYTES, Math.max(LEAST_BYTES, Math.ceil(2 * this.#roundTripMs * bytes / Math.max(1, tookMs))));
  }
}
