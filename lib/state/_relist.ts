/**
 * Lists 100,000 files that are known, and tells as JSON what that took. A program of its own: the memory of SQLite shows
 * only in that of the whole process, which a test shares with others.
 */
import { statSync } from "node:fs";
import { Listing } from "./listings.ts";
import { registerJob, registerSource } from "./registry.ts";
import { Store } from "./store.ts";

const COUNT = 100_000;
const BATCH = 1000;

using store = new Store(Deno.args[0]!);
const jobId = registerJob(store, "job1", ["nas"]).id;
const sourceId = registerSource(store, jobId, "card-a");

/** @returns files that came to light, and files that are gone */
function listAll(): { found: number; gone: number } {
  const listing = new Listing(store, { jobId, sourceId, nowMs: 1000, settleMs: 0, precisionMs: 1 });
  let found = 0;
  for (let at = 0; at < COUNT; at += BATCH) {
    const batch = Array.from({ length: BATCH }, (_, n) => ({
      path: `dir/log_${at + n}.ulg`,
      kind: "file" as const,
      sizeBytes: 10,
      modifiedMs: 7,
    }));
    found += listing.sight(batch).length;
  }
  const gone = [...listing.complete()].flat().length;
  store.flush();
  return { found, gone };
}

const first = listAll();
const queued = listAll();
store.write(() => store.run("UPDATE file SET state = 'done'"));
store.flush();
store.all("PRAGMA wal_checkpoint(TRUNCATE)");
const beforeBytes = Deno.memoryUsage().rss;
const done = listAll();
const writtenBytes = statSync(`${store.path}-wal`).size;
console.log(JSON.stringify({ first, queued, done, writtenBytes, grownBytes: Deno.memoryUsage().rss - beforeBytes }));
