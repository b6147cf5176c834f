/**
 * What must be true of a state that a power cut left, before anybody has touched it, and after the next run: nothing
 * lost, nothing half under a final name, nothing deleted without its bytes being durable elsewhere, nothing twice.
 */
import { createHash } from "node:crypto";
import { copyFileSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** What is wrong, as the campaign counts it, and in words. */
export interface PowerFault {
  kind: "lost" | "corrupt" | "duplicated" | "halfUnderFinalName" | "leftovers" | "unhealthy";
  words: string;
}

/** What a path of the source has been, the newest last. */
export type Wanted = Map<string, { sizeBytes: number; sha256: string }[]>;

export interface Place {
  source: string;
  store: string;
  targets: { name: string; dir: string }[];
  wanted: Wanted;
  /** The job deletes from the source. */
  deletes: boolean;
}

/** The first schema that has what is asked for here. */
const SCHEMA_VERSION_MIN = 2;
const TEMPORARY = /(^|\/)filesync-[0-9a-f]{16}\.part$/;

/** What is wrong with a state as it lies there. */
export function faultsLeft(place: Place): PowerFault[] {
  const faults: PowerFault[] = [];
  const targets = place.targets.map(({ name, dir }) => ({ name, files: digests(dir) }));
  for (const { name, files } of targets) {
    for (const [path, digest] of files) {
      if (TEMPORARY.test(path)) continue;
      const versions = place.wanted.get(path);
      if (versions === undefined) {
        faults.push({ kind: "corrupt", words: `"${path}" on ${name} is a name that nobody gave` });
      } else if (!versions.some(({ sha256 }) => sha256 === digest)) {
        faults.push({ kind: "halfUnderFinalName", words: `"${path}" on ${name} is not whole` });
      }
    }
  }
  const source = new Set(filesBelow(place.source));
  for (const [path, versions] of place.wanted) {
    if (source.has(path)) continue;
    const newest = versions.at(-1)!;
    for (const { name, files } of targets) {
      if (files.get(path) !== newest.sha256) {
        faults.push({ kind: "lost", words: `"${path}" left the source and is not on ${name}` });
      }
    }
  }
  faults.push(...faultsOfStore(place, new Map(targets.map(({ name, files }) => [name, files]))));
  return faults;
}

interface FileRow {
  id: number;
  path: string;
  state: string;
  device_dir: number;
  size_bytes: number;
  sha256: string;
}

interface DeliveryRow {
  path: string;
  target: string;
  receipt_path: string;
  receipt_sha256: string;
}

/** What the rows promise must be on the disk. */
function faultsOfStore(place: Place, targets: Map<string, Map<string, string>>): PowerFault[] {
  const faults: PowerFault[] = [];
  if (lstatSync(place.store, { throwIfNoEntry: false }) === undefined) return faults;
  let db: DatabaseSync | undefined;
  // A copy: looking would write the log into the database, and the next start is to find it as it was left.
  const copy = mkdtempSync(join(tmpdir(), "filesync-judge-"));
  for (const suffix of ["", "-wal", "-journal"]) {
    const part = `${place.store}${suffix}`;
    if (lstatSync(part, { throwIfNoEntry: false }) !== undefined) copyFileSync(part, join(copy, `store${suffix}`));
  }
  try {
    db = new DatabaseSync(join(copy, "store"));
    const check = Object.values(db.prepare("PRAGMA quick_check").get()!)[0];
    if (check !== "ok") faults.push({ kind: "unhealthy", words: `store: ${check}` });
    // Between two migrations nothing has been promised yet.
    if (Number(db.prepare("PRAGMA user_version").get()!["user_version"]) < SCHEMA_VERSION_MIN) return faults;
    for (const row of db.prepare("SELECT * FROM file WHERE state = 'spooled'").all() as unknown as FileRow[]) {
      const path = join(`${place.store}.spool`, String(row.device_dir), `${row.id}.spool`);
      const bytes = lstatSync(path, { throwIfNoEntry: false }) === undefined ? undefined : readFileSync(path);
      if (bytes === undefined) {
        faults.push({ kind: "lost", words: `"${row.path}" is spooled by its row and not in the spool` });
      } else if (digestOf(bytes) !== row.sha256) {
        faults.push({ kind: "lost", words: `"${row.path}" is spooled by its row and not whole in the spool` });
      }
    }
    const delivered = db.prepare(
      `SELECT f.path, t.name AS target, d.receipt_path, d.receipt_sha256 FROM delivery d
         JOIN file f ON f.id = d.file_id JOIN target t ON t.id = d.target_id WHERE d.state = 'delivered'`,
    ).all() as unknown as DeliveryRow[];
    for (const row of delivered) {
      const versions = place.wanted.get(row.path) ?? [];
      const promised = versions.findIndex(({ sha256 }) => sha256 === row.receipt_sha256);
      const held = targets.get(row.target)?.get(row.receipt_path);
      // A newer generation may have taken the older one's place.
      if (!versions.slice(promised).some(({ sha256 }) => sha256 === held)) {
        faults.push({ kind: "lost", words: `"${row.path}" has a receipt of ${row.target}, which does not hold it` });
      }
    }
  } catch (error) {
    faults.push({ kind: "unhealthy", words: `store: ${error}` });
  } finally {
    db?.close();
    rmSync(copy, { recursive: true });
  }
  return faults;
}

/** What is wrong after the next run has ended. */
export function faultsRecovered(place: Place): PowerFault[] {
  const faults: PowerFault[] = [];
  for (const { name, dir } of place.targets) {
    const files = digests(dir);
    for (const [path, versions] of place.wanted) {
      const held = files.get(path);
      if (held === undefined) faults.push({ kind: "lost", words: `"${path}" is lost to ${name}` });
      else if (held !== versions.at(-1)!.sha256) {
        faults.push({ kind: "corrupt", words: `"${path}" on ${name} is not what the source had last` });
      }
    }
    for (const path of files.keys()) {
      if (TEMPORARY.test(path)) faults.push({ kind: "leftovers", words: `"${path}" is left on ${name}` });
      else if (!place.wanted.has(path)) {
        faults.push({ kind: "duplicated", words: `"${path}" on ${name} is one too many` });
      }
    }
  }
  const left = filesBelow(`${place.store}.spool`).filter((path) => path !== "store.id");
  if (left.length > 0) faults.push({ kind: "leftovers", words: `in the spool are left: ${left.join(", ")}` });
  const due = new Set(place.deletes ? dueRemovals(place.store) : []);
  const source = filesBelow(place.source).filter((path) => !due.has(path));
  if (place.deletes && source.length > 0) {
    faults.push({ kind: "leftovers", words: `on the source are left: ${source.join(", ")}` });
  }
  return faults;
}

/** Files of the source that are to be removed a little later: a removal that failed is not repeated at once. */
function dueRemovals(store: string): string[] {
  const db = new DatabaseSync(store);
  try {
    return db.prepare("SELECT path FROM file WHERE source_copy = 'due'").all().map(({ path }) => String(path));
  } finally {
    db.close();
  }
}

function digests(dir: string): Map<string, string> {
  return new Map(filesBelow(dir).map((path) => [path, digestOf(readFileSync(join(dir, path)))]));
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function filesBelow(dir: string, below = ""): string[] {
  if (lstatSync(join(dir, below), { throwIfNoEntry: false }) === undefined) return [];
  return readdirSync(join(dir, below), { withFileTypes: true }).flatMap((entry) => {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(dir, path) : [path];
  });
}
