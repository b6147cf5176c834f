/** The source's copies that may be removed: only of files that every target has a receipt for. */
import type { Fingerprint } from "../driver/mod.ts";
import { fingerprintOfRow } from "./listings.ts";
import type { Store } from "./store.ts";

/** What a receipt must say before the source's copy may go. */
export type DeleteProof = "size" | "checksum" | "accepted";

const ENOUGH: Record<DeleteProof, readonly string[]> = {
  checksum: ["checksum"],
  size: ["checksum", "size"],
  accepted: ["checksum", "size", "accepted"],
};

/** When the store's own clock was last brought up to date, by the monotonic clock; absent: by another process. */
const countedAt = new WeakMap<Store, number>();

/** The store's own clock, milliseconds: durations over restarts that a wrong date moves by a day at most. */
export function uptimeMs(store: Store): number {
  const counted = countedAt.get(store);
  const sinceMs = counted === undefined ? 0 : performance.now() - counted;
  return Math.floor(Number(store.meta("uptime_ms") ?? "0") + sinceMs);
}

/** Most time between two runs that is believed: a clock may have jumped by years meanwhile, in either direction. */
const GAP_MS_MAX = 24 * 60 * 60 * 1000;

/**
 * Starts the store's own clock, with the time since the last run as far as the date can be believed: runs from cron are
 * short, their graces long.
 */
export function startUptime(store: Store): void {
  const counted = store.meta("uptime_counted_at");
  const gapMs = counted === undefined ? 0 : Date.now() - Number(counted);
  setUptime(store, uptimeMs(store) + Math.min(GAP_MS_MAX, Math.max(0, gapMs)));
}

/** Writes down how late it is by the store's own clock; does nothing where that was not started. */
export function countUptime(store: Store): void {
  if (countedAt.has(store)) setUptime(store, uptimeMs(store));
}

function setUptime(store: Store, ms: number): void {
  countedAt.set(store, performance.now());
  store.write(() => {
    store.setMeta("uptime_ms", String(ms));
    store.setMeta("uptime_counted_at", String(Date.now()));
  });
}

/** Marks the copy of a file that is done as due after `graceMs`. Call inside `write`. */
export function markDue(store: Store, fileId: number, graceMs: number): void {
  store.run(
    "UPDATE file SET source_copy = 'due', due_at_ms = ? WHERE id = ? AND state = 'done' AND source_copy = 'kept'",
    uptimeMs(store) + graceMs,
    fileId,
  );
}

/** A source's copy that may be removed now. */
export interface DueRemoval {
  id: number;
  path: string;
  fingerprint: Fingerprint;
  /** Targets whose receipt is not proof enough, or that have none. */
  unproven: string[];
}

interface DueRow {
  id: number;
  path: string;
  size_bytes: number | null;
  modified_ms: number | null;
  etag: string | null;
  checksum_algorithm: string | null;
  checksum_value: string | null;
}

/** The first copies of a source that are due. */
export function dueRemovals(store: Store, sourceId: number, proof: DeleteProof, limit: number): DueRemoval[] {
  const rows = store.all<DueRow & Record<string, unknown>>(
    `SELECT * FROM file WHERE source_id = ? AND source_copy = 'due' AND due_at_ms <= ? ORDER BY due_at_ms LIMIT ?`,
    sourceId,
    uptimeMs(store),
    limit,
  );
  return rows.map((row) => ({
    id: row.id,
    path: row.path,
    fingerprint: fingerprintOfRow(row),
    unproven: unprovenTargets(store, row.id, proof),
  }));
}

/** Milliseconds until the next copy of a source is due; absent: none is. */
export function nextRemovalMs(store: Store, sourceId: number): number | undefined {
  const { due } = store.get<{ due: number | null }>(
    "SELECT min(due_at_ms) AS due FROM file WHERE source_id = ? AND source_copy = 'due'",
    sourceId,
  )!;
  return due === null ? undefined : Math.max(0, due - uptimeMs(store));
}

function unprovenTargets(store: Store, fileId: number, proof: DeleteProof): string[] {
  return store.all<{ name: string; verified: string | null; state: string | null }>(
    `SELECT t.name, d.verified, d.state FROM file f
       JOIN target t ON t.job_id = f.job_id AND t.retired = 0 AND t.first_file_id <= f.id
       LEFT JOIN delivery d ON d.file_id = f.id AND d.target_id = t.id
       WHERE f.id = ?`,
    fileId,
  ).filter((row) => row.state !== "delivered" || !ENOUGH[proof].includes(row.verified ?? "none"))
    .map((row) => row.name);
}

/** The copy is gone from the source. Await `durable()`. */
export function markRemoved(store: Store, fileId: number): void {
  store.write(() =>
    store.run(
      "UPDATE file SET source_copy = 'removed', removal = ? WHERE id = ?",
      new Date().toISOString(),
      fileId,
    )
  );
}

/** The copy stays: it changed, or its proof does not suffice. */
export function markRemovalRefused(store: Store, fileId: number, reason: string): void {
  store.write(() => store.run("UPDATE file SET source_copy = 'refused', removal = ? WHERE id = ?", reason, fileId));
}

/** Tries a removal again later: the device had another failure. */
export function postponeRemoval(store: Store, fileId: number, waitMs: number): void {
  store.write(() => store.run("UPDATE file SET due_at_ms = ? WHERE id = ?", uptimeMs(store) + waitMs, fileId));
}
