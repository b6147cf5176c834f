/** What can be wrong with the state store, and what the operator can do. */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";

/** What is wrong with the store. */
export type StateErrorCode =
  /** Another process holds the store. */
  | "locked"
  /** The database is damaged or gone: `sync --rebuild-state` makes a new one. */
  | "damaged"
  /** It cannot be used, and a new one would not help: its place, its rights, its disk, another program's file. */
  | "unusable"
  /** The disk is full: the caller pauses and goes on when there is room. */
  | "no_space";

/** An error of the state store. */
export class StateError extends Error {
  override readonly name = "StateError";
  readonly code: StateErrorCode;
  readonly hint: string | undefined;

  constructor(code: StateErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }
}

/** What to do about a damaged store. */
export const DAMAGED_HINT =
  "Restore it from a backup, or have a new one made from what source and targets hold: filesync sync --rebuild-state";

/** The store at `path` is damaged, and how that shows. */
export function damaged(path: string, how: string, cause?: unknown): StateError {
  const options = { hint: DAMAGED_HINT, ...(cause === undefined ? {} : { cause }) };
  return new StateError("damaged", `State store "${path}" is damaged: ${how}`, options);
}

const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;
const SQLITE_BUSY = 5;

/** SQLite's words, for errors that come without a code: those of `exec` and of opening in Deno 2.9. */
const WORDS: readonly [RegExp, number][] = [
  [/database or disk is full/, SQLITE_FULL],
  [/database( table)? is locked/, SQLITE_BUSY],
  [/database disk image is malformed/, SQLITE_CORRUPT],
  [/file is not a database/, SQLITE_NOTADB],
  [/unable to open database file/, SQLITE_CANTOPEN],
  [/disk I\/O error/, SQLITE_IOERR],
  [/attempt to write a readonly database/, SQLITE_READONLY],
];

function sqliteCode(error: unknown): number | undefined {
  const { errcode, code, message } = (error ?? {}) as { errcode?: unknown; code?: unknown; message?: unknown };
  if (typeof errcode === "number") return errcode & 0xff;
  if (code !== "ERR_SQLITE_ERROR" || typeof message !== "string") return undefined;
  return WORDS.find(([words]) => words.test(message))?.[1];
}

/** Less than this is no room for a log and its index, bytes. */
const ROOM_BYTES_MIN = 64 * 1024;

function isDiskFull(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    return Number(bavail) * Number(bsize) < ROOM_BYTES_MIN;
  } catch {
    // The folder itself cannot be looked at: that is the failure to tell.
    return false;
  }
}

/** A failure to make the store's folder or to take its lock, as a `StateError`. */
export function asOpenError(error: unknown, path: string): unknown {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new StateError("no_space", `Cannot open the state store "${path}": no space left`, { cause: error });
  }
  if (error instanceof StateError || typeof code !== "string" || !/^E[A-Z0-9]+$/.test(code)) {
    return asStateError(error, path);
  }
  return new StateError("unusable", `Cannot open the state store "${path}": ${(error as Error).message}`, {
    hint: "Check that its folder exists and can be written",
    cause: error,
  });
}

/** A SQLite failure as a `StateError` where it has a consequence of its own, else the error itself. */
export function asStateError(error: unknown, path: string): unknown {
  const words = error instanceof Error ? error.message : String(error);
  let code = sqliteCode(error);
  // SQLite calls it an I/O error when the shared memory of its log finds no room.
  if ((code === SQLITE_IOERR || code === SQLITE_CANTOPEN) && isDiskFull(path)) code = SQLITE_FULL;
  switch (code) {
    case SQLITE_FULL:
      return new StateError("no_space", `Cannot write the state store "${path}": no space left`, { cause: error });
    case SQLITE_BUSY:
      return new StateError("locked", `Cannot write the state store "${path}": another process holds it`, {
        cause: error,
      });
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return damaged(path, words, error);
    case SQLITE_READONLY:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return new StateError("unusable", `Cannot open or use the state store "${path}": ${words}`, {
        hint: `Check that it and its folder can be written, and that the disk is healthy: ls -ld "${
          dirname(path)
        }" "${path}"*`,
        cause: error,
      });
    default:
      return error;
  }
}
