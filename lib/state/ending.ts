/** Jobs and targets that only the store knows: what they are called, and their end. */
import { finishRetired } from "./recovery.ts";
import type { Store } from "./store.ts";
import type { Released } from "./admin.ts";

/** Rows that one call removes at most. */
const PAGE = 1000;

/** A job of the store. */
export interface StoredJob {
  id: number;
  name: string;
  targets: { id: number; name: string; retired: boolean }[];
}

/** Every job that the store knows, with all its targets. */
export function storedJobs(store: Store): StoredJob[] {
  const targets = store.all<{ id: number; job_id: number; name: string; retired: number }>(
    "SELECT id, job_id, name, retired FROM target ORDER BY id",
  );
  return store.all<{ id: number; name: string }>("SELECT id, name FROM job ORDER BY id").map(({ id, name }) => ({
    id,
    name,
    targets: targets.filter((target) => target.job_id === id).map((target) => ({
      id: target.id,
      name: target.name,
      retired: target.retired === 1,
    })),
  }));
}

/** The next files of a job that is to end, with what they may have in the spool; empty when there are no more. */
export function filesToEnd(store: Store, jobId: number): (Released & { deviceDir: number | null })[] {
  return store.all<Released & Record<string, unknown>>(
    `SELECT f.id, f.device_dir AS deviceDir, coalesce(f.size_bytes, 0) AS sizeBytes
       FROM source s JOIN file f ON f.source_id = s.id WHERE s.job_id = ? LIMIT ${PAGE}`,
    jobId,
  );
}

/** Removes the rows of files whose spool files are gone already: a row's number, and so its spool name, is used again. */
export function endFiles(store: Store, fileIds: number[]): void {
  const list = JSON.stringify(fileIds);
  store.write(() => {
    store.run("DELETE FROM delivery WHERE file_id IN (SELECT value FROM json_each(?))", list);
    store.run("DELETE FROM file WHERE id IN (SELECT value FROM json_each(?))", list);
  });
}

/** Removes a job that has no files any more. */
export function endJob(store: Store, jobId: number): void {
  store.write(() => {
    store.run("DELETE FROM delivery WHERE target_id IN (SELECT id FROM target WHERE job_id = ?)", jobId);
    store.run("DELETE FROM source WHERE job_id = ?", jobId);
    store.run("DELETE FROM target WHERE job_id = ?", jobId);
    store.run("DELETE FROM tally WHERE job_id = ?", jobId);
    store.run("DELETE FROM job WHERE id = ?", jobId);
    // Numbers are given again from here: what other jobs find next is not older than their targets.
    store.run(
      `UPDATE target SET first_file_id = (SELECT coalesce(max(id), 0) + 1 FROM file)
         WHERE first_file_id > (SELECT coalesce(max(id), 0) + 1 FROM file)`,
    );
  });
}

/**
 * Removes a part of a target's deliveries, receipts too.
 * @param afterId 0, then the last answer
 * @returns `undefined` when there are no more
 */
export function endDeliveries(store: Store, targetId: number, afterId: number): number | undefined {
  const last = store.get<{ last: number | null }>(
    "SELECT max(id) AS last FROM (SELECT id FROM delivery WHERE id > ? ORDER BY id LIMIT ?)",
    afterId,
    PAGE,
  )?.last ?? undefined;
  if (last !== undefined) {
    store.write(() =>
      store.run("DELETE FROM delivery WHERE id > ? AND id <= ? AND target_id = ?", afterId, last, targetId)
    );
  }
  return last;
}

/**
 * Retires a target, so that nothing new is made for it while it ends.
 * @returns what only this target still needed: it may leave the spool
 */
export function retireTarget(store: Store, targetId: number): Released[] {
  store.write(() => store.run("UPDATE target SET retired = 1 WHERE id = ?", targetId));
  return finishRetired(store);
}

/** Removes a target that has no deliveries any more. */
export function endTarget(store: Store, targetId: number): void {
  store.write(() => {
    store.run("DELETE FROM tally WHERE target_id = ?", targetId);
    store.run("DELETE FROM target WHERE id = ?", targetId);
  });
}
