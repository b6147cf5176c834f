/**
 * What a person changes by `retry` and `forget`. Each call does a bounded part and is repeated until it finds nothing,
 * so that a million rows never hold up the workers.
 */
import { OPEN_DELIVERY, OPEN_FILE } from "./open_rows.ts";
import type { Store } from "./store.ts";

/** Rows that one call changes at most, of each table. */
const PAGE = 1000;

/** What a person means. */
export interface Selection {
  jobIds: number[];
  /** Targets whose deliveries are meant. */
  targetIds: number[];
  /** Whether files that could not be fetched are meant too: not when a target was named. */
  sources: boolean;
  /** Absent: every path. */
  path?: string;
  parked: boolean;
  uncertain: boolean;
  /** Those in back-off. */
  waiting: boolean;
  /** Rows after these: the last part's answer. @default 0 */
  afterFile?: number;
  afterDelivery?: number;
}

/** How many rows were changed. */
export interface Changed {
  files: number;
  deliveries: number;
}

/** What one call changed, and where the next one goes on. */
export interface Part extends Changed {
  lastFile: number;
  lastDelivery: number;
}

/** What may leave the spool now. */
export interface Released {
  id: number;
  deviceDir: number;
  sizeBytes: number;
}

const PATH_FILES = `
  SELECT f.id FROM source s JOIN file f INDEXED BY file_path ON f.source_id = s.id AND f.path = ?2
    WHERE s.job_id IN (SELECT value FROM json_each(?1))`;

/** A file that every target it is owed to has, or was given up for. */
const IS_SETTLED = `NOT EXISTS (
  SELECT 1 FROM target t WHERE t.job_id = file.job_id AND t.retired = 0 AND t.first_file_id <= file.id
    AND NOT EXISTS (SELECT 1 FROM delivery d
      WHERE d.file_id = file.id AND d.target_id = t.id AND d.state IN ('delivered', 'forgotten')))`;

function ids(store: Store, sql: string, ...values: (string | number)[]): number[] {
  return store.all<{ id: number }>(sql, ...values).map((row) => row.id);
}

/**
 * Puts what was given up, or waits for its next try, back into the queues. Without `path` repeat it, after the rows of its answer, until it finds nothing.
 * @returns `relist`: a listing must say whether a name can be fetched by now
 */
export function retryRows(store: Store, selection: Selection): Part & { relist: boolean } {
  return store.write(() => {
    const forgotten = selection.path === undefined ? 0 : recallForgotten(store, selection, selection.path);
    const deliveries = deliveriesOf(store, selection, selection.waiting);
    store.run(
      `UPDATE delivery SET state = 'waiting', started = CASE state WHEN 'uncertain' THEN 0 ELSE started END,
           attempts = 0, breaks = 0, retry_at_ms = 0, changed_ms = ? WHERE id IN (SELECT value FROM json_each(?))`,
      Date.now(),
      JSON.stringify(deliveries),
    );
    const files = filesOf(store, selection, "retry");
    const retried = store.all<{ state: string }>(
      // A name that cannot be fetched is looked at again at the next listing. What was lost in the spool stays so.
      `UPDATE file SET state = CASE WHEN state = 'parked' AND code = 'unsupported' THEN 'gone' ELSE 'found' END,
           sha256 = NULL, shelved = 0, attempts = 0, breaks = 0, best_bytes = 0, retry_at_ms = 0,
           reason = CASE WHEN code IN ('first_contact', 'forgotten', 'unsupported') THEN NULL ELSE reason END,
           hint = CASE WHEN code IN ('first_contact', 'forgotten', 'unsupported') THEN NULL ELSE hint END,
           code = CASE WHEN code IN ('first_contact', 'forgotten', 'unsupported') THEN NULL ELSE code END,
           changed_ms = ? WHERE id IN (SELECT value FROM json_each(?)) RETURNING state`,
      Date.now(),
      JSON.stringify(files),
    );
    const relist = retried.some(({ state }) => state === "gone");
    return { ...partOf(selection, files, deliveries), deliveries: deliveries.length + forgotten, relist };
  });
}

function partOf(selection: Selection, files: number[], deliveries: number[]): Part {
  return {
    files: files.length,
    deliveries: deliveries.length,
    lastFile: files.at(-1) ?? selection.afterFile ?? 0,
    lastDelivery: deliveries.at(-1) ?? selection.afterDelivery ?? 0,
  };
}

/** The first rows of two ordered lists. */
function firstOf(some: number[], others: number[]): number[] {
  return [...some, ...others].sort((a, b) => a - b).slice(0, PAGE);
}

/** A person changed their mind: deliveries that they gave up are made after all. Returns how many. */
function recallForgotten(store: Store, selection: Selection, path: string): number {
  const rows = ids(
    store,
    `SELECT d.id FROM delivery d JOIN file f ON f.id = d.file_id WHERE d.file_id IN (${PATH_FILES})
       AND d.state = 'forgotten' AND d.target_id IN (SELECT value FROM json_each(?3))
       AND (f.state = 'spooled' OR (f.latest = 1 AND f.source_copy <> 'removed'))`,
    JSON.stringify(selection.jobIds),
    path,
    JSON.stringify(selection.targetIds),
  );
  if (rows.length === 0) return 0;
  const list = JSON.stringify(rows);
  const files = JSON.stringify(
    ids(
      store,
      `SELECT DISTINCT file_id AS id FROM delivery WHERE id IN (SELECT value FROM json_each(?))`,
      list,
    ),
  );
  store.run(
    `UPDATE delivery SET state = 'waiting', attempts = 0, breaks = 0, retry_at_ms = 0, changed_ms = ?
       WHERE id IN (SELECT value FROM json_each(?)) AND (SELECT state FROM file WHERE id = file_id) = 'spooled'`,
    Date.now(),
    list,
  );
  // What is not in the spool any more is fetched again; its delivery is made anew then.
  store.run("DELETE FROM delivery WHERE id IN (SELECT value FROM json_each(?)) AND state = 'forgotten'", list);
  fetchAgain(store, files, "state = 'done' OR (state = 'gone' AND code = 'forgotten')");
  return rows.length;
}

/** Sends files that are done back to the source's queue. Call inside `write`. Returns how many. */
function fetchAgain(store: Store, list: string, condition: string): number {
  return store.run(
    `UPDATE file SET state = 'found', sha256 = NULL, synced_bytes = 0, best_bytes = 0, attempts = 0, breaks = 0,
         retry_at_ms = 0, shelved = 0, code = NULL, reason = NULL, hint = NULL, changed_ms = ?,
         due_at_ms = NULL, source_copy = CASE source_copy WHEN 'due' THEN 'kept' ELSE source_copy END
       WHERE id IN (SELECT value FROM json_each(?)) AND (${condition})`,
    Date.now(),
    list,
  );
}

function deliveriesOf(store: Store, selection: Selection, withWaiting: boolean): number[] {
  const states = [...(selection.parked ? ["parked"] : []), ...(selection.uncertain ? ["uncertain"] : [])];
  const targets = JSON.stringify(selection.targetIds);
  if (selection.path !== undefined) {
    return ids(
      store,
      `SELECT d.id FROM delivery d WHERE d.file_id IN (${PATH_FILES}) AND d.target_id IN (SELECT value FROM json_each(?3))
         AND (d.state IN (SELECT value FROM json_each(?4)) OR (?5 AND d.state = 'waiting' AND d.retry_at_ms > 0))`,
      JSON.stringify(selection.jobIds),
      selection.path,
      targets,
      JSON.stringify(states),
      withWaiting ? 1 : 0,
    );
  }
  const { afterDelivery: after = 0 } = selection;
  const givenUp = states.length === 0 ? [] : ids(
    store,
    `SELECT id FROM delivery INDEXED BY delivery_open WHERE state IN (SELECT value FROM json_each(?)) AND ${OPEN_DELIVERY}
       AND target_id IN (SELECT value FROM json_each(?)) AND id > ? ORDER BY id LIMIT ${PAGE}`,
    JSON.stringify(states),
    targets,
    after,
  );
  const waiting = !withWaiting ? [] : ids(
    store,
    `SELECT id FROM delivery INDEXED BY delivery_retry WHERE retry_at_ms > 0 AND state = 'waiting'
       AND target_id IN (SELECT value FROM json_each(?)) AND id > ? ORDER BY id LIMIT ${PAGE}`,
    targets,
    after,
  );
  return firstOf(givenUp, waiting);
}

function filesOf(store: Store, selection: Selection, what: "retry" | "forget"): number[] {
  if (!selection.sources) return [];
  const jobs = JSON.stringify(selection.jobIds);
  if (selection.path !== undefined) {
    const more = what === "retry"
      ? "(state = 'gone' AND code = 'forgotten') OR (state = 'found' AND retry_at_ms > 0)"
      : "(state = 'gone' AND code IS NOT 'forgotten')";
    return ids(
      store,
      `SELECT id FROM file WHERE id IN (${PATH_FILES}) AND latest = 1 AND (state = 'parked' OR ${more})`,
      jobs,
      selection.path,
    );
  }
  const { afterFile: after = 0 } = selection;
  const parked = !selection.parked ? [] : ids(
    store,
    `SELECT id FROM file INDEXED BY file_open WHERE state = 'parked' AND ${OPEN_FILE}
       AND job_id IN (SELECT value FROM json_each(?)) AND id > ? ORDER BY id LIMIT ${PAGE}`,
    jobs,
    after,
  );
  const waiting = what === "forget" || !selection.waiting ? [] : ids(
    store,
    `SELECT id FROM file INDEXED BY file_retry WHERE retry_at_ms > 0 AND state = 'found'
       AND job_id IN (SELECT value FROM json_each(?)) AND id > ? ORDER BY id LIMIT ${PAGE}`,
    jobs,
    after,
  );
  return firstOf(parked, waiting);
}

/**
 * A target gets what was found before it was added: what lies in the spool now, the rest once it is fetched again.
 * @returns deliveries that were made at once
 */
export function oweOlderFiles(store: Store, targetId: number): number {
  return store.write(() => {
    store.run("UPDATE target SET first_file_id = 0 WHERE id = ?", targetId);
    return store.run(
      `INSERT INTO delivery (file_id, target_id, state, size_bytes, changed_ms)
         SELECT f.id, t.id, 'waiting', f.size_bytes, ? FROM file f INDEXED BY file_open, target t
           WHERE t.id = ? AND f.job_id = t.job_id AND f.state = 'spooled' AND f.${OPEN_FILE}
         ON CONFLICT DO NOTHING`,
      Date.now(),
      targetId,
    );
  });
}

/**
 * Sends files that are done, and that a target never got, back to the source's queue.
 * @param afterId 0, then the last answer's `lastId`
 * @returns `lastId` is absent when there are no more
 */
export function fetchOlderFiles(store: Store, targetId: number, afterId: number): { files: number; lastId?: number } {
  const rows = ids(
    store,
    `SELECT f.id FROM target t JOIN file f ON f.job_id = t.job_id
       WHERE t.id = ? AND f.id > ? AND f.state = 'done' AND f.latest = 1 AND f.source_copy <> 'removed'
         AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.file_id = f.id AND d.target_id = t.id)
       ORDER BY f.id LIMIT ${PAGE}`,
    targetId,
    afterId,
  );
  if (rows.length === 0) return { files: 0 };
  const files = store.write(() => fetchAgain(store, JSON.stringify(rows), "state = 'done'"));
  return { files, lastId: rows.at(-1)! };
}

/**
 * Gives up what is parked or uncertain: the same content is never tried again, a new generation is. Without
 * `path` repeat it, after the rows of its answer, until it finds nothing.
 * @returns what the spool need not keep any more, once this is on disk
 */
export function forgetRows(store: Store, selection: Selection): Part & { released: Released[] } {
  return store.write(() => {
    const deliveries = deliveriesOf(store, selection, false);
    const given = store.all<{ file_id: number }>(
      `UPDATE delivery SET state = 'forgotten', retry_at_ms = 0, resume = NULL, changed_ms = ?
         WHERE id IN (SELECT value FROM json_each(?)) RETURNING file_id`,
      Date.now(),
      JSON.stringify(deliveries),
    ).map((row) => row.file_id);
    const files = filesOf(store, selection, "forget");
    const list = JSON.stringify(files);
    store.run(
      `UPDATE delivery SET state = 'forgotten', retry_at_ms = 0, resume = NULL, changed_ms = ?
         WHERE file_id IN (SELECT value FROM json_each(?)) AND ${OPEN_DELIVERY}`,
      Date.now(),
      list,
    );
    const abandoned = giveUp(store, list, "TRUE");
    const settled = JSON.stringify([...new Set(given)]);
    const done = store.all<Released & Record<string, unknown>>(
      `UPDATE file SET state = 'done', code = NULL, reason = NULL, hint = NULL, retry_at_ms = 0, shelved = 0, changed_ms = ?
         WHERE id IN (SELECT value FROM json_each(?)) AND state IN ('found', 'spooled') AND ${IS_SETTLED}
           AND EXISTS (SELECT 1 FROM delivery d WHERE d.file_id = file.id AND d.state = 'delivered')
         RETURNING id, device_dir AS deviceDir, coalesce(size_bytes, 0) AS sizeBytes`,
      Date.now(),
      settled,
    );
    const none = giveUp(store, settled, `state IN ('found', 'spooled') AND ${IS_SETTLED}`);
    return {
      ...partOf(selection, files, deliveries),
      released: [...abandoned, ...done, ...none].filter((row) => row.deviceDir !== null),
    };
  });
}

function giveUp(store: Store, list: string, condition: string): Released[] {
  return store.all<Released & Record<string, unknown>>(
    `UPDATE file SET state = 'gone', code = 'forgotten', retry_at_ms = 0, shelved = 0, hint = NULL, changed_ms = ?
       WHERE id IN (SELECT value FROM json_each(?)) AND (${condition})
       RETURNING id, device_dir AS deviceDir, coalesce(size_bytes, 0) AS sizeBytes`,
    Date.now(),
    list,
  );
}
