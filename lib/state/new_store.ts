/**
 * A store appears under its name whole: a process that dies while it makes one leaves nothing that a later start could
 * take for a damaged store.
 */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { migrate } from "./migrate.ts";

/** A store that a rebuild has made, and that only has to get its name. */
export const REBUILT = ".rebuilt";
const UNFINISHED = ".new";

/** Makes an empty store at `path`, where none is; one that an interrupted rebuild has finished is taken instead. */
export function placeNewStore(path: string): void {
  if (!existsSync(path + REBUILT)) return makeStore(path, randomUUID(), () => {});
  renameSync(path + REBUILT, path);
  syncDirectory(path);
}

/** Makes a store at `path` that has the identity `storeId` and what `fill` puts into it; it is there whole or not at all. */
export function makeStore(path: string, storeId: string, fill: (db: DatabaseSync) => void): void {
  const unfinished = path + UNFINISHED;
  for (const end of ["", "-journal", "-wal", "-shm"]) rmSync(unfinished + end, { force: true });
  const db = new DatabaseSync(unfinished);
  try {
    db.exec("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL");
    migrate(db, 0);
    db.exec("BEGIN");
    db.prepare("INSERT INTO meta VALUES ('store_id', ?)").run(storeId);
    fill(db);
    db.exec("COMMIT");
  } finally {
    db.close();
  }
  const fd = openSync(unfinished, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(unfinished, path);
  syncDirectory(path);
}

/** What was renamed beside `path` stays so through a loss of power. */
export function syncDirectory(path: string): void {
  const fd = openSync(dirname(path), "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
