/** The downloader's side of the store: the queue of found files and what becomes of them. */
import type { DriverError, Fingerprint } from "../driver/mod.ts";
import { askFirst } from "./doubt.ts";
import { fingerprintOfRow } from "./listings.ts";
import { OPEN_DELIVERY, OPEN_FILE } from "./open_rows.ts";
import type { Store } from "./store.ts";

/** Where a file is on its way. */
export type FileState = "found" | "downloading" | "spooled" | "done" | "parked" | "gone";

/** A file that is to be fetched. */
export interface QueuedFile {
  id: number;
  jobId: number;
  sourceId: number;
  path: string;
  generation: number;
  fingerprint: Fingerprint;
  precisionMs: number;
  attempts: number;
  breaks: number;
  bestBytes: number;
  syncedBytes: number;
  deviceDir: number | undefined;
  /** It had been in the spool and was lost or dropped there. */
  wasSpooled: boolean;
  /** It may have been delivered before the store was rebuilt. */
  inDoubt: boolean;
}

interface FileRow {
  id: number;
  job_id: number;
  source_id: number;
  path: string;
  generation: number;
  size_bytes: number | null;
  modified_ms: number | null;
  precision_ms: number;
  etag: string | null;
  checksum_algorithm: string | null;
  checksum_value: string | null;
  attempts: number;
  breaks: number;
  best_bytes: number;
  synced_bytes: number;
  device_dir: number | null;
  code: string | null;
  doubt: number;
}

function queued(row: FileRow): QueuedFile {
  return {
    id: row.id,
    jobId: row.job_id,
    sourceId: row.source_id,
    path: row.path,
    generation: row.generation,
    fingerprint: fingerprintOfRow(row),
    precisionMs: row.precision_ms,
    attempts: row.attempts,
    breaks: row.breaks,
    bestBytes: row.best_bytes,
    syncedBytes: row.synced_bytes,
    deviceDir: row.device_dir ?? undefined,
    wasSpooled: row.code === "lost",
    inDoubt: row.doubt === 1,
  };
}

const NEXT = {
  newest: `SELECT * FROM file WHERE source_id = ? AND state = 'found' AND retry_at_ms = 0 AND shelved = 0
             ORDER BY modified_ms DESC, id DESC LIMIT ?`,
  oldest: `SELECT * FROM file WHERE source_id = ? AND state = 'found' AND retry_at_ms = 0 AND shelved = 0
             ORDER BY modified_ms, id LIMIT ?`,
  name: `SELECT * FROM file WHERE source_id = ? AND state = 'found' AND retry_at_ms = 0 AND shelved = 0
             ORDER BY path LIMIT ?`,
};

/** The first files of a source's download queue. */
export function nextFiles(
  store: Store,
  sourceId: number,
  order: "newest" | "oldest" | "name",
  limit: number,
): QueuedFile[] {
  return store.all<FileRow>(NEXT[order], sourceId, limit).map(queued);
}

/** One file's row, whatever its state. */
export function fileById(store: Store, id: number): (QueuedFile & { state: FileState; sha256?: string }) | undefined {
  const row = store.get<FileRow & { state: FileState; sha256: string | null }>("SELECT * FROM file WHERE id = ?", id);
  if (row === undefined) return undefined;
  return { ...queued(row), state: row.state, ...(row.sha256 === null ? {} : { sha256: row.sha256 }) };
}

/**
 * Takes a file out of the queue. Not awaited: after a crash it simply is in the queue again.
 * @returns `false` when it is not in the queue any more
 */
export function markDownloading(store: Store, id: number, deviceDir: number): boolean {
  return store.writeOne(
    "UPDATE file SET state = 'downloading', device_dir = ?, changed_ms = ? WHERE id = ? AND state = 'found'",
    deviceDir,
    Date.now(),
    id,
  ) > 0;
}

/** Records how much of the partial survives a power cut. */
export function markSynced(store: Store, id: number, syncedBytes: number): void {
  store.writeOne("UPDATE file SET synced_bytes = ? WHERE id = ?", syncedBytes, id);
}

/** What is known of a file that is whole in the spool. */
export interface SpooledFacts {
  sizeBytes: number;
  sha256: string;
  inode: number;
  ctimeMs: number;
  /** What the driver said of the source when the download ended. */
  fingerprint: Fingerprint;
  /** What the driver says of the file itself, which is whole as the source has it. */
  note?: string;
  /** Folder of the spool that holds it. What was noted when the download began may have been undone by a full disk. */
  deviceDir?: number;
}

/** The file is whole in the spool: makes a delivery for each target that wants it. Await `durable()`. */
export function markSpooled(store: Store, file: QueuedFile, facts: SpooledFacts): void {
  store.write(() => {
    const nowMs = Date.now();
    store.run(
      `UPDATE file SET state = 'spooled', size_bytes = ?, sha256 = ?, spool_inode = ?, spool_ctime_ms = ?,
           device_dir = coalesce(?, device_dir), modified_ms = coalesce(modified_ms, ?), etag = coalesce(etag, ?),
           note = ?, synced_bytes = 0, best_bytes = 0, attempts = 0, breaks = 0, retry_at_ms = 0,
           code = NULL, reason = NULL, hint = NULL, changed_ms = ? WHERE id = ?`,
      facts.sizeBytes,
      facts.sha256,
      facts.inode,
      facts.ctimeMs,
      facts.deviceDir ?? null,
      facts.fingerprint.modifiedMs ?? null,
      facts.fingerprint.etag ?? null,
      facts.note ?? null,
      nowMs,
      file.id,
    );
    const waiting = store.run(
      `INSERT INTO delivery (file_id, target_id, state, size_bytes, changed_ms)
         SELECT ?, id, 'waiting', ?, ? FROM target WHERE job_id = ? AND retired = 0 AND first_file_id <= ?
         ON CONFLICT DO NOTHING`,
      file.id,
      facts.sizeBytes,
      nowMs,
      file.jobId,
      file.id,
    );
    if (file.inDoubt) askFirst(store, file.id);
    if (waiting === 0) finishIfDelivered(store, file.id);
  });
}

/** `spooled` becomes `done` when no target waits any more. Returns whether it did. Call inside `write`. */
export function finishIfDelivered(store: Store, fileId: number): boolean {
  return store.run(
    `UPDATE file SET state = 'done', changed_ms = ? WHERE id = ? AND state = 'spooled'
       AND NOT EXISTS (SELECT 1 FROM delivery d JOIN target t ON t.id = d.target_id
         WHERE d.file_id = file.id AND d.${OPEN_DELIVERY} AND t.retired = 0)`,
    Date.now(),
    fileId,
  ) > 0;
}

/** Whether a file of this source still waits to be fetched, is fetched, or will be tried again. */
export function hasUnfetched(store: Store, sourceId: number): boolean {
  return store.get<{ any: number }>(
    `SELECT EXISTS (SELECT 1 FROM file INDEXED BY file_open
       WHERE ${OPEN_FILE} AND state IN ('found', 'downloading') AND source_id = ? AND shelved = 0) AS any`,
    sourceId,
  )!.any === 1;
}

/** What happens to a file after a failure. */
export interface FileFailure {
  state: "found" | "parked" | "gone";
  attempts: number;
  breaks: number;
  bestBytes: number;
  /** Monotonic milliseconds; 0: at once. */
  retryAtMs: number;
  error: DriverError;
}

/** Records a failure. Await `durable()` before it is told. */
export function markFileFailed(store: Store, id: number, failure: FileFailure): void {
  store.write(() =>
    store.run(
      `UPDATE file SET state = ?, attempts = ?, breaks = ?, best_bytes = ?, retry_at_ms = ?,
           code = CASE WHEN code = 'lost' THEN code ELSE ? END, reason = ?,
           hint = ?, changed_ms = ? WHERE id = ?`,
      failure.state,
      failure.attempts,
      failure.breaks,
      failure.bestBytes,
      failure.state === "found" ? Math.ceil(failure.retryAtMs) : 0,
      failure.error.code,
      failure.error.message,
      failure.error.details.hint ?? null,
      Date.now(),
      id,
    )
  );
}

/** Puts a file back into the queue without a mark against it: the device is away, or we are stopping. */
export function requeueFile(store: Store, id: number, bestBytes: number): void {
  store.write(() =>
    store.run(
      "UPDATE file SET state = 'found', best_bytes = max(best_bytes, ?), changed_ms = ? WHERE id = ? AND state = 'downloading'",
      bestBytes,
      Date.now(),
      id,
    )
  );
}

/**
 * The spool's copy is lost or damaged: the file is fetched again, and its deliveries that were not begun are made anew.
 * @returns `false` when the file is not in the spool any more
 */
export function refetchFile(store: Store, id: number, reason: string): boolean {
  return store.write(() => {
    const changed = store.run(
      `UPDATE file SET state = 'found', sha256 = NULL, synced_bytes = 0, code = 'lost', reason = ?, changed_ms = ?
         WHERE id = ? AND state = 'spooled'`,
      reason,
      Date.now(),
      id,
    );
    if (changed > 0) dropUntouched(store, id);
    return changed > 0;
  });
}

/**
 * Drops the deliveries of a file that leaves the spool, but for what is decided (delivered, parked, uncertain) and what
 * was begun: whether that landed must still be asked; or has failed: that is still counted. They are made anew when the file is back. Call inside `write`.
 */
export function dropUntouched(store: Store, fileId: number): void {
  store.run("UPDATE delivery SET state = 'waiting' WHERE file_id = ? AND state = 'uploading'", fileId);
  store.run("DELETE FROM delivery WHERE file_id = ? AND state = 'waiting' AND started = 0 AND attempts = 0", fileId);
}

/** Lets files and deliveries whose back-off has ended into their queues. Returns whether any was let in. */
export function releaseRetries(store: Store, nowMs: number): boolean {
  const due = store.get<{ due: number }>(
    `SELECT EXISTS (SELECT 1 FROM file WHERE retry_at_ms > 0 AND retry_at_ms <= ?1)
       OR EXISTS (SELECT 1 FROM delivery WHERE retry_at_ms > 0 AND retry_at_ms <= ?1) AS due`,
    nowMs,
  )!;
  if (due.due === 0) return false;
  store.write(() => {
    store.run("UPDATE file SET retry_at_ms = 0 WHERE retry_at_ms > 0 AND retry_at_ms <= ?", nowMs);
    store.run("UPDATE delivery SET retry_at_ms = 0 WHERE retry_at_ms > 0 AND retry_at_ms <= ?", nowMs);
  });
  return true;
}

/** When the next back-off ends, monotonic milliseconds; `undefined` when none is under way. */
export function nextRetryMs(store: Store): number | undefined {
  const row = store.get<{ at: number | null }>(
    `SELECT min(at) AS at FROM (
       SELECT min(retry_at_ms) AS at FROM file WHERE retry_at_ms > 0
       UNION ALL SELECT min(retry_at_ms) FROM delivery WHERE retry_at_ms > 0)`,
  );
  return row?.at ?? undefined;
}
