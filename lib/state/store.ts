/**
 * The SQLite database: opening, migrations, the lock, and grouped commits.
 *
 * Writes run at once inside an open transaction; `durable()` resolves when it is committed with one fsync for all that
 * came together meanwhile. What must survive a power cut awaits `durable()`; what need not does not.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { dirname } from "node:path";
import { mkdirSync } from "node:fs";
import journey from "./migrations/001_journey.sql" with { type: "text" };
import givenUp from "./migrations/002_given_up.sql" with { type: "text" };
import { asOpenError, asStateError, StateError } from "./errors.ts";

/** Index + 1 is the schema version that the migration makes. */
const MIGRATIONS: readonly string[] = [journey, givenUp];

/** How long a reader waits for a writer of another process, milliseconds. */
const BUSY_MS = 5000;

/**
 * A transaction stays open for others to share its fsync until no change came for `quiet`, and at most for `most`,
 * milliseconds. A commit writes every page that was touched, for one change as for fifty: with small files fifty share
 * it; alone, a file is hardly delayed.
 */
const LINGER_MS = { quiet: 2, most: 10 };

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

  /**
   * Opens the store, makes it where it does not exist, and brings its schema up to date.
   * @throws {StateError} `locked` naming the other process, or `damaged`
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
      }
      db = new DatabaseSync(path, { readOnly });
      this.#lock = lock;
      this.#db = db;
      this.#prepareDatabase(readOnly);
    } catch (error) {
      db?.close();
      lock?.close();
      throw asOpenError(error, path);
    }
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
      const failure = asStateError(error, this.path);
      for (const { reject } of waiting) reject(failure);
      if (waiting.length === 0) throw failure;
      return;
    }
    for (const { resolve } of waiting) resolve();
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
      // A full disk or an I/O error ended the whole transaction.
      this.#open = false;
      clearTimeout(this.#timer);
      const failure = asStateError(error, this.path);
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const { reject } of waiting) reject(failure instanceof Error ? failure : cause);
    }
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
      throw asStateError(error, this.path);
    }
  }

  #prepareDatabase(readOnly: boolean): void {
    this.#db.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    if (!readOnly) {
      this.#db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      // 8 MiB of cache: bounded whatever the number of known files. Settling files live in a temporary table on disk.
      this.#db.exec("PRAGMA cache_size = -8192; PRAGMA temp_store = FILE; PRAGMA foreign_keys = ON");
    }
    const version = Number((this.#db.prepare("PRAGMA user_version").get() as Row)["user_version"]);
    if (version > MIGRATIONS.length) {
      throw new StateError("damaged", `State store "${this.path}" was made by a newer filesync: schema ${version}`, {
        hint: "Install that version again, or use another state store",
      });
    }
    if (readOnly && version < MIGRATIONS.length) {
      throw new StateError(
        "damaged",
        `State store "${this.path}" has schema ${version}: expected ${MIGRATIONS.length}`,
        {
          hint: "Run filesync sync once, which brings it up to date",
        },
      );
    }
    for (let next = version; next < MIGRATIONS.length; next++) {
      this.#db.exec(`BEGIN IMMEDIATE; ${MIGRATIONS[next]}; PRAGMA user_version = ${next + 1}; COMMIT`);
    }
  }
}

/** Takes the lock of a store for this process's life. flock ends with the process, however it dies. */
function takeLock(lockPath: string, storePath: string): Deno.FsFile {
  const file = Deno.openSync(lockPath, { create: true, read: true, write: true, mode: 0o644 });
  // A `status` that looks at the same moment holds the lock for an instant.
  for (let tries = 0; tries < 10 && !file.tryLockSync(true); tries++) {
    if (tries === 9) throw inUse(file, lockPath, storePath);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
  try {
    file.truncateSync(0);
    file.writeSync(new TextEncoder().encode(`${Deno.pid}\n`));
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

function inUse(file: Deno.FsFile, lockPath: string, storePath: string): StateError {
  const pid = Deno.readTextFileSync(lockPath).trim();
  file.close();
  return new StateError("locked", `State store "${storePath}" is in use by process ${pid || "unknown"}`, {
    hint: pid ? `Stop it first: kill ${pid}` : "Stop the other filesync first",
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
    const pid = Number(Deno.readTextFileSync(`${path}.lock`).trim());
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } finally {
    file.close();
  }
}
