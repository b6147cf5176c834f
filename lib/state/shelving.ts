/** Making room: what only absent targets need may leave the spool and be fetched again later. */
import { OPEN_FILE } from "./open_rows.ts";
import { dropUntouched } from "./files.ts";
import type { Store } from "./store.ts";

/** A spooled file whose every unfinished delivery goes to one of the given targets. */
export interface Shelvable {
  id: number;
  sourceId: number;
  jobId: number;
  path: string;
  sizeBytes: number;
  deviceDir: number;
}

/**
 * Spooled files that only `absentTargets` still need, the oldest first; empty ones would make no room.
 * @param absentTargets rows of targets that cannot be reached now
 * @param page `afterId`: of the last file of the page before
 */
export function shelvableFiles(
  store: Store,
  absentTargets: number[],
  page: { limit: number; afterId: number },
): Shelvable[] {
  return store.all<Shelvable & Record<string, unknown>>(
    `SELECT f.id, f.source_id AS sourceId, f.job_id AS jobId, f.path, f.size_bytes AS sizeBytes, f.device_dir AS deviceDir
       FROM file f INDEXED BY file_open
       WHERE f.state = 'spooled' AND f.${OPEN_FILE} AND f.size_bytes > 0 AND f.id > ?2
         AND NOT EXISTS (SELECT 1 FROM delivery d JOIN target t ON t.id = d.target_id
           WHERE d.file_id = f.id AND t.retired = 0 AND (d.state IN ('uploading', 'parked', 'uncertain')
             OR (d.state = 'waiting' AND d.target_id NOT IN (SELECT value FROM json_each(?1)))))
       ORDER BY f.id LIMIT ?3`,
    JSON.stringify(absentTargets),
    page.afterId,
    page.limit,
  );
}

/** Takes a file out of the spool's rows; its finished deliveries stay. Returns `false` when it is not spooled any more. */
export function shelveFile(store: Store, id: number): boolean {
  return store.write(() => {
    const changed = store.run(
      `UPDATE file SET state = 'found', shelved = 1, code = 'lost', reason = 'Left the full spool for others', sha256 = NULL, synced_bytes = 0, changed_ms = ?
         WHERE id = ? AND state = 'spooled'`,
      Date.now(),
      id,
    );
    if (changed > 0) dropUntouched(store, id);
    return changed > 0;
  });
}

/**
 * Puts shelved files, the oldest first, back into the download queue when one of the targets that they need is there.
 * @returns how many
 */
export function unshelveFiles(store: Store, presentTargets: number[], limit = -1): number {
  const any = store.get("SELECT 1 FROM file WHERE shelved = 1 LIMIT 1");
  if (any === undefined) return 0;
  return store.write(() =>
    store.run(
      `UPDATE file SET shelved = 0 WHERE id IN (SELECT id FROM file WHERE shelved = 1 AND EXISTS (
         SELECT 1 FROM target t WHERE t.job_id = file.job_id AND t.retired = 0 AND t.first_file_id <= file.id
           AND t.id IN (SELECT value FROM json_each(?))
           AND NOT EXISTS (SELECT 1 FROM delivery d
             WHERE d.file_id = file.id AND d.target_id = t.id AND d.state IN ('delivered', 'forgotten', 'parked', 'uncertain')))
         ORDER BY id LIMIT ?)`,
      JSON.stringify(presentTargets),
      limit,
    )
  );
}
