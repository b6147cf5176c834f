/** The schema of a store and its numbered migrations. */
import type { DatabaseSync } from "node:sqlite";
import journey from "./migrations/001_journey.sql" with { type: "text" };
import givenUp from "./migrations/002_given_up.sql" with { type: "text" };
import rebuilt from "./migrations/003_rebuilt.sql" with { type: "text" };
import notes from "./migrations/004_notes.sql" with { type: "text" };
import abandoned from "./migrations/005_abandoned.sql" with { type: "text" };

/** Index + 1 is the schema version that the migration makes. */
const MIGRATIONS: readonly string[] = [journey, givenUp, rebuilt, notes, abandoned];

/** The schema version of this program. */
export const SCHEMA = MIGRATIONS.length;

/** The schema version of a database; 0 when it has none of ours. */
export function versionOf(db: DatabaseSync): number {
  return (db.prepare("PRAGMA user_version").get() as { user_version: number }).user_version;
}

/** Brings a database of schema `version` up to date. */
export function migrate(db: DatabaseSync, version: number): void {
  for (let next = version; next < SCHEMA; next++) {
    db.exec(`BEGIN IMMEDIATE; ${MIGRATIONS[next]}; PRAGMA user_version = ${next + 1}; COMMIT`);
  }
}
