/** Why downloads wait for the spool, as the process that syncs has said last: `status` is another process. */
import type { SpoolPause } from "../observe/mod.ts";
import { StateError } from "./errors.ts";
import type { Store } from "./store.ts";

const KEY = "pause:";

/** Records why a job's downloads wait for the spool. A disk that is full for the store, too, keeps it from being recorded. */
export function recordPause(store: Store, job: string, reason: string): void {
  unlessFull(() => store.setMeta(KEY + job, JSON.stringify({ reason, since: new Date().toISOString() })), store);
}

/** A job's downloads go on. */
export function endPause(store: Store, job: string): void {
  unlessFull(() => store.run("DELETE FROM meta WHERE key = ?", KEY + job), store);
}

/** A new process has found nothing out yet. */
export function endPauses(store: Store): void {
  unlessFull(() => store.run("DELETE FROM meta WHERE key >= ? AND key < ?", KEY, "pause;"), store);
}

/** What was last said of a job; `undefined` when its downloads do not wait for the spool. */
export function pauseOf(store: Store, job: string): SpoolPause | undefined {
  const value = store.meta(KEY + job);
  return value === undefined ? undefined : JSON.parse(value) as SpoolPause;
}

function unlessFull(change: () => void, store: Store): void {
  try {
    store.write(change);
  } catch (error) {
    if (!(error instanceof StateError) || error.code !== "no_space") throw error;
  }
}
