/** How long the oldest of each queue waits, and when something last arrived: found by an index, however long the queue. */
import type { QueueAge } from "../observe/mod.ts";
import { OPEN_DELIVERY, OPEN_FILE } from "./open_rows.ts";
import type { Store } from "./store.ts";

/** A last receipt is looked for among so many deliveries: an older one is not told. */
const RECENT_DELIVERIES = 1000;

/** For each source and target of each job; those that nothing waits for have no `oldestMs`. */
export function queueAges(store: Store): QueueAge[] {
  const jobs = store.all<{ id: number; name: string }>("SELECT id, name FROM job ORDER BY id");
  return jobs.flatMap(({ id, name }) => [
    { job: name, ...oldest(sourceAges(store, id)) },
    ...store.all<{ id: number; name: string }>(
      "SELECT id, name FROM target WHERE job_id = ? AND retired = 0 ORDER BY id",
      id,
    ).map((target) => ({
      job: name,
      target: target.name,
      ...oldest(targetAges(store, target.id)),
      ...lastReceipt(store, target.id),
    })),
  ]);
}

function sourceAges(store: Store, jobId: number): number[] {
  const sources = store.all<{ id: number }>("SELECT id FROM source WHERE job_id = ?", jobId);
  return sources.flatMap(({ id }) =>
    ["found", "downloading"].flatMap((state) =>
      store.all<{ at: number }>(
        `SELECT found_ms AS at FROM file INDEXED BY file_open
           WHERE state = ? AND source_id = ? AND ${OPEN_FILE} ORDER BY id LIMIT 1`,
        state,
        id,
      ).map(({ at }) => at)
    )
  );
}

function targetAges(store: Store, targetId: number): number[] {
  return ["waiting", "uploading"].flatMap((state) =>
    store.all<{ at: number }>(
      `SELECT f.found_ms AS at FROM delivery d INDEXED BY delivery_open JOIN file f ON f.id = d.file_id
         WHERE d.state = ? AND d.target_id = ? AND d.${OPEN_DELIVERY} ORDER BY d.id LIMIT 1`,
      state,
      targetId,
    ).map(({ at }) => at)
  );
}

function oldest(times: number[]): { oldestMs?: number } {
  return times.length === 0 ? {} : { oldestMs: Math.min(...times) };
}

function lastReceipt(store: Store, targetId: number): { lastDeliveredMs?: number } {
  const row = store.get<{ at: number | null }>(
    `SELECT max(changed_ms) AS at FROM delivery
       WHERE id > (SELECT max(id) FROM delivery) - ${RECENT_DELIVERIES} AND target_id = ? AND state = 'delivered'`,
    targetId,
  );
  return row === undefined || row.at === null ? {} : { lastDeliveredMs: row.at };
}
