/** The uploader's side of the store: one row per file and target. */
import type { DriverError, Receipt } from "../driver/mod.ts";
import { finishIfDelivered } from "./files.ts";
import { OPEN_DELIVERY } from "./open_rows.ts";
import type { Store } from "./store.ts";

/** A delivery that is to be made. */
export interface QueuedDelivery {
  id: number;
  fileId: number;
  targetId: number;
  sourceId: number;
  path: string;
  generation: number;
  sizeBytes: number;
  sha256: string;
  modifiedMs: number | undefined;
  foundMs: number;
  deviceId: string;
  deviceDir: number;
  spoolInode: number;
  spoolCtimeMs: number;
  askedPath: string | undefined;
  /** An upload was begun whose outcome is not known. */
  started: boolean;
  /** It may have been delivered before the store was rebuilt. */
  inDoubt: boolean;
  /** What the source's driver says of the file itself. */
  note: string | undefined;
  attempts: number;
  breaks: number;
  bestBytes: number;
  resume: unknown;
}

interface DeliveryRow {
  id: number;
  file_id: number;
  target_id: number;
  source_id: number;
  path: string;
  generation: number;
  size_bytes: number;
  sha256: string;
  modified_ms: number | null;
  found_ms: number;
  device_id: string;
  device_dir: number;
  spool_inode: number;
  spool_ctime_ms: number;
  asked_path: string | null;
  started: number;
  doubt: number;
  note: string | null;
  attempts: number;
  breaks: number;
  best_bytes: number;
  resume: string | null;
}

/** An older generation of the same path goes first, so that the newest is what remains. */
const NEXT = `
  SELECT d.*, f.source_id, f.path, f.generation, f.sha256, f.modified_ms, f.found_ms, f.device_dir, f.spool_inode,
      f.spool_ctime_ms, f.doubt, f.note, s.device_id
    FROM delivery d JOIN file f ON f.id = d.file_id JOIN source s ON s.id = f.source_id
    WHERE d.target_id = ? AND d.state = 'waiting' AND d.retry_at_ms = 0 AND f.state = 'spooled'
      AND (f.generation = 1 OR NOT EXISTS (
        SELECT 1 FROM file o JOIN delivery p ON p.file_id = o.id AND p.target_id = d.target_id
          WHERE o.source_id = f.source_id AND o.path = f.path AND o.generation < f.generation
            AND o.state NOT IN ('parked', 'gone') AND p.state IN ('waiting', 'uploading')))
    ORDER BY d.id LIMIT ?`;

/** The first deliveries of a target's upload queue. */
export function nextDeliveries(store: Store, targetId: number, limit: number): QueuedDelivery[] {
  return store.all<DeliveryRow>(NEXT, targetId, limit).map((row) => ({
    id: row.id,
    fileId: row.file_id,
    targetId: row.target_id,
    sourceId: row.source_id,
    path: row.path,
    generation: row.generation,
    sizeBytes: row.size_bytes,
    sha256: row.sha256,
    modifiedMs: row.modified_ms ?? undefined,
    foundMs: row.found_ms,
    deviceId: row.device_id,
    deviceDir: row.device_dir,
    spoolInode: row.spool_inode,
    spoolCtimeMs: row.spool_ctime_ms,
    askedPath: row.asked_path ?? undefined,
    started: row.started === 1,
    inDoubt: row.doubt === 1,
    note: row.note ?? undefined,
    attempts: row.attempts,
    breaks: row.breaks,
    bestBytes: row.best_bytes,
    resume: row.resume === null ? undefined : JSON.parse(row.resume),
  }));
}

/**
 * Fixes the name and marks the upload as begun. Await `durable()` before the first byte is sent.
 * @returns `false` when the delivery does not wait any more
 */
export function markUploading(store: Store, id: number, askedPath: string): boolean {
  return store.writeOne(
    "UPDATE delivery SET state = 'uploading', started = 1, asked_path = ?, changed_ms = ? WHERE id = ? AND state = 'waiting'",
    askedPath,
    Date.now(),
    id,
  ) > 0;
}

/** Whether no other target still needs the file of this delivery: its receipt ends the spool file. */
export function isLastDelivery(store: Store, delivery: QueuedDelivery): boolean {
  return store.get(
    `SELECT 1 FROM delivery WHERE file_id = ? AND id <> ? AND ${OPEN_DELIVERY}`,
    delivery.fileId,
    delivery.id,
  ) === undefined;
}

/** Keeps the driver's opaque resume state. */
export function saveResume(store: Store, id: number, resume: unknown, bestBytes: number): void {
  store.writeOne(
    "UPDATE delivery SET resume = ?, best_bytes = max(best_bytes, ?) WHERE id = ?",
    resume === undefined ? null : JSON.stringify(resume),
    bestBytes,
    id,
  );
}

/** Records how far an upload came. Not awaited: it is for the count of what is sent again after a crash. */
export function saveFurthest(store: Store, id: number, bytes: number): void {
  store.writeOne("UPDATE delivery SET best_bytes = max(best_bytes, ?) WHERE id = ?", bytes, id);
}

/** The number of a receipt, of which none has the number of another. */
const NEXT_RECEIPT = `INSERT INTO meta VALUES ('receipts', '1')
  ON CONFLICT DO UPDATE SET value = CAST(value AS INTEGER) + 1 RETURNING value`;

/**
 * The target has the file. Await `durable()`, then release the spool file when `true` is returned.
 * @returns whether this was the last target, so that the file is done
 */
export function markDelivered(store: Store, delivery: QueuedDelivery, receipt: Receipt): boolean {
  return store.write(() => {
    const { value: receiptNo } = store.get<{ value: string }>(NEXT_RECEIPT)!;
    store.run(
      `UPDATE delivery SET state = 'delivered', started = 0, attempts = 0, breaks = 0, retry_at_ms = 0, resume = NULL,
           code = NULL, reason = NULL, hint = NULL, receipt_path = ?, receipt_url = ?, receipt_checksum = ?,
           verified = ?, receipt_sha256 = ?, receipt_no = ?, changed_ms = ? WHERE id = ?`,
      receipt.path,
      receipt.url ?? null,
      receipt.checksum === undefined ? null : `${receipt.checksum.algorithm}:${receipt.checksum.value}`,
      receipt.verified,
      delivery.sha256,
      Number(receiptNo),
      Date.now(),
      delivery.id,
    );
    return finishIfDelivered(store, delivery.fileId);
  });
}

/** What happens to a delivery after a failure. */
export interface DeliveryFailure {
  state: "waiting" | "parked" | "uncertain";
  /** Whether it still is unknown if the upload landed. */
  started: boolean;
  attempts: number;
  breaks: number;
  bestBytes: number;
  /** Monotonic milliseconds; 0: at once. */
  retryAtMs: number;
  error: DriverError;
  /** Drop the driver's resume state: it belongs to bytes that are not wanted any more. */
  dropResume?: boolean;
}

/** Records a failure. Await `durable()` before it is told. */
export function markDeliveryFailed(store: Store, id: number, failure: DeliveryFailure): void {
  const resume = failure.error.details.resume;
  store.write(() =>
    store.run(
      `UPDATE delivery SET state = ?, started = ?, attempts = ?, breaks = ?, best_bytes = ?, retry_at_ms = ?,
           code = ?, reason = ?, hint = ?,
           resume = CASE WHEN ? THEN NULL ELSE coalesce(?, resume) END, changed_ms = ? WHERE id = ?`,
      failure.state,
      failure.started ? 1 : 0,
      failure.attempts,
      failure.breaks,
      failure.bestBytes,
      failure.state === "waiting" ? Math.ceil(failure.retryAtMs) : 0,
      failure.error.code,
      failure.error.message,
      failure.error.details.hint ?? null,
      failure.dropResume === true ? 1 : 0,
      resume === undefined ? null : JSON.stringify(resume),
      Date.now(),
      id,
    )
  );
}

/** Whether the spool file that `delivery` speaks of is still the one that the store knows. */
export function isStillSpooled(store: Store, delivery: QueuedDelivery): boolean {
  return store.get(
    "SELECT 1 FROM file WHERE id = ? AND state = 'spooled' AND spool_inode = ? AND spool_ctime_ms = ?",
    delivery.fileId,
    delivery.spoolInode,
    delivery.spoolCtimeMs,
  ) !== undefined;
}

/**
 * Puts a delivery back into the queue without a mark against it.
 * @param started whether it still is unknown if the upload landed
 */
export function requeueDelivery(
  store: Store,
  id: number,
  started: boolean,
  bestBytes: number,
  error?: DriverError,
): void {
  const resume = error?.details.resume;
  store.write(() =>
    store.run(
      `UPDATE delivery SET state = 'waiting', started = ?, best_bytes = max(best_bytes, ?),
           resume = coalesce(?, resume), changed_ms = ?
         WHERE id = ? AND state IN ('uploading', 'waiting')`,
      started ? 1 : 0,
      bestBytes,
      resume === undefined ? null : JSON.stringify(resume),
      Date.now(),
      id,
    )
  );
}

/** What a target was last given under the paths of one source file. */
export interface PriorDelivery {
  askedPath: string;
  receiptPath: string;
  sizeBytes: number;
  sha256: string;
  generation: number;
}

/** The newest earlier generation of the same source path that this target has a receipt for. */
export function priorDelivery(store: Store, delivery: QueuedDelivery): PriorDelivery | undefined {
  if (delivery.generation === 1) return undefined;
  return store.get<PriorDelivery & Record<string, unknown>>(
    `SELECT d.asked_path AS askedPath, d.receipt_path AS receiptPath, d.size_bytes AS sizeBytes,
        coalesce(d.receipt_sha256, f.sha256) AS sha256, f.generation
       FROM file f JOIN delivery d ON d.file_id = f.id AND d.target_id = ?
       WHERE f.source_id = ? AND f.path = ? AND f.generation < ? AND d.state = 'delivered'
       ORDER BY f.generation DESC LIMIT 1`,
    delivery.targetId,
    delivery.sourceId,
    delivery.path,
    delivery.generation,
  );
}
