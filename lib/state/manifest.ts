/** What was delivered, by its name on the target. */
import type { Store } from "./store.ts";

/** A file that a target holds according to its receipt. */
export interface ManifestEntry {
  job: string;
  target: string;
  /** The name on the target. */
  name: string;
  sha256: string;
  sizeBytes: number;
  /** Where it came from. */
  path: string;
  verified: string;
  url?: string;
}

interface ManifestRow {
  targetId: number;
  job: string;
  target: string;
  name: string;
  sha256: string;
  sizeBytes: number;
  path: string;
  verified: string | null;
  url: string | null;
}

/**
 * The newest receipt under each name, sorted by name. SQLite sorts on disk: memory stays bounded.
 * @param isOneTree the targets are one directory: of two receipts under one name the later counts, whichever target's
 */
export function* manifestEntries(store: Store, targetIds: number[], isOneTree: boolean): Generator<ManifestEntry> {
  const rows = store.each<ManifestRow>(
    `SELECT d.target_id AS targetId, j.name AS job, t.name AS target, d.receipt_path AS name, d.receipt_sha256 AS sha256,
         d.size_bytes AS sizeBytes, f.path, d.verified, d.receipt_url AS url
       FROM delivery d JOIN target t ON t.id = d.target_id JOIN job j ON j.id = t.job_id JOIN file f ON f.id = d.file_id
       WHERE d.state = 'delivered' AND d.receipt_sha256 IS NOT NULL AND d.target_id IN (SELECT value FROM json_each(?))
       ORDER BY ${isOneTree ? "" : "d.target_id, "}d.receipt_path, d.receipt_no`,
    JSON.stringify(targetIds),
  );
  let last: ManifestRow | undefined;
  for (const row of rows) {
    if (last !== undefined && (last.name !== row.name || (!isOneTree && last.targetId !== row.targetId))) {
      yield entryOf(last);
    }
    last = row;
  }
  if (last !== undefined) yield entryOf(last);
}

function entryOf(row: ManifestRow): ManifestEntry {
  const { job, target, name, sha256, sizeBytes, path, verified, url } = row;
  const entry: ManifestEntry = { job, target, name, sha256, sizeBytes, path, verified: verified ?? "none" };
  return url === null ? entry : { ...entry, url };
}
