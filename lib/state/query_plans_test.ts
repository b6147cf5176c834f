/** Every query that a worker runs finds its rows by an index: nothing grows with the number of known files. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DriverError } from "../driver/mod.ts";
import { abandonedUploads, markSwept } from "./abandoned.ts";
import {
  markDelivered,
  markDeliveryFailed,
  markUploading,
  nextDeliveries,
  priorDelivery,
  requeueDelivery,
  saveResume,
} from "./deliveries.ts";
import { browseFiles } from "./browse.ts";
import {
  fileById,
  hasUnfetched,
  markDownloading,
  markFileFailed,
  markSpooled,
  markSynced,
  nextFiles,
  nextRetryMs,
  refetchFile,
  releaseRetries,
  requeueFile,
} from "./files.ts";
import { fileHistories, nearestPaths } from "./history.ts";
import { Listing } from "./listings.ts";
import { finishRetired, recoverRows, spooledAfter, spoolRows } from "./recovery.ts";
import { registerJob, registerSource } from "./registry.ts";
import { jobStatuses, notedCount, notedFiles, outstanding, parkedItems, spooledBytes } from "./status.ts";
import { shelvableFiles, shelveFile, unshelveFiles } from "./shelving.ts";
import { Store } from "./store.ts";
import { queueAges } from "./waiting.ts";

/** Indexes that hold only what is unfinished or due: reading one whole is no scan of what is known. */
const SMALL =
  /^SCAN \w+ USING (COVERING )?INDEX (file_open|file_retry|file_due|file_shelved|file_noted|file_queue_\w+|delivery_open|delivery_abandoned|delivery_retry|delivery_queue)\b/;

/** Searches that find every file of a source, or all rows after one. */
const WIDE = /INDEX file_path \(source_id=\?\)|INTEGER PRIMARY KEY \(rowid>\?\)/;

/** A search of that kind that is for a bounded number of the last rows only. */
const LAST_ROWS = /id > \(SELECT max\(id\) FROM (delivery|file)\) - (1000\b|\?3)|ORDER BY id DESC LIMIT \?2\)/;

function plansOf(store: Store, statements: Map<string, unknown[]>): string[] {
  const bad: string[] = [];
  for (const [sql, values] of statements) {
    if (!/^\s*(SELECT|UPDATE|DELETE|INSERT)/i.test(sql)) continue;
    for (const { detail } of store.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`, ...values as string[])) {
      const isScan = /^SCAN (file|delivery|f|d|o|p)\b/.test(detail) && !SMALL.test(detail);
      // One row is enough, or it happens once in a source's life.
      const isRare = /LIMIT 1$|^INSERT|'first_contact'/.test(sql.trim());
      if (isScan || (WIDE.test(detail) && !isRare && !LAST_ROWS.test(sql))) {
        bad.push(`${detail}: ${sql.replace(/\s+/g, " ").trim()}`);
      }
    }
  }
  return bad;
}

Deno.test("no query of a worker, nor of who looks at it, scans the known files or deliveries", () => {
  const dir = Deno.makeTempDirSync({ prefix: "filesync-plans-" });
  try {
    using store = new Store(join(dir, "state.db"));
    const statements = new Map<string, unknown[]>();
    for (const method of ["all", "get", "run"] as const) {
      const real = store[method].bind(store) as (sql: string, ...values: unknown[]) => unknown;
      (store as unknown as Record<string, unknown>)[method] = (sql: string, ...values: unknown[]) => {
        if (!sql.startsWith("EXPLAIN") && !statements.has(sql)) statements.set(sql, values);
        return real(sql, ...values);
      };
    }
    exercise(store);
    assert.ok(statements.size >= 30, `${statements.size} statements`);
    assert.deepEqual(plansOf(store, statements), []);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

/** Runs each function of the workers once, on rows that let it do its work. */
function exercise(store: Store): void {
  const job = registerJob(store, "job1", ["nas"]);
  const sourceId = registerSource(store, job.id, "drone1");
  const list = (paths: Record<string, number>, settleMs = 0) => {
    const options = { jobId: job.id, sourceId, nowMs: 1, settleMs, precisionMs: 1, maxFirst: 1000 };
    const listing = new Listing(store, options);
    const entries = Object.entries(paths).map(([path, sizeBytes]) => ({ path, kind: "file" as const, sizeBytes }));
    listing.sight(entries);
    Array.from(listing.complete());
    Array.from(listing.endFirstContact());
  };
  list({ a: 1, b: 2, c: 3 });
  list({ a: 1, b: 2 }, 1000);
  list({ a: 1, b: 2, c: 3 });
  const facts = { sha256: "00", inode: 1, ctimeMs: 1, fingerprint: {} };
  const error = new DriverError("failed", "x");
  const failure = { attempts: 1, breaks: 0, bestBytes: 0, retryAtMs: 10.5, error };
  for (const order of ["newest", "oldest", "name"] as const) nextFiles(store, sourceId, order, 64);
  const [a, b] = nextFiles(store, sourceId, "name", 64);
  markDownloading(store, a!.id, 1);
  markSynced(store, a!.id, 1);
  requeueFile(store, a!.id, 1);
  markFileFailed(store, b!.id, { state: "found", ...failure });
  nextRetryMs(store);
  hasUnfetched(store, 1);
  releaseRetries(store, 11);
  markDownloading(store, a!.id, 1);
  markSpooled(store, a!, { sizeBytes: 1, ...facts });
  fileById(store, a!.id);
  let [delivery] = nextDeliveries(store, job.targets[0]!.id, 64);
  markUploading(store, delivery!.id, "a");
  saveResume(store, delivery!.id, {}, 1);
  requeueDelivery(store, delivery!.id, false, 1);
  markDeliveryFailed(store, delivery!.id, { state: "waiting", started: false, ...failure });
  releaseRetries(store, 11);
  priorDelivery(store, { ...delivery!, generation: 2 });
  refetchFile(store, a!.id, "damaged");
  markDownloading(store, a!.id, 1);
  markSpooled(store, a!, { sizeBytes: 1, ...facts });
  delivery = nextDeliveries(store, job.targets[0]!.id, 64)[0];
  markDelivered(store, delivery!, { path: "a", sizeBytes: 1, verified: "size" });
  abandonedUploads(store, job.targets[0]!.id, 64);
  markSwept(store, delivery!.id);
  recoverRows(store);
  spoolRows(store, [1, 2]);
  spooledAfter(store, 0, 10);
  finishRetired(store);
  shelvableFiles(store, [1], { limit: 10, afterId: 0 });
  shelveFile(store, b!.id);
  unshelveFiles(store, [1]);
  jobStatuses(store);
  parkedItems(store);
  notedFiles(store);
  notedCount(store);
  outstanding(store, [job.id]);
  spooledBytes(store);
  queueAges(store);
  // The daemon answers these for others, between what it moves.
  fileHistories(store, [job.id], "a");
  nearestPaths(store, [job.id], "nothing/like.it");
  for (const state of [undefined, "open", "parked", "delivered", "gone"] as const) {
    browseFiles(store, { text: "x", scanMax: 10, limit: 10, ...(state === undefined ? {} : { state }) });
  }
}
