/** What a start does to the rows of a process that ended in the middle. */
import { OPEN_DELIVERY, OPEN_FILE } from "./open_rows.ts";
import type { Store } from "./store.ts";

/** What was under way when the last process ended. */
export interface Interrupted {
  downloads: number;
  uploads: number;
}

/**
 * Puts interrupted work back into its queues and ends every back-off: retry times belong to the clock of a process
 * that is gone. Deliveries in `uploading` keep `started`, so that they are confirmed before they are sent again.
 */
export function recoverRows(store: Store): Interrupted {
  return store.write(() => {
    const nowMs = Date.now();
    const downloads = store.run(
      `UPDATE file INDEXED BY file_open SET state = 'found', changed_ms = ? WHERE state = 'downloading' AND ${OPEN_FILE}`,
      nowMs,
    );
    const uploads = store.run(
      `UPDATE delivery INDEXED BY delivery_open SET state = 'waiting', changed_ms = ?
         WHERE state = 'uploading' AND ${OPEN_DELIVERY}`,
      nowMs,
    );
    store.run("UPDATE file SET retry_at_ms = 0 WHERE retry_at_ms > 0");
    store.run("UPDATE delivery SET retry_at_ms = 0 WHERE retry_at_ms > 0");
    return { downloads, uploads };
  });
}

/** Forgets which files of the spool are known to be what was hashed: each is hashed again before it is sent. */
export function doubtSpooled(store: Store): number {
  return store.write(() =>
    store.run(
      `UPDATE file INDEXED BY file_open SET spool_inode = ${DOUBTED_INODE} WHERE state = 'spooled' AND ${OPEN_FILE}`,
    )
  );
}

/** The file in the spool was hashed, and is what its row says. */
export function markProven(store: Store, id: number, sha256: string, stat: { inode: number; ctimeMs: number }): void {
  store.write(() =>
    store.run(
      "UPDATE file SET spool_inode = ?, spool_ctime_ms = ? WHERE id = ? AND state = 'spooled' AND sha256 = ?",
      stat.inode,
      stat.ctimeMs,
      id,
      sha256,
    )
  );
}

/** No file has it. */
const DOUBTED_INODE = -1;

/** What the spool should hold for a file. */
export interface SpoolRow {
  id: number;
  state: string;
  deviceDir: number;
  sizeBytes: number | null;
  syncedBytes: number;
}

/** The row behind each of `ids`, for reconciling spool files with rows. */
export function spoolRows(store: Store, ids: number[]): Map<number, SpoolRow> {
  const rows = store.all<SpoolRow & Record<string, unknown>>(
    `SELECT id, state, device_dir AS deviceDir, size_bytes AS sizeBytes, synced_bytes AS syncedBytes
       FROM file WHERE id IN (SELECT value FROM json_each(?))`,
    JSON.stringify(ids),
  );
  return new Map(rows.map((row) => [row.id, row]));
}

/** Files that the rows say are in the spool, in pages. */
export function spooledAfter(store: Store, id: number, limit: number): SpoolRow[] {
  return store.all<SpoolRow & Record<string, unknown>>(
    `SELECT id, state, device_dir AS deviceDir, size_bytes AS sizeBytes, synced_bytes AS syncedBytes
       FROM file INDEXED BY file_open WHERE state = 'spooled' AND ${OPEN_FILE} AND id > ? ORDER BY id LIMIT ?`,
    id,
    limit,
  );
}

/** Ends deliveries of retired targets: what only they still need is done. */
export function finishRetired(store: Store): { id: number; deviceDir: number; sizeBytes: number }[] {
  return store.write(() =>
    store.all<{ id: number; deviceDir: number; sizeBytes: number }>(
      `UPDATE file INDEXED BY file_open SET state = 'done', changed_ms = ? WHERE state = 'spooled' AND ${OPEN_FILE}
         AND NOT EXISTS (SELECT 1 FROM delivery d JOIN target t ON t.id = d.target_id
           WHERE d.file_id = file.id AND d.${OPEN_DELIVERY} AND t.retired = 0)
         RETURNING id, device_dir AS deviceDir, size_bytes AS sizeBytes`,
      Date.now(),
    )
  );
}
