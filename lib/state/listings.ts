/**
 * The finder's side of the store: a batch of listed entries becomes found files, settling ones, or nothing at all.
 */
import type { Entry, Fingerprint } from "../driver/mod.ts";
import { endDoubt, isInDoubt } from "./doubt.ts";
import { OPEN_FILE } from "./open_rows.ts";
import type { Store } from "./store.ts";

/** Rows that one step of a listing's end looks at: between two steps others have their turn. */
const STEP = 1000;

/** The next files of a source in one state, by the index of what is unfinished. */
const OPEN_AFTER = `
  SELECT id FROM file INDEXED BY file_open WHERE state = ?1 AND source_id = ?2 AND ${OPEN_FILE} AND id > ?3
    ORDER BY id LIMIT ${STEP}`;

/** What was found earlier, is not in the spool and was not seen is gone; what had been in the spool is parked instead. */
const GONE = `
  UPDATE file SET state = CASE code WHEN 'lost' THEN 'parked' ELSE 'gone' END, retry_at_ms = 0, changed_ms = ?2,
      reason = CASE code WHEN 'lost' THEN ?4 ELSE reason END, hint = CASE code WHEN 'lost' THEN ?5 ELSE hint END
    WHERE id IN (SELECT value FROM json_each(?1)) AND sha256 IS NULL AND id <= ?3
      AND NOT (state = 'parked' AND code IS 'lost')
      AND NOT EXISTS (SELECT 1 FROM temp.seen s WHERE s.source_id = file.source_id AND s.file_id = file.id)
    RETURNING id, path, device_dir AS device, state`;

/** The newest files of a source that is met for the first time: nothing of it was tried yet. */
const NEWEST = `
  SELECT id FROM file INDEXED BY file_queue_time
    WHERE source_id = ? AND state = 'found' AND retry_at_ms = 0 AND shelved = 0
    ORDER BY modified_ms DESC, id DESC LIMIT ?`;

/** The others wait until they are asked for. */
const BEYOND_FIRST = `
  UPDATE file SET state = 'parked', code = 'first_contact', reason = ?3, hint = ?4, changed_ms = ?5
    WHERE id IN (SELECT value FROM json_each(?1)) AND id NOT IN (SELECT value FROM json_each(?2))`;

/** What a listing is of, and how its files are judged. */
export interface SightOptions {
  jobId: number;
  sourceId: number;
  /** Monotonic milliseconds. */
  nowMs: number | (() => number);
  settleMs: number;
  /** Precision of the device's modification times, milliseconds. */
  precisionMs: number;
  /** Most files to take when this source is met for the first time; absent: all. */
  maxFirst?: number;
}

/** A file that a listing brought to light. */
export interface FoundFile {
  id: number;
  path: string;
  generation: number;
  fingerprint: Fingerprint;
  /** Set when the file is parked at once: its name cannot be fetched. */
  problem?: string;
}

interface KnownRow {
  at: number;
  id: number | null;
  generation: number | null;
  state: string | null;
  same: number | null;
}

interface SettlingRow extends FingerprintRow {
  since_ms: number;
  precision_ms: number;
}

interface FingerprintRow {
  size_bytes: number | null;
  modified_ms: number | null;
  etag: string | null;
  checksum_algorithm: string | null;
  checksum_value: string | null;
}

/**
 * For each listed entry the newest known generation of its path, and whether its fingerprint is the same: every field
 * known on both sides equal, times at the coarser precision. One statement per batch; nothing grows with the table.
 */
const KNOWN = `
  SELECT j.key AS at, f.id, f.generation, f.state,
    (f.size_bytes IS NULL OR j.value ->> 'sizeBytes' IS NULL OR f.size_bytes = j.value ->> 'sizeBytes')
    AND (f.modified_ms IS NULL OR j.value ->> 'modifiedMs' IS NULL
      OR abs(f.modified_ms - (j.value ->> 'modifiedMs')) < max(f.precision_ms, ?2))
    AND (f.etag IS NULL OR j.value ->> 'etag' IS NULL OR f.etag = j.value ->> 'etag')
    AND (f.checksum_value IS NULL OR j.value ->> '$.checksum.value' IS NULL
      OR f.checksum_algorithm <> j.value ->> '$.checksum.algorithm'
      OR f.checksum_value = j.value ->> '$.checksum.value') AS same
  FROM json_each(?3) j
  LEFT JOIN file f ON f.source_id = ?1 AND f.path = j.value ->> 'path' AND f.latest = 1
  WHERE f.id IS NULL OR NOT same OR (f.state NOT IN ('spooled', 'done') AND f.code IS NOT 'forgotten')`;

/**
 * What an earlier turn of a circle looks like: the same file under a path without its first part, and once more under
 * that without it.
 */
const TURN = `
  SELECT 1 FROM file a JOIN file b ON b.source_id = a.source_id AND b.path = ?3 AND b.latest = 1
    WHERE a.source_id = ?1 AND a.path = ?2 AND a.latest = 1 AND a.sha256 = b.sha256 AND a.size_bytes = ?4`;

const CIRCLE =
  "Target of this job seems to lie in its source: this looks like what was delivered there, for the second time";
const LOST = "Left the spool before all targets had it, and the source has other content now";
/** Of a file that had been in the spool. */
export const LOST_GONE = "Left the spool before all targets had it, and the source has it no more";
export const LOST_HINT = "filesync why tells which targets have it; filesync forget gives it up";
const CIRCLE_HINT = 'Give the target another directory, or leave it out in "rules.exclude"';

/** Which of the listed files are not known with this content, without recording anything: for a dry run. */
export function newEntries(
  store: Store,
  sourceId: number,
  precisionMs: number,
  entries: Entry[],
): Map<Entry, "new" | "changed"> {
  const rows = store.all<KnownRow & Record<string, unknown>>(KNOWN, sourceId, precisionMs, JSON.stringify(entries));
  const fresh = new Map<Entry, "new" | "changed">();
  for (const row of rows) {
    if (row.id === null || row.same !== 1 || row.state === "gone") {
      fresh.set(entries[row.at]!, row.id === null ? "new" : "changed");
    } else if (row.state === "found" || row.state === "downloading") {
      fresh.set(entries[row.at]!, "new");
    }
  }
  return fresh;
}

/** The state of one listing while it runs. */
export class Listing {
  readonly #store: Store;
  readonly #options: SightOptions;
  /** Ids above this were found by this listing and cannot be missing from it; ids of a job that ended are used again. */
  #lastKnownId: number;
  /** What is found may have been delivered before the store was rebuilt. */
  readonly #isInDoubt: boolean;
  /** Files that are not yet settled: the listing has to be repeated for them. */
  settling = 0;

  constructor(store: Store, options: SightOptions) {
    this.#store = store;
    this.#options = options;
    prepareTemporaryTables(store);
    this.#isInDoubt = isInDoubt(store, options.sourceId);
    this.#lastKnownId = store.get<{ id: number }>("SELECT coalesce(max(id), 0) AS id FROM file")!.id;
    store.write(() => store.run("DELETE FROM temp.seen WHERE source_id = ?", options.sourceId));
  }

  /** Takes a batch of files (no directories) that the rules let through. */
  sight(entries: Entry[]): FoundFile[] {
    const store = this.#store;
    return store.write(() => {
      const { sourceId, precisionMs } = this.#options;
      const known = store.all<KnownRow>(KNOWN, sourceId, precisionMs, JSON.stringify(entries));
      const found: FoundFile[] = [];
      const taken = new Set<string>();
      for (const row of known) {
        const entry = entries[row.at]!;
        if (taken.has(entry.path)) continue;
        taken.add(entry.path);
        const file = this.#sightOne(entry, row);
        if (file !== undefined) found.push(file);
      }
      return found;
    });
  }

  /** What lies in a folder that could not be looked into is not missing. */
  spare(directory: string): void {
    // "0" follows "/": everything that starts with the folder's name and a slash.
    this.#store.write(() =>
      this.#store.run(
        `INSERT OR IGNORE INTO temp.seen
           SELECT source_id, id FROM file INDEXED BY file_path
             WHERE source_id = ? AND path > ? AND path < ? AND state IN ('found', 'parked')`,
        this.#options.sourceId,
        `${directory}/`,
        `${directory}0`,
      )
    );
  }

  /** Folders and ids of partials whose file is not wanted any more; the caller frees their room. */
  readonly abandoned: { device: number; fileId: number }[] = [];

  /**
   * Ends a complete listing, step by step, each a change of its own: what was found earlier, is not in the spool, and was
   * not seen is gone. What had been in the spool, lost there and wanted again, is parked instead: its bytes are nowhere.
   * @returns paths that are gone, as they are found; a step may bring none
   */
  *complete(): Generator<string[]> {
    const store = this.#store;
    const { sourceId } = this.#options;
    store.write(() => {
      store.run("DELETE FROM temp.sighting WHERE source_id = ? AND seen = 0", sourceId);
      store.run("UPDATE temp.sighting SET seen = 0 WHERE source_id = ?", sourceId);
    });
    for (const state of ["found", "parked"]) {
      for (const step of this.#open(state)) {
        const gone = store.write(() =>
          store.all<{ id: number; path: string; device: number | null; state: string }>(
            GONE,
            JSON.stringify(step),
            Date.now(),
            this.#lastKnownId,
            LOST_GONE,
            LOST_HINT,
          )
        );
        for (const row of gone) this.#abandon(row.device, row.id);
        yield gone.filter((row) => row.state === "gone").map((row) => row.path);
      }
    }
    store.write(() => {
      // A person wants to know it to the minute; a commit each 10 s would only wear the card.
      store.run(
        "UPDATE source SET listed_ms = ?1 WHERE id = ?2 AND (listed_ms IS NULL OR abs(?1 - listed_ms) >= 60000)",
        Date.now(),
        sourceId,
      );
      if (this.#isInDoubt && this.settling === 0) endDoubt(store, sourceId);
    });
  }

  /** Files of the source in one state, step by step. */
  *#open(state: string): Generator<number[]> {
    for (let last = 0;;) {
      const rows = this.#store.all<{ id: number }>(OPEN_AFTER, state, this.#options.sourceId, last);
      if (rows.length === 0) return;
      last = rows.at(-1)!.id;
      yield rows.map(({ id }) => id);
      if (rows.length < STEP) return;
    }
  }

  #abandon(device: number | null, fileId: number): void {
    if (device !== null) this.abandoned.push({ device, fileId });
  }

  /** Whether the source is met for the first time, so that nothing must be fetched before its listing ends. */
  get isFirstContact(): boolean {
    const { sourceId, maxFirst } = this.#options;
    if (maxFirst === undefined) return false;
    return this.#store.get<{ met: number }>("SELECT met FROM source WHERE id = ?", sourceId)?.met === 0;
  }

  /**
   * Ends the first contact with a source, after a complete listing that brought files to light; step by step, as
   * {@linkcode Listing.complete}. One that is cut short is done again after the next listing.
   * @returns how many files are beyond `maxFirst`, and wait until they are asked for
   */
  *endFirstContact(): Generator<number> {
    const store = this.#store;
    const { sourceId, maxFirst } = this.#options;
    if (this.isFirstContact && maxFirst !== undefined) {
      const newest = JSON.stringify(store.all<{ id: number }>(NEWEST, sourceId, maxFirst).map(({ id }) => id));
      const reason = `First contact with this source: only the newest ${maxFirst} files are taken (finder.max_first)`;
      const hint = `filesync retry --job ${this.#jobArgument()} takes the rest`;
      for (const step of this.#open("found")) {
        yield store.write(() => store.run(BEYOND_FIRST, JSON.stringify(step), newest, reason, hint, Date.now()));
      }
    }
    const hasFiles = store.get("SELECT 1 FROM file WHERE source_id = ? LIMIT 1", sourceId) !== undefined;
    if (!hasFiles && this.settling > 0) return;
    store.write(() => store.run("UPDATE source SET met = 1 WHERE id = ? AND met = 0", sourceId));
  }

  /** The job's name as a shell takes it. */
  #jobArgument(): string {
    const { name } = this.#store.get<{ name: string }>("SELECT name FROM job WHERE id = ?", this.#options.jobId)!;
    return /^[\w.,:@%+/-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
  }

  #sightOne(entry: Entry, row: KnownRow): FoundFile | undefined {
    const store = this.#store;
    const { sourceId } = this.#options;
    if (row.id !== null && row.same === 1) {
      store.run("INSERT OR IGNORE INTO temp.seen VALUES (?, ?)", sourceId, row.id);
      if (row.state !== "gone") return undefined;
      // It came back: the same content is wanted again.
      store.run(
        // One that changes at each reading is parked in the end; one that was away starts afresh.
        `UPDATE file SET state = ?, attempts = CASE code WHEN 'changed' THEN attempts ELSE 0 END, breaks = 0,
           code = ?, reason = ?, changed_ms = ? WHERE id = ?`,
        ...stateOf(entry),
        Date.now(),
        row.id,
      );
      return foundFile(row.id, entry, row.generation ?? 1);
    }
    if (entry.problem === undefined && !this.#isSettled(entry)) {
      if (row.id !== null) store.run("INSERT OR IGNORE INTO temp.seen VALUES (?, ?)", sourceId, row.id);
      this.settling++;
      return undefined;
    }
    return this.#insert(entry, row);
  }

  #insert(entry: Entry, row: KnownRow): FoundFile {
    const store = this.#store;
    const { jobId, sourceId, precisionMs } = this.#options;
    const generation = (row.generation ?? 0) + 1;
    const nowMs = Date.now();
    if (row.id !== null) {
      // What was never fetched of the older generation cannot be fetched any more; what was, and was lost, is told.
      store.run("UPDATE file SET latest = 0, changed_ms = ? WHERE id = ?", nowMs, row.id);
      const superseded = store.get<{ device: number | null }>(
        `UPDATE file SET state = CASE code WHEN 'lost' THEN 'parked' ELSE 'gone' END, retry_at_ms = 0, shelved = 0,
             reason = CASE code WHEN 'lost' THEN ?2 ELSE reason END, hint = CASE code WHEN 'lost' THEN ?3 ELSE hint END
           WHERE id = ?1 AND sha256 IS NULL AND state IN ('found', 'parked') RETURNING device_dir AS device`,
        row.id,
        LOST,
        LOST_HINT,
      );
      this.#abandon(superseded?.device ?? null, row.id);
    }
    const { id } = store.get<{ id: number }>(
      `INSERT INTO file (source_id, job_id, path, generation, latest, size_bytes, modified_ms, precision_ms, etag,
           checksum_algorithm, checksum_value, state, code, reason, found_ms, changed_ms, doubt)
         VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
      sourceId,
      jobId,
      entry.path,
      generation,
      entry.sizeBytes ?? null,
      entry.modifiedMs ?? null,
      precisionMs,
      entry.etag ?? null,
      entry.checksum?.algorithm ?? null,
      entry.checksum?.value ?? null,
      ...stateOf(entry),
      nowMs,
      nowMs,
      this.#isInDoubt ? 1 : 0,
    )!;
    this.#lastKnownId = Math.min(this.#lastKnownId, id - 1);
    if (entry.problem === undefined && this.#goesRound(entry)) {
      store.run(
        "UPDATE file SET state = 'parked', code = 'unsupported', reason = ?, hint = ? WHERE id = ?",
        CIRCLE,
        CIRCLE_HINT,
        id,
      );
      return { ...foundFile(id, entry, generation), problem: CIRCLE };
    }
    return foundFile(id, entry, generation);
  }

  /**
   * Whether a file came into its source by our own delivery, and by another one before. A server may show a target's
   * directory inside the source, which no configuration tells: `a`, `out/a`, `out/out/a` and so on without end.
   */
  #goesRound({ path, sizeBytes }: Entry): boolean {
    const names = path.split("/");
    for (let count = 1; count * 2 < names.length; count++) {
      if (names.slice(0, count).some((name, index) => name !== names[count + index])) continue;
      const once = names.slice(count).join("/");
      const never = names.slice(count * 2).join("/");
      if (this.#store.get(TURN, this.#options.sourceId, once, never, sizeBytes ?? null) !== undefined) return true;
    }
    return false;
  }

  /** Whether the fingerprint was equal over two listings at least `settleMs` apart. */
  #isSettled(entry: Entry): boolean {
    const store = this.#store;
    const { sourceId, settleMs, precisionMs } = this.#options;
    if (settleMs <= 0) return true;
    const nowMs = typeof this.#options.nowMs === "number" ? this.#options.nowMs : this.#options.nowMs();
    const row = store.get<SettlingRow>(
      "SELECT * FROM temp.sighting WHERE source_id = ? AND path = ?",
      sourceId,
      entry.path,
    );
    if (row !== undefined && sameAsRow(entry, row, Math.max(precisionMs, row.precision_ms))) {
      if (nowMs - row.since_ms >= settleMs) {
        store.run("DELETE FROM temp.sighting WHERE source_id = ? AND path = ?", sourceId, entry.path);
        return true;
      }
      store.run("UPDATE temp.sighting SET seen = 1 WHERE source_id = ? AND path = ?", sourceId, entry.path);
      return false;
    }
    store.run(
      "INSERT OR REPLACE INTO temp.sighting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
      sourceId,
      entry.path,
      entry.sizeBytes ?? null,
      entry.modifiedMs ?? null,
      entry.etag ?? null,
      entry.checksum?.algorithm ?? null,
      entry.checksum?.value ?? null,
      nowMs,
      precisionMs,
    );
    return false;
  }
}

/** State, code and reason of a file that came to light. */
function stateOf({ problem }: Entry): [state: string, code: string | null, reason: string | null] {
  return problem === undefined ? ["found", null, null] : ["parked", "unsupported", problem];
}

function foundFile(id: number, entry: Entry, generation: number): FoundFile {
  const file: FoundFile = { id, path: entry.path, generation, fingerprint: entry };
  if (entry.problem !== undefined) file.problem = entry.problem;
  return file;
}

function sameAsRow(entry: Entry, row: SettlingRow, precisionMs: number): boolean {
  if ((entry.sizeBytes ?? null) !== row.size_bytes || (entry.etag ?? null) !== row.etag) return false;
  if ((entry.checksum?.value ?? null) !== row.checksum_value) return false;
  if (entry.modifiedMs === undefined || row.modified_ms === null) return entry.modifiedMs === undefined;
  // At a coarse precision a growing file shows by its size; an equal time is an equal time.
  return Math.abs(entry.modifiedMs - row.modified_ms) < Math.max(1, precisionMs);
}

/**
 * Files that settle are known only to the running process: a restart starts their wait anew, and a card's wear is
 * spared. The tables spill to a temporary file, so a first listing of a million names stays within the cache.
 */
function prepareTemporaryTables(store: Store): void {
  store.write(() => {
    store.run(
      "CREATE TEMP TABLE IF NOT EXISTS seen (source_id INTEGER, file_id INTEGER, PRIMARY KEY (source_id, file_id)) WITHOUT ROWID",
    );
    // What leaves the spool in the middle of a listing was sighted as spooled, or is of no concern to it: not missing.
    store.run(
      `CREATE TEMP TRIGGER IF NOT EXISTS back_in_queue AFTER UPDATE OF state ON main.file
         WHEN NEW.state = 'found' AND OLD.state IN ('spooled', 'done', 'gone')
         BEGIN INSERT OR IGNORE INTO seen VALUES (NEW.source_id, NEW.id); END`,
    );
    store.run(
      `CREATE TEMP TABLE IF NOT EXISTS sighting (source_id INTEGER NOT NULL, path TEXT NOT NULL, size_bytes INTEGER,
         modified_ms INTEGER, etag TEXT, checksum_algorithm TEXT, checksum_value TEXT, since_ms REAL NOT NULL,
         precision_ms INTEGER NOT NULL, seen INTEGER NOT NULL, PRIMARY KEY (source_id, path)) WITHOUT ROWID`,
    );
  });
}

/** What is known of a file's content, from its row. */
export function fingerprintOfRow(row: FingerprintRow): Fingerprint {
  const fingerprint: Fingerprint = {};
  if (row.size_bytes !== null) fingerprint.sizeBytes = row.size_bytes;
  if (row.modified_ms !== null) fingerprint.modifiedMs = row.modified_ms;
  if (row.etag !== null) fingerprint.etag = row.etag;
  if (row.checksum_algorithm !== null && row.checksum_value !== null) {
    fingerprint.checksum = { algorithm: row.checksum_algorithm, value: row.checksum_value };
  }
  return fingerprint;
}
