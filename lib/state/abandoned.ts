/** Uploads that were begun and then given up by a person: a part of them may lie on the target. */
import type { Store } from "./store.ts";

/** An upload that nobody will go on with. */
export interface AbandonedUpload {
  /** The delivery's. */
  id: number;
  /** The name that was asked for, and what was to be under it: they make the temporary name. */
  askedPath: string;
  sha256: string;
}

/** Those of a target, `limit` at most. What is not known well enough to have a name of its own is left out. */
export function abandonedUploads(store: Store, targetId: number, limit: number): AbandonedUpload[] {
  return store.all<AbandonedUpload & Record<string, unknown>>(
    `SELECT d.id, d.asked_path AS askedPath, f.sha256 FROM delivery d INDEXED BY delivery_abandoned
         JOIN file f ON f.id = d.file_id
       WHERE d.target_id = ? AND d.state = 'forgotten' AND d.started = 1
         AND d.asked_path IS NOT NULL AND f.sha256 IS NOT NULL LIMIT ?`,
    targetId,
    limit,
  );
}

/** Nothing of it is left on the target. */
export function markSwept(store: Store, id: number): void {
  store.writeOne("UPDATE delivery SET started = 0 WHERE id = ? AND state = 'forgotten'", id);
}
