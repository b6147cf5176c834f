/** A store that knows many files, as long use would have left it. */
import type { Store } from "../../lib/state/mod.ts";

/** Files of one transaction: SQLite's log stays below 256 MiB. */
const CHUNK = 200_000;

/** Adds files that were delivered long ago to every source and target of the store: the real rows by the real schema. */
export function addKnown(store: Store, count: number): void {
  for (let first = 1; first <= count; first += CHUNK) {
    const last = Math.min(first + CHUNK - 1, count);
    store.write(() => {
      const newest = store.get<{ id: number }>("SELECT coalesce(max(id), 0) AS id FROM file")!.id;
      store.run(
        `WITH RECURSIVE n (n) AS (SELECT ? UNION ALL SELECT n + 1 FROM n WHERE n < ?)
         INSERT INTO file (source_id, job_id, path, generation, latest, size_bytes, modified_ms, precision_ms, state,
             sha256, device_dir, found_ms, changed_ms)
           SELECT s.id, s.job_id, printf('old/%04d/log_%d.ulg', n / 1000, n), 1, 1, n, 1000000000000 + n, 1, 'done',
             lower(hex(randomblob(32))), 1, 0, 0 FROM n JOIN source s`,
        first,
        last,
      );
      addReceipts(store, newest);
    });
    store.flush();
  }
  store.all("PRAGMA wal_checkpoint(TRUNCATE)");
}

/** Gives all files after `afterId` a receipt of each target. Call inside `write`. */
export function addReceipts(store: Store, afterId: number): void {
  store.run(
    `INSERT INTO delivery (file_id, target_id, state, size_bytes, asked_path, receipt_path, verified, receipt_sha256,
         receipt_no, changed_ms)
       SELECT f.id, t.id, 'delivered', f.size_bytes, f.path, f.path, 'checksum', f.sha256, f.id, 0
         FROM file f JOIN target t ON t.job_id = f.job_id WHERE f.id > ?`,
    afterId,
  );
}
