/** Everything that is known of one path, for `why`. */
import type { Store } from "./store.ts";

/** Generations of one path that are told, the newest first. */
const GENERATIONS_MAX = 20;
/** Names that are told when a path is not known. */
const NEAREST_MAX = 5;
/** The newest files and the newest deliveries that are looked at for such names: the daemon looks between its moves. */
const NEAREST_LOOKED = 100_000;

/** One delivery of a file. */
export interface DeliveryFacts {
  target: string;
  /** The target is not in the configuration any more. */
  retired: boolean;
  state: string;
  since: string;
  /** The name asked for, fixed at the first attempt. */
  askedPath?: string;
  attempts: number;
  /** An upload was begun whose outcome is not known. */
  started: boolean;
  /** Milliseconds of the daemon's monotonic clock. */
  retryAtMs?: number;
  error?: ErrorFacts;
  receipt?: {
    path: string;
    sizeBytes: number;
    verified: string;
    sha256?: string;
    checksum?: string;
    url?: string;
  };
  resentBytes: number;
}

/** An error in the words of the device that told it. */
export interface ErrorFacts {
  code: string;
  reason: string;
  hint?: string;
}

/** One generation of a file. */
export interface GenerationFacts {
  /** The row, which names its copy in the spool. */
  id: number;
  generation: number;
  latest: boolean;
  state: string;
  since: string;
  found: string;
  fingerprint: { sizeBytes?: number; modified?: string; etag?: string; checksum?: string };
  attempts: number;
  retryAtMs?: number;
  error?: ErrorFacts;
  sha256?: string;
  /** What the source's driver says of the file itself, which is whole as the source has it. */
  note?: string;
  deviceDir?: number;
  /** It left the full spool for others and is fetched again when its target is back. */
  shelved: boolean;
  resentBytes: number;
  sourceCopy: "kept" | "due" | "removed" | "refused";
  /** Why it was refused, or when it was removed. */
  removal?: string;
  /** How long until the source's copy may be removed, milliseconds. */
  dueInMs?: number;
  deliveries: DeliveryFacts[];
}

/** One path of one source. */
export interface FileHistory {
  job: string;
  /** The source as the driver names it: a volume's or a vehicle's id, or the configured device. */
  deviceId: string;
  path: string;
  lastListing?: string;
  /** The newest first, at most 20. */
  generations: GenerationFacts[];
  /** How many there are. */
  generationCount: number;
}

type Row = Record<string, string | number | null>;

/** What is known of `path` in the named jobs; one answer for each source that has or had it. */
export function fileHistories(store: Store, jobIds: number[], path: string): FileHistory[] {
  // A daemon writes its clock down once a minute.
  const sinceMs = Date.now() - Number(store.meta("uptime_counted_at") ?? Date.now());
  const uptimeMs = Number(store.meta("uptime_ms") ?? "0") + Math.min(60_000, Math.max(0, sinceMs));
  const sources = store.all<Row>(
    `SELECT s.id, s.device_id, s.listed_ms, j.name AS job,
         (SELECT count(*) FROM file f WHERE f.source_id = s.id AND f.path = ?2) AS generations
       FROM source s JOIN job j ON j.id = s.job_id WHERE s.job_id IN (SELECT value FROM json_each(?1)) ORDER BY s.id`,
    JSON.stringify(jobIds),
    path,
  );
  return sources.filter((source) => source["generations"] !== 0).map((source) => ({
    job: String(source["job"]),
    deviceId: String(source["device_id"]),
    path,
    ...(source["listed_ms"] === null ? {} : { lastListing: iso(source["listed_ms"]) }),
    generationCount: Number(source["generations"]),
    generations: store.all<Row>(
      `SELECT * FROM file WHERE source_id = ? AND path = ? ORDER BY generation DESC LIMIT ${GENERATIONS_MAX}`,
      source["id"] ?? null,
      path,
    ).map((row) => generationOf(store, row, uptimeMs)),
  }));
}

function generationOf(store: Store, row: Row, uptimeMs: number): GenerationFacts {
  const deliveries = store.all<Row>(
    `SELECT d.*, t.name AS target, t.retired FROM delivery d JOIN target t ON t.id = d.target_id
       WHERE d.file_id = ? ORDER BY d.target_id`,
    row["id"] ?? null,
  );
  const isDue = row["source_copy"] === "due" && row["due_at_ms"] !== null;
  return {
    id: Number(row["id"]),
    generation: Number(row["generation"]),
    latest: row["latest"] === 1,
    state: String(row["state"]),
    since: iso(row["changed_ms"]),
    found: iso(row["found_ms"]),
    fingerprint: present({
      sizeBytes: row["size_bytes"],
      modified: row["modified_ms"] === null ? null : iso(row["modified_ms"]),
      etag: row["etag"],
      checksum: row["checksum_value"] === null ? null : `${row["checksum_algorithm"]}:${row["checksum_value"]}`,
    }),
    attempts: Number(row["attempts"]),
    shelved: row["shelved"] === 1,
    resentBytes: Number(row["resent_bytes"]),
    sourceCopy: row["source_copy"] as GenerationFacts["sourceCopy"],
    deliveries: deliveries.map(deliveryOf),
    ...present({
      retryAtMs: row["retry_at_ms"] === 0 ? null : row["retry_at_ms"],
      sha256: row["sha256"],
      note: row["note"],
      deviceDir: row["device_dir"],
      removal: row["removal"],
      dueInMs: isDue ? Math.max(0, Number(row["due_at_ms"]) - uptimeMs) : null,
    }),
    ...errorOf(row),
  };
}

function deliveryOf(row: Row): DeliveryFacts {
  const facts: DeliveryFacts = {
    target: String(row["target"]),
    retired: row["retired"] === 1,
    state: String(row["state"]),
    since: iso(row["changed_ms"]),
    attempts: Number(row["attempts"]),
    started: row["started"] === 1,
    resentBytes: Number(row["resent_bytes"]),
    ...present({
      askedPath: row["asked_path"],
      retryAtMs: row["retry_at_ms"] === 0 ? null : row["retry_at_ms"],
    }),
    ...errorOf(row),
  };
  if (row["state"] === "delivered") {
    facts.receipt = {
      path: String(row["receipt_path"]),
      sizeBytes: Number(row["size_bytes"]),
      verified: String(row["verified"] ?? "none"),
      ...present({ sha256: row["receipt_sha256"], checksum: row["receipt_checksum"], url: row["receipt_url"] }),
    };
  }
  return facts;
}

function errorOf(row: Row): { error?: ErrorFacts } {
  if (row["reason"] === null && row["code"] === null) return {};
  const error: ErrorFacts = { code: String(row["code"] ?? ""), reason: String(row["reason"] ?? "") };
  if (row["hint"] !== null) error.hint = String(row["hint"]);
  return { error };
}

/** The fields that are known. Rows are not typed: each field takes the type of its column. */
function present<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: never } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined)) as {
    [K in keyof T]?: never;
  };
}

function iso(ms: string | number | null | undefined): string {
  const date = new Date(Number(ms));
  return Number.isNaN(date.getTime()) ? "-" : date.toISOString();
}

/**
 * Known paths, and names on targets, that hold what was asked for; first those that hold all of it.
 * @param looked how many of the newest files and deliveries are looked at
 */
export function nearestPaths(
  store: Store,
  jobIds: number[],
  path: string,
  looked: number = NEAREST_LOOKED,
): { job: string; path: string }[] {
  const jobs = JSON.stringify(jobIds);
  const base = path.slice(path.lastIndexOf("/") + 1);
  const stem = base.includes(".") ? base.slice(0, base.lastIndexOf(".")) : base;
  const wanted = [...new Set([path, base, stem])].filter((text) => text !== "");
  const found = new Map<string, { job: string; path: string }>();
  for (const text of wanted) {
    const like = `%${text.replace(/[\\%_]/g, (character) => `\\${character}`)}%`;
    const rows = store.all<{ job: string; path: string }>(
      `SELECT j.name AS job, n.path FROM (
           SELECT job_id, path FROM file
             WHERE id > (SELECT max(id) FROM file) - ?3 AND latest = 1 AND path LIKE ?2 ESCAPE '\\'
             AND job_id IN (SELECT value FROM json_each(?1))
           UNION ALL
           SELECT f.job_id, f.path FROM delivery d JOIN file f ON f.id = d.file_id
             WHERE d.id > (SELECT max(id) FROM delivery) - ?3 AND d.receipt_path LIKE ?2 ESCAPE '\\'
             AND f.job_id IN (SELECT value FROM json_each(?1))
           LIMIT ${NEAREST_MAX}) n JOIN job j ON j.id = n.job_id`,
      jobs,
      like,
      looked,
    );
    for (const row of rows) found.set(`${row.job}\n${row.path}`, { job: row.job, path: row.path });
    if (found.size >= NEAREST_MAX) break;
  }
  return [...found.values()].slice(0, NEAREST_MAX);
}

/** The state of the newest generation of a path in each source; empty when the path is not known. */
export function pathStates(store: Store, jobIds: number[], path: string): string[] {
  return store.all<{ state: string; code: string | null }>(
    `SELECT f.state, f.code FROM source s JOIN file f ON f.source_id = s.id AND f.path = ?2 AND f.latest = 1
       WHERE s.job_id IN (SELECT value FROM json_each(?1)) ORDER BY f.id`,
    JSON.stringify(jobIds),
    path,
  ).map(({ state, code }) => state === "gone" && code === "forgotten" ? "forgotten" : state);
}

/** When the last complete listing of a job's source ended, ISO 8601 to the minute or so; `undefined`: never. */
export function lastListing(store: Store, jobName: string): string | undefined {
  const at = store.get<{ at: number | null }>(
    "SELECT max(s.listed_ms) AS at FROM source s JOIN job j ON j.id = s.job_id WHERE j.name = ?",
    jobName,
  )?.at;
  return at === null || at === undefined ? undefined : iso(at);
}
