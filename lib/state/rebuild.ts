/**
 * A new store in the place of a damaged one. SQLite's pages carry no checksum, so nothing that can still be read in a
 * damaged store is believed by itself: a receipt counts when the same bytes are fetched again, a spooled file when its
 * bytes have the SHA-256 of its row.
 */
import { closeSync, existsSync, openSync, readSync, renameSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { pathProblem } from "../driver/mod.ts";
import { asOpenError, damaged, StateError } from "./errors.ts";
import { SCHEMA, versionOf } from "./migrate.ts";
import { makeStore, REBUILT, syncDirectory } from "./new_store.ts";
import { checkFiles, SHM, WAL } from "./soundness.ts";
import { checkIdentity, readLock } from "./store.ts";

/** What is wrong with the store at `path`, read through; `undefined` when it is sound. The caller holds its lock. */
export function findDamage(path: string): StateError | undefined {
  try {
    if (!checkFiles(path)) return damaged(path, "it is missing");
    const db = new DatabaseSync(path, { readOnly: true });
    try {
      checkIdentity(db, path);
      if (versionOf(db) > SCHEMA) return undefined;
      const [first] = db.prepare("PRAGMA integrity_check(1)").all() as { integrity_check: string }[];
      if (first === undefined || first.integrity_check === "ok") return undefined;
      return damaged(path, first.integrity_check.replaceAll("\n", " ").replaceAll("*", "").trim());
    } finally {
      db.close();
    }
  } catch (error) {
    const failure = asOpenError(error, path);
    if (failure instanceof StateError && failure.code === "damaged") return failure;
    throw failure;
  }
}

/** A receipt of the damaged store. */
export interface SalvagedReceipt {
  job: string;
  target: string;
  path: string;
  sha256: string;
  sizeBytes: number;
  receiptPath: string;
  receiptUrl: string | null;
  receiptChecksum: string | null;
  verified: string;
}

/** A file that the damaged store knew in the spool. */
export interface SalvagedFile {
  id: number;
  job: string;
  deviceId: string;
  path: string;
  generation: number;
  sizeBytes: number;
  modifiedMs: number | null;
  precisionMs: number;
  etag: string | null;
  checksumAlgorithm: string | null;
  checksumValue: string | null;
  sha256: string;
  deviceDir: number;
  foundMs: number;
}

const SHA256 = /^[0-9a-f]{64}$/;
/** Rows that are read at once. */
const PAGE = 500;
/** Unreadable places in a row after which the rest of a table is given up. */
const FAILURES_MAX = 64;

const RECEIPTS = `
  SELECT d.id, j.name AS job, t.name AS target, f.path, d.receipt_sha256 AS sha256, d.size_bytes AS sizeBytes,
      d.receipt_path AS receiptPath, d.receipt_url AS receiptUrl, d.receipt_checksum AS receiptChecksum, d.verified,
      d.receipt_no AS receiptNo
    FROM delivery d JOIN file f ON f.id = d.file_id JOIN target t ON t.id = d.target_id JOIN job j ON j.id = t.job_id
    WHERE d.id > ? AND d.id <= ? AND d.state = 'delivered' ORDER BY d.id`;

const SPOOLED = `
  SELECT f.id, j.name AS job, s.device_id AS deviceId, f.path, f.generation, f.size_bytes AS sizeBytes,
      f.modified_ms AS modifiedMs, f.precision_ms AS precisionMs, f.etag, f.checksum_algorithm AS checksumAlgorithm,
      f.checksum_value AS checksumValue, f.sha256, f.device_dir AS deviceDir, f.found_ms AS foundMs
    FROM file f JOIN source s ON s.id = f.source_id JOIN job j ON j.id = f.job_id
    WHERE f.id = ? AND f.state = 'spooled'`;

/** Reads what can be read. Every method gives nothing where nothing can be. */
export class Salvage implements Disposable {
  readonly #db: DatabaseSync | undefined;

  constructor(path: string) {
    this.#db = attempt(() => existsSync(path) ? new DatabaseSync(path, { readOnly: true }) : undefined);
  }

  /** The newest receipt under each name of each target. */
  receipts(): SalvagedReceipt[] {
    const newest = new Map<string, SalvagedReceipt & { receiptNo: number }>();
    let lowId = 0;
    let failures = 0;
    for (let step = PAGE; failures < FAILURES_MAX;) {
      const rows = attempt(() =>
        this.#db?.prepare(RECEIPTS).all(lowId, lowId + step) as (SalvagedReceipt & { receiptNo: number })[] | undefined
      );
      if (this.#db === undefined) break;
      if (rows === undefined) {
        // A page that cannot be read: go on behind it, first row by row.
        if (step > 1) step = Math.max(1, step >> 3);
        else {
          failures++;
          lowId += 1;
        }
        continue;
      }
      for (const row of rows) {
        if (!isReceipt(row)) continue;
        const key = JSON.stringify([row.job, row.target, row.receiptPath]);
        const known = newest.get(key);
        if (known === undefined || known.receiptNo < row.receiptNo) newest.set(key, row);
      }
      lowId += step;
      if (rows.length > 0) failures = 0;
      step = Math.min(PAGE, step * 2);
      const last = attempt(() =>
        this.#db?.prepare("SELECT max(id) AS last FROM delivery").get() as { last: number | null }
      );
      if (last !== undefined && lowId >= (last.last ?? 0)) break;
      if (last === undefined && rows.length === 0) failures++;
    }
    return [...newest.values()];
  }

  /** The row of a file in the spool. */
  spooled(fileId: number): SalvagedFile | undefined {
    const row = attempt(() => this.#db?.prepare(SPOOLED).get(fileId) as SalvagedFile | undefined);
    return row !== undefined && isFile(row) ? row : undefined;
  }

  [Symbol.dispose](): void {
    this.#db?.close();
  }
}

/** What a damaged database cannot tell is not there. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function isReceipt(row: SalvagedReceipt & { receiptNo: number }): boolean {
  return [row.job, row.target, row.path, row.receiptPath].every((text) => typeof text === "string" && text !== "") &&
    SHA256.test(row.sha256 ?? "") && Number.isSafeInteger(row.sizeBytes) && row.sizeBytes >= 0 &&
    Number.isSafeInteger(row.receiptNo) && ["checksum", "size", "accepted", "none"].includes(row.verified) &&
    pathProblem(row.path) === undefined && pathProblem(row.receiptPath) === undefined;
}

function isFile(row: SalvagedFile): boolean {
  return [row.job, row.deviceId, row.path].every((text) => typeof text === "string" && text !== "") &&
    SHA256.test(row.sha256 ?? "") && pathProblem(row.path) === undefined &&
    [row.id, row.generation, row.sizeBytes, row.precisionMs, row.deviceDir, row.foundMs].every((value) =>
      Number.isSafeInteger(value) && value >= 0
    );
}

/**
 * Whether the store that was at `path` had the identity `storeId`: its lock says so, or the identity, a random number,
 * stands in what is left of it.
 */
export function wasStore(path: string, storeId: string): boolean {
  if (attempt(() => readLock(`${path}.lock`))?.storeId === storeId) return true;
  return [path, path + WAL].some((file) => existsSync(file) && holdsText(file, storeId));
}

function holdsText(file: string, text: string): boolean {
  const wanted = new TextEncoder().encode(text);
  const block = new Uint8Array(1024 * 1024);
  const fd = openSync(file, "r");
  try {
    // Each block begins with the end of the last one, so that nothing is missed between two.
    let kept = 0;
    for (;;) {
      const count = readSync(fd, block, kept, block.length - kept, null);
      if (count === 0) return false;
      const held = block.subarray(0, kept + count);
      if (indexOf(held, wanted) >= 0) return true;
      kept = Math.min(wanted.length - 1, held.length);
      block.copyWithin(0, held.length - kept, held.length);
    }
  } finally {
    closeSync(fd);
  }
}

function indexOf(held: Uint8Array, wanted: Uint8Array): number {
  for (let at = held.indexOf(wanted[0]!); at >= 0; at = held.indexOf(wanted[0]!, at + 1)) {
    if (at + wanted.length > held.length) return -1;
    if (wanted.every((byte, n) => held[at + n] === byte)) return at;
  }
  return -1;
}

/** A file of the spool that was proven to be what its row says. */
export interface AdoptedFile extends SalvagedFile {
  inode: number;
  ctimeMs: number;
}

/** What the new store begins with. */
export interface RebuildFacts {
  storeId: string;
  jobs: { name: string; targets: string[] }[];
  receipts: SalvagedReceipt[];
  adopted: AdoptedFile[];
}

/**
 * Puts a new store in the place of the one at `path`, whose lock the caller holds. A process that dies meanwhile leaves
 * the damaged one, or a whole new one that the next start takes.
 * @returns where the damaged one is now; `undefined` when there was none
 */
export function replaceStore(path: string, facts: RebuildFacts): string | undefined {
  makeStore(path + REBUILT, facts.storeId, (db) => fill(db, facts));
  let aside: string | undefined;
  if (existsSync(path)) {
    aside = freeName(path);
    // The log first: beside the new store it would be taken for its own.
    for (const end of [SHM, WAL, ""]) {
      if (existsSync(path + end)) renameSync(path + end, aside + end);
    }
  }
  renameSync(path + REBUILT, path);
  syncDirectory(path);
  return aside;
}

function freeName(path: string): string {
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const name = `${path}.damaged-${time}`;
  for (let n = 1;; n++) {
    const candidate = n === 1 ? name : `${name}-${n}`;
    if (!existsSync(candidate)) return candidate;
  }
}

function fill(db: DatabaseSync, { jobs, receipts, adopted }: RebuildFacts): void {
  const nowMs = Date.now();
  const jobIds = new Map<string, number>();
  const targetIds = new Map<string, number>();
  for (const { name, targets } of jobs) {
    const jobId = insert(db, "INSERT INTO job (name, doubt) VALUES (?, 1)", name);
    jobIds.set(name, jobId);
    for (const target of targets) {
      const id = insert(db, "INSERT INTO target (job_id, name, first_file_id) VALUES (?, ?, 0)", jobId, target);
      targetIds.set(JSON.stringify([name, target]), id);
    }
  }
  const salvaged = db.prepare("INSERT OR IGNORE INTO salvaged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  for (const receipt of receipts) {
    const { job, target, path, sha256, sizeBytes, receiptPath, receiptUrl, receiptChecksum, verified } = receipt;
    salvaged.run(job, target, path, sha256, sizeBytes, receiptPath, receiptUrl, receiptChecksum, verified);
  }
  const newest = new Map<string, number>();
  const pathKey = ({ job, deviceId, path }: SalvagedFile) => JSON.stringify([job, deviceId, path]);
  for (const file of adopted) newest.set(pathKey(file), Math.max(file.generation, newest.get(pathKey(file)) ?? 0));
  for (const file of adopted) {
    const jobId = jobIds.get(file.job)!;
    db.prepare("INSERT OR IGNORE INTO source (job_id, device_id, doubt) VALUES (?, ?, 1)").run(jobId, file.deviceId);
    const { id: sourceId } = db.prepare("SELECT id FROM source WHERE job_id = ? AND device_id = ?")
      .get(jobId, file.deviceId) as { id: number };
    db.prepare(
      `INSERT INTO file (id, source_id, job_id, path, generation, latest, size_bytes, modified_ms, precision_ms, etag,
         checksum_algorithm, checksum_value, state, device_dir, sha256, spool_inode, spool_ctime_ms, found_ms, changed_ms,
         doubt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'spooled', ?, ?, ?, ?, ?, ?, 1)`,
    ).run(
      file.id,
      sourceId,
      jobId,
      file.path,
      file.generation,
      newest.get(pathKey(file)) === file.generation ? 1 : 0,
      file.sizeBytes,
      file.modifiedMs,
      file.precisionMs,
      file.etag,
      file.checksumAlgorithm,
      file.checksumValue,
      file.deviceDir,
      file.sha256,
      file.inode,
      file.ctimeMs,
      file.foundMs,
      nowMs,
    );
    for (const target of jobs.find(({ name }) => name === file.job)!.targets) {
      db.prepare(
        `INSERT INTO delivery (file_id, target_id, state, size_bytes, started, changed_ms)
           VALUES (?, ?, 'waiting', ?, 1, ?)`,
      ).run(file.id, targetIds.get(JSON.stringify([file.job, target]))!, file.sizeBytes, nowMs);
    }
  }
}

function insert(db: DatabaseSync, sql: string, ...values: (string | number)[]): number {
  return Number(db.prepare(sql).run(...values).lastInsertRowid);
}
