/** The model of `status`, read from the store: counts come from the tally, never from a scan. */
import type { DeviceStatus, JobStatus, NotedFile, ParkedItem, Tally, TargetStatus } from "../observe/mod.ts";
import { OPEN_DELIVERY, OPEN_FILE } from "./open_rows.ts";
import type { Store } from "./store.ts";

/** Waits because a device denies just this one. */
const DENIED_FILE = `${OPEN_FILE} AND f.state = 'found' AND f.code = 'denied'`;
const DENIED_DELIVERY = `${OPEN_DELIVERY} AND d.state = 'waiting' AND d.code = 'denied'`;

/** Most parked items that a report lists. */
const PARKED_MAX = 100;
/** Most noted files that a report lists. */
const NOTED_MAX = 20;

interface TallyRow {
  job_id: number;
  target_id: number;
  state: string;
  count: number;
  bytes: number;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** Counts of one job, by name; zero where nothing was counted. */
export function jobStatuses(store: Store): JobStatus[] {
  const tallies = store.all<TallyRow & Record<string, unknown>>("SELECT * FROM tally");
  const tally = (jobId: number, targetId: number, state: string): Tally => {
    const row = tallies.find((t) => t.job_id === jobId && t.target_id === targetId && t.state === state);
    return { count: row?.count ?? 0, bytes: row?.bytes ?? 0 };
  };
  const jobs = store.all<{ id: number; name: string; listed: number | null }>(
    `SELECT id, name, (SELECT max(listed_ms) FROM source WHERE job_id = job.id) AS listed FROM job ORDER BY id`,
  );
  return jobs.map(({ id, name, listed }) => {
    const targets = store.all<{ id: number; name: string }>(
      "SELECT id, name FROM target WHERE job_id = ? AND retired = 0 ORDER BY id",
      id,
    );
    return {
      name,
      found: tally(id, 0, "found"),
      downloading: tally(id, 0, "downloading"),
      spooled: tally(id, 0, "spooled"),
      done: tally(id, 0, "done"),
      parked: tally(id, 0, "parked"),
      gone: tally(id, 0, "gone"),
      targets: targets.map((target): TargetStatus => ({
        name: target.name,
        waiting: tally(id, target.id, "waiting"),
        uploading: tally(id, target.id, "uploading"),
        delivered: tally(id, target.id, "delivered"),
        parked: tally(id, target.id, "parked"),
        uncertain: tally(id, target.id, "uncertain"),
      })),
      ...(listed === null ? {} : { lastListing: iso(listed) }),
    };
  });
}

/** What was last said of each device. */
export function deviceStatuses(store: Store): DeviceStatus[] {
  return store.all<{
    name: string;
    role: "source" | "target";
    available: number;
    held: number;
    code: string | null;
    reason: string | null;
    since_ms: number;
  }>("SELECT * FROM device ORDER BY id").map((row) => ({
    name: row.name,
    role: row.role,
    available: row.available === 1,
    held: row.held === 1,
    ...(row.code === null ? {} : { code: row.code }),
    ...(row.reason === null ? {} : { reason: row.reason }),
    since: iso(row.since_ms),
  }));
}

interface ParkedRow {
  job: string;
  path: string;
  target: string | null;
  state: ParkedItem["state"];
  reason: string | null;
  hint: string | null;
  attempts: number;
  changed_ms: number;
}

/**
 * The newest files and deliveries that a person has to look at. The rest of a card that was met for the first time is no
 * trouble and can be thousands of files: it comes last.
 */
export function parkedItems(store: Store): ParkedItem[] {
  return store.all<ParkedRow & Record<string, unknown>>(
    `SELECT j.name AS job, f.path, NULL AS target, f.state, f.reason, f.hint, f.attempts, f.changed_ms,
         f.code IS 'first_contact' AS is_rest
       FROM file f INDEXED BY file_open JOIN job j ON j.id = f.job_id WHERE f.state = 'parked' AND f.${OPEN_FILE}
     UNION ALL
     SELECT j.name, f.path, NULL, 'denied', f.reason, f.hint, f.attempts, f.changed_ms, 0
       FROM file f INDEXED BY file_open JOIN job j ON j.id = f.job_id WHERE f.${DENIED_FILE}
     UNION ALL
     SELECT j.name, f.path, t.name, 'denied', d.reason, d.hint, d.attempts, d.changed_ms, 0
       FROM delivery d INDEXED BY delivery_open JOIN target t ON t.id = d.target_id JOIN file f ON f.id = d.file_id
         JOIN job j ON j.id = f.job_id WHERE d.${DENIED_DELIVERY} AND t.retired = 0
     UNION ALL
     SELECT j.name, f.path, t.name, d.state, d.reason, d.hint, d.attempts, d.changed_ms, 0
       FROM delivery d INDEXED BY delivery_open JOIN target t ON t.id = d.target_id JOIN file f ON f.id = d.file_id
         JOIN job j ON j.id = f.job_id
       WHERE d.state IN ('parked', 'uncertain') AND d.${OPEN_DELIVERY} AND t.retired = 0
     ORDER BY is_rest, changed_ms DESC LIMIT ${PARKED_MAX}`,
  ).map((row) => ({
    job: row.job,
    path: row.path,
    ...(row.target === null ? {} : { target: row.target }),
    state: row.state,
    reason: row.reason ?? "",
    ...(row.hint === null ? {} : { hint: row.hint }),
    attempts: row.attempts,
    since: iso(row.changed_ms),
  }));
}

/** The newest files of which their source's driver has something to say. */
export function notedFiles(store: Store): NotedFile[] {
  return store.all<{ job: string; path: string; note: string; changed_ms: number }>(
    `SELECT j.name AS job, f.path, f.note, f.changed_ms FROM file f INDEXED BY file_noted JOIN job j ON j.id = f.job_id
       WHERE f.note IS NOT NULL ORDER BY f.changed_ms DESC LIMIT ${NOTED_MAX}`,
  ).map(({ job, path, note, changed_ms }) => ({ job, path, note, since: iso(changed_ms) }));
}

/** How many there are. */
export function notedCount(store: Store): number {
  return store.get<{ count: number }>(
    "SELECT count(*) AS count FROM file INDEXED BY file_noted WHERE note IS NOT NULL",
  )!.count;
}

/** Counts that decide how a run ends, for the named jobs. */
export interface Outstanding {
  parked: number;
  uncertain: number;
  /** Files and deliveries that are still to be moved. */
  left: number;
}

/** Counts what is left of some jobs, from the tally. */
export function outstanding(store: Store, jobIds: number[]): Outstanding {
  const rows = store.all<TallyRow & Record<string, unknown>>(
    `SELECT y.* FROM tally y LEFT JOIN target t ON t.id = y.target_id
       WHERE y.job_id IN (SELECT value FROM json_each(?)) AND coalesce(t.retired, 0) = 0`,
    JSON.stringify(jobIds),
  );
  const sum = (isFile: boolean, ...states: string[]) =>
    rows.filter((row) => (row.target_id === 0) === isFile && states.includes(row.state))
      .reduce((total, row) => total + row.count, 0);
  return {
    parked: sum(true, "parked") + sum(false, "parked"),
    uncertain: sum(false, "uncertain"),
    left: sum(true, "found", "downloading") + sum(false, "waiting", "uploading"),
  };
}

/** How many files are not yet where they should be: each once, however many targets it waits for. */
export function filesLeft(store: Store, jobIds: number[]): number {
  return store.get<{ count: number }>(
    `SELECT (SELECT coalesce(sum(count), 0) FROM tally
         WHERE target_id = 0 AND state IN ('found', 'downloading') AND job_id IN (SELECT value FROM json_each(?1))) +
       (SELECT count(*) FROM file f INDEXED BY file_open
         WHERE f.${OPEN_FILE} AND f.state = 'spooled' AND f.job_id IN (SELECT value FROM json_each(?1))
           AND EXISTS (SELECT 1 FROM delivery d JOIN target t ON t.id = d.target_id
             WHERE d.file_id = f.id AND d.state IN ('waiting', 'uploading') AND t.retired = 0)) AS count`,
    JSON.stringify(jobIds),
  )!.count;
}

/** How many files and deliveries wait because a device denies just them. */
export function deniedCount(store: Store): number {
  return store.get<{ count: number }>(
    `SELECT (SELECT count(*) FROM file f INDEXED BY file_open WHERE f.${DENIED_FILE}) +
       (SELECT count(*) FROM delivery d INDEXED BY delivery_open JOIN target t ON t.id = d.target_id
          WHERE d.${DENIED_DELIVERY} AND t.retired = 0) AS count`,
  )!.count;
}

/** Whether single files wait because a device denies them, while the device itself can be used. */
export function hasDenied(store: Store, jobIds: number[]): boolean {
  const jobs = JSON.stringify(jobIds);
  return store.get<{ any: number }>(
    `SELECT EXISTS (SELECT 1 FROM file INDEXED BY file_open
         WHERE ${OPEN_FILE} AND state = 'found' AND code = 'denied' AND job_id IN (SELECT value FROM json_each(?1)))
       OR EXISTS (SELECT 1 FROM delivery d INDEXED BY delivery_open JOIN target t ON t.id = d.target_id
         WHERE d.${OPEN_DELIVERY} AND d.state = 'waiting' AND d.code = 'denied' AND t.retired = 0
           AND t.job_id IN (SELECT value FROM json_each(?1))) AS any`,
    jobs,
  )!.any === 1;
}

/** Bytes in the spool according to the rows. */
export function spooledBytes(store: Store): number {
  return store.get<{ bytes: number }>(
    "SELECT coalesce(sum(bytes), 0) AS bytes FROM tally WHERE target_id = 0 AND state = 'spooled'",
  )!.bytes;
}

/** Bytes that were moved more than once, both directions. */
export function resentBytes(store: Store): number {
  return Number(store.meta("resent_bytes") ?? "0");
}

/** Bytes that were sent to targets more than once. */
export function resentUploadBytes(store: Store): number {
  return Number(store.meta("resent_upload_bytes") ?? "0");
}

/** Records at once, so that a crash does not lose it, that bytes of a file are moved again. */
export function recordResent(store: Store, what: { file: number } | { delivery: number }, bytes: number): void {
  if (bytes <= 0) return;
  store.write(() => {
    if ("file" in what) store.run("UPDATE file SET resent_bytes = resent_bytes + ? WHERE id = ?", bytes, what.file);
    else store.run("UPDATE delivery SET resent_bytes = resent_bytes + ? WHERE id = ?", bytes, what.delivery);
    addResent(store, bytes, "file" in what ? "download" : "upload");
  });
}

/** Adds to the count of bytes that were moved more than once. Call inside `write`. */
export function addResent(store: Store, bytes: number, direction: "download" | "upload"): void {
  if (bytes <= 0) return;
  store.setMeta("resent_bytes", String(resentBytes(store) + bytes));
  if (direction === "upload") store.setMeta("resent_upload_bytes", String(resentUploadBytes(store) + bytes));
}
