/**
 * The SQLite database: opening, migrations, the lock, and grouped commits.
 *
 * Writes run at once inside an open transaction; `durable()` resolves when it is committed with one fsync for all that
 * came together meanwhile. What must survive a power cut awaits `durable()`; what need not does not.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { dirname } from "node:path";
import { mkdirSync, statSync } from "node:fs";
import { asOpenError, asStateError, damaged, StateError } from "./errors.ts";
import { migrate, SCHEMA, versionOf } from "./migrate.ts";
import { placeNewStore } from "./new_store.ts";
import { checkFiles, checkIsFile, WAL } from "./soundness.ts";

/** How long a reader waits for a writer of another process, milliseconds. */
const BUSY_MS = 5000;

/**
 * A transaction stays open for others to share its fsync until no change came for `quiet`, and at most for `most`,
 * milliseconds. A commit writes every page that was touched, for one change as for fifty: with small files fifty share
 * it; alone, a file is hardly delayed.
 */
const LINGER_MS = { quiet: 2, most: 10 };

/** How often the size of SQLite's log is looked at, from which size on it is to begin anew, and how long that may take. */
const COMMITS_PER_LOOK = 64;
const LOG_BYTES = 8 * 1024 * 1024;
const LOG_WAIT_MS = 20;

/** How to open a store. */
export interface StoreOptions {
  /** Open for looking only: no lock, no migration. The file must exist. */
  readOnly?: boolean;
}

type Row = Record<string, unknown>;
type Value = string | number | bigint | null | Uint8Array;

/** One open state store. All methods are synchronous but {@linkcode Store.durable}. */
export class Store {
  readonly path: string;
  readonly #db: DatabaseSync;
  readonly #lock: Deno.FsFile | undefined;
  readonly #statements = new Map<string, StatementSync>();
  #open = false;
  /** Changes so far. */
  #changes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waiting: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  #fatal: StateError | undefined;
  #commits = 0;
  /** Called once, when the store turns out to be damaged or unusable: nothing that it says counts from then on. */
  onFatal: ((error: StateError) => void) | undefined;

  /**
   * Opens the store, makes it where it does not exist, and brings its schema up to date.
   * @throws {StateError} `locked` naming the other process, `damaged`, or `unusable`
   */
  constructor(path: string, options: StoreOptions = {}) {
    this.path = path;
    const readOnly = options.readOnly ?? false;
    let lock: Deno.FsFile | undefined;
    let db: DatabaseSync | undefined;
    try {
      if (!readOnly) {
        mkdirSync(dirname(path), { recursive: true });
        lock = takeLock(`${path}.lock`, path);
        if (!checkFiles(path)) placeNewStore(path);
      } else checkIsFile(path);
      db = new DatabaseSync(path, { readOnly });
      this.#lock = lock;
      this.#db = db;
      this.#prepareDatabase(readOnly);
      if (lock !== undefined) noteOwner(lock, this.meta("store_id"));
    } catch (error) {
      db?.close();
      lock?.close();
      throw asOpenError(error, path);
    }
  }

  /** Why the store cannot be worked with any more; `undefined` while it can. */
  get fatal(): StateError | undefined {
    return this.#fatal;
  }

  /** Rows of a query. */
  all<T = Row>(sql: string, ...values: Value[]): T[] {
    return this.#guard(() => this.#statement(sql).all(...values) as T[]);
  }

  /** Rows of a query one after another, in bounded memory. The store is not to be written meanwhile. */
  *each<T = Row>(sql: string, ...values: Value[]): Generator<T> {
    const rows = this.#guard(() => this.#db.prepare(sql).iterate(...values) as Iterator<T>);
    try {
      for (;;) {
        const next = this.#guard(() => rows.next());
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      rows.return?.();
    }
  }

  /** The first row of a query, or `undefined`. */
  get<T = Row>(sql: string, ...values: Value[]): T | undefined {
    return this.#guard(() => this.#statement(sql).get(...values) as T | undefined);
  }

  /** Runs a statement inside {@linkcode Store.write}; the number of rows that it changed. */
  run(sql: string, ...values: Value[]): number {
    if (!this.#open) throw new Error("Store.run() is called outside Store.write()");
    return this.#guard(() => Number(this.#statement(sql).run(...values).changes));
  }

  /** Runs `change` now, whole or not at all; it is on disk when {@linkcode Store.durable} resolves. */
  write<T>(change: () => T): T {
    this.#begin();
    this.#guard(() => this.#statement("SAVEPOINT change").run());
    this.#changes++;
    try {
      const result = change();
      this.#statement("RELEASE change").run();
      return result;
    } catch (error) {
      this.#rollbackTo(error);
      throw error;
    }
  }

  /** {@linkcode Store.write} of one statement, which is whole or not at all by itself; the number of rows it changed. */
  writeOne(sql: string, ...values: Value[]): number {
    this.#begin();
    this.#changes++;
    try {
      return Number(this.#statement(sql).run(...values).changes);
    } catch (error) {
      const failure = this.#failure(error);
      if (!this.#db.isTransaction) this.#loseTransaction(failure);
      throw failure;
    }
  }

  /**
   * Resolves when everything written so far is on disk.
   * @throws {StateError} when the commit failed; then nothing since the last commit happened
   */
  durable(): Promise<void> {
    if (!this.#open) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Commits now. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    if (!this.#open) {
      for (const { resolve } of waiting) resolve();
      return;
    }
    this.#open = false;
    try {
      this.#statement("COMMIT").run();
    } catch (error) {
      try {
        this.#db.exec("ROLLBACK");
      } catch {
        // SQLite has rolled back by itself: there is no transaction left to end.
      }
      const failure = this.#failure(error);
      for (const { reject } of waiting) reject(failure);
      if (waiting.length === 0) throw failure;
      return;
    }
    for (const { resolve } of waiting) resolve();
    if (++this.#commits % COMMITS_PER_LOOK === 0) this.#boundLog();
  }

  /**
   * SQLite begins its log anew only at a commit that meets no reader. Whoever looks all the time would let it grow without
   * bounds: then the next gap between two readers is waited for, for a moment.
   */
  #boundLog(): void {
    if ((statSync(this.path + WAL, { throwIfNoEntry: false })?.size ?? 0) < LOG_BYTES) return;
    this.#guard(() => {
      this.#db.exec(`PRAGMA busy_timeout = ${LOG_WAIT_MS}; PRAGMA wal_checkpoint(TRUNCATE)`);
      this.#db.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    });
  }

  meta(key: string): string | undefined {
    return this.get<{ value: string }>("SELECT value FROM meta WHERE key = ?", key)?.value;
  }

  setMeta(key: string, value: string): void {
    this.run("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", key, value);
  }

  /** Commits and closes. Safe to call twice. */
  close(): void {
    if (!this.#db.isOpen) return;
    try {
      this.flush();
    } catch (error) {
      // It was told already, and hides nothing that was promised.
      if (this.#fatal === undefined) throw error;
    } finally {
      this.#statements.clear();
      this.#db.close();
      this.#lock?.close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #begin(): void {
    if (this.#open) return;
    this.#guard(() => this.#statement("BEGIN IMMEDIATE").run());
    this.#open = true;
    this.#linger(performance.now() + LINGER_MS.most);
  }

  #linger(endMs: number): void {
    const changes = this.#changes;
    this.#timer = setTimeout(() => {
      if (this.#changes === changes || performance.now() >= endMs) this.#flushQuietly();
      else this.#linger(endMs);
    }, LINGER_MS.quiet);
  }

  #flushQuietly(): void {
    if (this.#waiting.length === 0) {
      // Nobody awaits it, so nobody depends on it: rows fall back to what they were, as after a crash.
      this.#waiting.push({ resolve: () => {}, reject: () => {} });
    }
    this.flush();
  }

  #rollbackTo(error: unknown): void {
    try {
      this.#db.exec("ROLLBACK TO change; RELEASE change");
    } catch (cause) {
      const failure = this.#failure(error);
      this.#loseTransaction(failure instanceof Error ? failure : cause);
    }
  }

  /** A full disk or an I/O error ended the whole transaction: nothing of it happened. */
  #loseTransaction(failure: unknown): void {
    this.#open = false;
    clearTimeout(this.#timer);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) reject(failure);
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #guard<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #failure(error: unknown): unknown {
    const failure = asStateError(error, this.path);
    if (failure instanceof StateError && (failure.code === "damaged" || failure.code === "unusable")) {
      const isFirst = this.#fatal === undefined;
      this.#fatal ??= failure;
      if (isFirst) this.onFatal?.(failure);
    }
    return failure;
  }

  #prepareDatabase(readOnly: boolean): void {
    this.#db.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    if (!readOnly) {
      this.#db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      // 8 MiB of cache: bounded whatever the number of known files. Settling files live in a temporary table on disk.
      this.#db.exec("PRAGMA cache_size = -8192; PRAGMA temp_store = FILE; PRAGMA foreign_keys = ON");
    }
    checkIdentity(this.#db, this.path);
    const version = versionOf(this.#db);
    if (version > SCHEMA) {
      throw new StateError("unusable", `State store "${this.path}" was made by a newer filesync: schema ${version}`, {
        hint: "Install that version again, or use another state store",
      });
    }
    if (readOnly && version < SCHEMA) {
      throw new StateError(
        "unusable",
        `State store "${this.path}" has schema ${version}: expected ${SCHEMA}`,
        {
          hint: "Run filesync sync once, which brings it up to date",
        },
      );
    }
    migrate(this.#db, version);
    // Each start begins an empty log, so that what a power cut left in an old one is never taken for damage.
    if (!readOnly) this.#db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  }
}

/** Tables that every version of a store has. */
const OUR_TABLES = ["meta", "job", "target", "source", "file", "delivery"];

/** Never works on another program's database. */
export function checkIdentity(db: DatabaseSync, path: string): void {
  const tables = (db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all() as { name: string }[])
    .map(({ name }) => name);
  const ours = OUR_TABLES.filter((name) => tables.includes(name)).length;
  if (ours === OUR_TABLES.length && versionOf(db) > 0) return;
  // SQLite takes an empty database for a sound one.
  if (ours > 0 || tables.length === 0) throw damaged(path, "its tables are missing");
  throw new StateError("unusable", `Cannot use "${path}" as the state store: it is another program's database`, {
    hint: 'Set "state" in the configuration to a path of its own',
  });
}

/** Takes the lock of a store for this process's life. flock ends with the process, however it dies. */
export function takeLock(lockPath: string, storePath: string): Deno.FsFile {
  const file = Deno.openSync(lockPath, { create: true, read: true, write: true, mode: 0o644 });
  // A `status` that looks at the same moment holds the lock for an instant.
  for (let tries = 0; tries < 10 && !file.tryLockSync(true); tries++) {
    if (tries === 9) throw inUse(file, lockPath, storePath);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
  try {
    noteOwner(file, readLock(lockPath).storeId);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** The lock's first line is for people and for a second process, the second outlives the store: whose place this is. */
function noteOwner(file: Deno.FsFile, storeId: string | undefined): void {
  const text = new TextEncoder().encode(`${Deno.pid}\n${storeId === undefined ? "" : `${storeId}\n`}`);
  file.truncateSync(0);
  file.seekSync(0, Deno.SeekMode.Start);
  file.writeSync(text);
}

/** What the lock of a store says: the last process that held it, and the identity of the store that was here. */
export function readLock(lockPath: string): { pid?: number; storeId?: string } {
  const [first = "", second = ""] = Deno.readTextFileSync(lockPath).split("\n");
  const pid = Number(first.trim());
  const storeId = second.trim();
  return {
    ...(Number.isInteger(pid) && pid > 0 ? { pid } : {}),
    ...(storeId === "" ? {} : { storeId }),
  };
}

function inUse(file: Deno.FsFile, lockPath: string, storePath: string): StateError {
  const { pid } = readLock(lockPath);
  file.close();
  return new StateError("locked", `State store "${storePath}" is in use by process ${pid ?? "unknown"}`, {
    hint: pid !== undefined ? `Stop it first: kill ${pid}` : "Stop the other filesync first",
  });
}

/** The process that holds the store at `path`, or `undefined` when none does. */
export function lockHolder(path: string): number | undefined {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(`${path}.lock`, { read: true });
  } catch {
    return undefined;
  }
  try {
    if (file.tryLockSync(false)) return undefined;
    return readLock(`${path}.lock`).pid;
  } finally {
    file.close();
  }
}
