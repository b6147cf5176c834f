/** How long a source is left alone between two listings. */

/** Listings are at least so far apart, milliseconds. */
const PAUSE_MS_MIN = 200;
/** A timer may fire this early, milliseconds. */
const TIMER_SLACK_MS = 5;

/** What a listing came to. */
export interface Listed {
  /** Files that must be seen once more, at least `settleMs` later. */
  settling: number;
  /** How long it took, milliseconds. */
  tookMs: number;
}

/**
 * How long to wait for the next listing, milliseconds: as the configuration says, but at least as long as the last one
 * took. A million files are listed for minutes on a small machine: without that it would do nothing else, all day.
 */
export function listingPauseMs({ settling, tookMs }: Listed, finder: { intervalMs: number; settleMs: number }): number {
  const wantedMs = settling > 0 ? Math.min(finder.intervalMs, finder.settleMs) : finder.intervalMs;
  return Math.max(PAUSE_MS_MIN, wantedMs, tookMs);
}

/** The same in a single run, which lists a second time only for what has to settle: nobody is kept waiting. */
export function settlingPauseMs(finder: { settleMs: number }): number {
  return Math.max(PAUSE_MS_MIN, finder.settleMs + TIMER_SLACK_MS);
}
