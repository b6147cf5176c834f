/**
 * Looking through all files, the newest first, page by page. A search reads a bounded number of rows and tells where to
 * go on: who looks never holds up who moves, however many files are known.
 */
import type { BrowsedFile, BrowsePage, BrowseQuery, BrowseState } from "../observe/mod.ts";
import { OPEN_DELIVERY, OPEN_FILE } from "./open_rows.ts";
import type { Store } from "./store.ts";

type Row = Record<string, string | number | null>;

const IS_PARKED = `(f.state = 'parked' OR EXISTS (SELECT 1 FROM delivery d WHERE d.file_id = f.id
  AND d.state IN ('parked', 'uncertain')))`;

const CONDITIONS: Record<BrowseState, string> = {
  open: `f.${OPEN_FILE}`,
  parked: IS_PARKED,
  delivered: "f.state = 'done'",
  gone: "f.state = 'gone'",
};

/** The rows that one answer looks at. What needs a person is unfinished, and so is small beside what is known. */
const NEWEST = "SELECT id FROM file WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
const NEWEST_PARKED = `
  SELECT id FROM file INDEXED BY file_open WHERE state = 'parked' AND ${OPEN_FILE} AND id < ?1
  UNION
  SELECT file_id FROM delivery INDEXED BY delivery_open
    WHERE state IN ('parked', 'uncertain') AND ${OPEN_DELIVERY} AND file_id < ?1
  ORDER BY 1 DESC LIMIT ?2`;

/** One page of the files that `query` wants. */
export function browseFiles(store: Store, query: BrowseQuery): BrowsePage {
  const before = query.before ?? Number.MAX_SAFE_INTEGER;
  const looked = query.state === "parked" ? NEWEST_PARKED : NEWEST;
  const files = store.all<Row>(
    `WITH looked AS MATERIALIZED (${looked})
     SELECT f.id, j.name AS job, f.path, f.generation, f.state, f.size_bytes, f.modified_ms, f.changed_ms, f.reason, f.hint
       FROM looked l JOIN file f ON f.id = l.id JOIN job j ON j.id = f.job_id
       WHERE (?3 IS NULL OR j.name = ?3) AND (?4 IS NULL OR f.path LIKE ?4 ESCAPE '\\')
         AND ${query.state === undefined ? "TRUE" : CONDITIONS[query.state]}
       ORDER BY f.id DESC LIMIT ?5`,
    before,
    query.scanMax,
    query.job ?? null,
    query.text === undefined || query.text === "" ? null : `%${query.text.replace(/[\\%_]/g, "\\$&")}%`,
    query.limit,
  ).map((row) => fileOf(store, row));
  // A full page may have more behind its last row; else all that was looked at has been judged.
  if (files.length === query.limit) return { files, next: files.at(-1)!.id };
  const rows = store.get<{ count: number; last: number | null }>(
    `SELECT count(*) AS count, min(id) AS last FROM (${looked})`,
    before,
    query.scanMax,
  );
  return rows === undefined || rows.last === null || rows.count < query.scanMax
    ? { files }
    : { files, next: rows.last };
}

/** Where the spool keeps a file, and its path on the source; `undefined` when it is not in the spool. */
export function fileFolder(store: Store, fileId: number): { deviceDir: number; path: string } | undefined {
  return store.get<{ deviceDir: number; path: string }>(
    "SELECT device_dir AS deviceDir, path FROM file WHERE id = ? AND device_dir IS NOT NULL",
    fileId,
  );
}

function fileOf(store: Store, row: Row): BrowsedFile {
  return {
    id: Number(row["id"]),
    job: String(row["job"]),
    path: String(row["path"]),
    generation: Number(row["generation"]),
    state: String(row["state"]),
    ...(row["size_bytes"] === null ? {} : { sizeBytes: Number(row["size_bytes"]) }),
    ...modifiedOf(row["modified_ms"] ?? null),
    since: new Date(Number(row["changed_ms"])).toISOString(),
    ...reasonOf(row),
    deliveries: store.all<Row>(
      `SELECT t.name AS target, d.state, d.receipt_path, d.receipt_url, d.reason, d.hint
         FROM delivery d JOIN target t ON t.id = d.target_id WHERE d.file_id = ? AND t.retired = 0 ORDER BY d.target_id`,
      Number(row["id"]),
    ).map((delivery) => ({
      target: String(delivery["target"]),
      state: String(delivery["state"]),
      ...(delivery["receipt_path"] === null ? {} : { path: String(delivery["receipt_path"]) }),
      ...(delivery["receipt_url"] === null ? {} : { url: String(delivery["receipt_url"]) }),
      ...reasonOf(delivery),
    })),
  };
}

function reasonOf(row: Row): { reason?: string; hint?: string } {
  return {
    ...(row["reason"] === null || row["reason"] === undefined ? {} : { reason: String(row["reason"]) }),
    ...(row["hint"] === null || row["hint"] === undefined ? {} : { hint: String(row["hint"]) }),
  };
}

/** Times come from devices, which may tell any number. */
function modifiedOf(ms: string | number | null): { modified?: string } {
  const date = new Date(ms === null ? NaN : Number(ms));
  return Number.isNaN(date.getTime()) ? {} : { modified: date.toISOString() };
}
