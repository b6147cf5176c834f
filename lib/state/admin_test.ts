/** What `retry` and `forget` make of rows, and what the next listing makes of those. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { DriverError } from "../driver/mod.ts";
import { fetchOlderFiles, forgetRows, oweOlderFiles, retryRows, type Selection } from "./admin.ts";
import { markDelivered, markDeliveryFailed, nextDeliveries } from "./deliveries.ts";
import { endFiles, endJob, filesToEnd, storedJobs } from "./ending.ts";
import { markDownloading, markFileFailed, markSpooled, nextFiles } from "./files.ts";
import { Listing } from "./listings.ts";
import { manifestEntries } from "./manifest.ts";
import { type JobRow, registerJob, registerSource } from "./registry.ts";
import { outstanding } from "./status.ts";
import { Store } from "./store.ts";

type Row = Record<string, string | number | null>;

/** A store with one job, and the steps of a file's journey. */
class Rows implements Disposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "filesync-admin-" });
  readonly store = new Store(join(this.dir, "state.db"));
  job: JobRow;
  readonly sourceId: number;

  constructor(targets = ["nas"]) {
    this.job = registerJob(this.store, "job1", targets);
    this.sourceId = registerSource(this.store, this.job.id, "drone1");
  }

  /** One complete listing. Returns the paths that are found. */
  list(files: Record<string, number>, problems: string[] = []): string[] {
    const options = { jobId: this.job.id, sourceId: this.sourceId, nowMs: 1, settleMs: 0, precisionMs: 1 };
    const listing = new Listing(this.store, options);
    const found = listing.sight(
      Object.entries(files).map(([path, sizeBytes]) => ({
        path,
        kind: "file" as const,
        sizeBytes,
        ...(problems.includes(path) ? { problem: "name is odd" } : {}),
      })),
    );
    Array.from(listing.complete());
    return found.map(({ path }) => path);
  }

  spool(path: string, sha256 = "aa"): void {
    const file = nextFiles(this.store, this.sourceId, "name", 100).find((queued) => queued.path === path)!;
    assert.ok(markDownloading(this.store, file.id, 1));
    const sizeBytes = file.fingerprint.sizeBytes ?? 0;
    markSpooled(this.store, file, { sizeBytes, sha256, inode: 1, ctimeMs: 1, fingerprint: {} });
  }

  park(path: string): void {
    const { id } = this.file(path);
    const error = new DriverError("failed", "disk is broken", { hint: "Change it" });
    const failure = { attempts: 5, breaks: 0, bestBytes: 3, retryAtMs: 0, error };
    markFileFailed(this.store, Number(id), { state: "parked", ...failure });
  }

  failDelivery(path: string, state: "parked" | "uncertain" | "waiting", target = "nas"): void {
    const error = new DriverError("failed", "server is full");
    const failure = { attempts: 5, breaks: 0, bestBytes: 0, retryAtMs: 900, error, started: true };
    markDeliveryFailed(this.store, Number(this.delivery(path, target)["id"]), { state, ...failure });
  }

  deliver(path: string, target = "nas"): void {
    const { id } = this.job.targets.find(({ name }) => name === target)!;
    const delivery = nextDeliveries(this.store, id, 100).find((queued) => queued.path === path)!;
    markDelivered(this.store, delivery, { path, sizeBytes: delivery.sizeBytes, verified: "size" });
  }

  file(path: string): Row {
    return this.store.get<Row>("SELECT * FROM file WHERE path = ? AND latest = 1", path) ?? {};
  }

  delivery(path: string, target = "nas"): Row {
    return this.store.get<Row>(
      `SELECT d.* FROM delivery d JOIN file f ON f.id = d.file_id JOIN target t ON t.id = d.target_id
         WHERE f.path = ? AND t.name = ? ORDER BY f.generation DESC`,
      path,
      target,
    ) ?? {};
  }

  selection(more: Partial<Selection> = {}): Selection {
    return {
      jobIds: [this.job.id],
      targetIds: this.job.targets.map(({ id }) => id),
      sources: true,
      parked: true,
      uncertain: true,
      waiting: true,
      ...more,
    };
  }

  [Symbol.dispose](): void {
    this.store.close();
    Deno.removeSync(this.dir, { recursive: true });
  }
}

function retried(rows: Rows, selection = rows.selection()): { files: number; deliveries: number; relist: boolean } {
  const { files, deliveries, relist } = retryRows(rows.store, selection);
  return { files, deliveries, relist };
}

Deno.test("retryRows() puts a parked file back with a fresh count, and asks before a parked upload is repeated", () => {
  using rows = new Rows();
  rows.list({ a: 1, b: 2 });
  rows.park("a");
  rows.spool("b");
  rows.failDelivery("b", "parked");
  assert.deepEqual(retried(rows), { files: 1, deliveries: 1, relist: false });
  assert.deepEqual([rows.file("a")["state"], rows.file("a")["attempts"]], ["found", 0]);
  const { state, started, attempts } = rows.delivery("b");
  assert.deepEqual([state, started, attempts], ["waiting", 1, 0]);
  assert.deepEqual(retried(rows), { files: 0, deliveries: 0, relist: false });
  assert.equal(outstanding(rows.store, [rows.job.id]).parked, 0);
});

Deno.test("retryRows() sends again what is uncertain, and ends back-offs, only when these are meant", () => {
  using rows = new Rows();
  rows.list({ a: 1, b: 2 });
  rows.spool("a");
  rows.spool("b");
  rows.failDelivery("a", "uncertain");
  rows.failDelivery("b", "waiting");
  const parked = rows.selection({ uncertain: false, waiting: false });
  assert.deepEqual(retried(rows, parked), { files: 0, deliveries: 0, relist: false });
  assert.deepEqual(retried(rows), { files: 0, deliveries: 2, relist: false });
  assert.deepEqual([rows.delivery("a")["started"], rows.delivery("b")["started"]], [0, 1]);
  assert.equal(nextDeliveries(rows.store, rows.job.targets[0]!.id, 9).length, 2);
});

Deno.test("retryRows() has a name that cannot be fetched looked at again by the next listing", () => {
  using rows = new Rows();
  rows.list({ odd: 1 }, ["odd"]);
  assert.equal(rows.file("odd")["state"], "parked");
  assert.equal(retryRows(rows.store, rows.selection()).relist, true);
  assert.deepEqual(rows.list({ odd: 1 }, ["odd"]), ["odd"]);
  assert.equal(rows.file("odd")["state"], "parked");
  retryRows(rows.store, rows.selection({ path: "odd" }));
  rows.list({ odd: 1 });
  assert.equal(rows.file("odd")["state"], "found");
});

Deno.test("retryRows() of one path leaves others alone, also where names are alike", () => {
  using rows = new Rows();
  rows.list({ "a%": 1, "ab": 2, "a": 3 });
  for (const path of ["a%", "ab", "a"]) rows.park(path);
  assert.equal(retryRows(rows.store, rows.selection({ path: "a%" })).files, 1);
  assert.deepEqual(["a%", "ab", "a"].map((path) => rows.file(path)["state"]), ["found", "parked", "parked"]);
});

Deno.test("forgetRows() gives a parked file up for good: no listing finds that content again, another one is taken", () => {
  using rows = new Rows();
  rows.list({ a: 1 });
  rows.park("a");
  assert.equal(forgetRows(rows.store, rows.selection()).files, 1);
  assert.deepEqual([rows.file("a")["state"], rows.file("a")["code"]], ["gone", "forgotten"]);
  assert.deepEqual(rows.list({ a: 1 }), []);
  rows.list({});
  assert.deepEqual(rows.list({ a: 1 }), [], "also when it was away in between");
  assert.equal(outstanding(rows.store, [rows.job.id]).parked, 0);
  assert.deepEqual(rows.list({ a: 2 }), ["a"]);
  assert.deepEqual([rows.file("a")["state"], rows.file("a")["generation"]], ["found", 2]);
});

Deno.test("forgetRows() of a file that is gone keeps it from coming back, and retryRows() of its path takes it back", () => {
  using rows = new Rows();
  rows.list({ a: 1 });
  rows.list({});
  assert.equal(forgetRows(rows.store, rows.selection()).files, 0, "in bulk only what is parked");
  assert.equal(forgetRows(rows.store, rows.selection({ path: "a" })).files, 1);
  assert.deepEqual(rows.list({ a: 1 }), []);
  assert.equal(retryRows(rows.store, rows.selection()).files, 0, "in bulk what is forgotten stays so");
  assert.equal(retryRows(rows.store, rows.selection({ path: "a" })).files, 1);
  assert.equal(rows.file("a")["state"], "found");
});

Deno.test("forgetRows() for one of two targets lets the file be done and leave the spool", () => {
  using rows = new Rows(["nas", "cloud"]);
  rows.list({ a: 7 });
  rows.spool("a");
  rows.failDelivery("a", "parked");
  assert.deepEqual(forgetRows(rows.store, rows.selection()).released, [], "cloud still waits for it");
  rows.failDelivery("a", "waiting", "cloud");
  assert.equal(rows.file("a")["state"], "spooled");
  retryRows(rows.store, rows.selection({ path: "a" }));
  assert.equal(rows.delivery("a")["state"], "waiting", "taken back while it is in the spool");
  rows.deliver("a", "cloud");
  rows.failDelivery("a", "uncertain");
  const { released, deliveries } = forgetRows(rows.store, rows.selection());
  assert.equal(deliveries, 1);
  assert.deepEqual(released.map(({ deviceDir, sizeBytes }) => [deviceDir, sizeBytes]), [[1, 7]]);
  assert.equal(rows.file("a")["state"], "done");
  assert.equal(rows.file("a")["source_copy"], "kept");
  retryRows(rows.store, rows.selection({ path: "a" }));
  assert.deepEqual([rows.file("a")["state"], rows.delivery("a")["state"]], ["found", undefined]);
  rows.spool("a");
  assert.equal(rows.delivery("a")["state"], "waiting", "made anew");
  assert.equal(rows.delivery("a", "cloud")["state"], "delivered");
});

Deno.test("forgetRows() for the only target leaves nothing that claims to be done", () => {
  using rows = new Rows();
  rows.list({ a: 7 });
  rows.spool("a");
  rows.failDelivery("a", "parked");
  assert.equal(forgetRows(rows.store, rows.selection()).released.length, 1);
  assert.deepEqual([rows.file("a")["state"], rows.file("a")["code"]], ["gone", "forgotten"]);
  assert.deepEqual(outstanding(rows.store, [rows.job.id]), { parked: 0, uncertain: 0, left: 0 });
  retryRows(rows.store, rows.selection({ path: "a" }));
  rows.spool("a");
  assert.equal(rows.delivery("a")["state"], "waiting");
});

Deno.test("forgetRows() and retryRows() change a page at a time and come to an end", () => {
  using rows = new Rows();
  const files = Object.fromEntries(Array.from({ length: 2500 }, (_, n) => [`f${n}`, n]));
  rows.list(files, Object.keys(files));
  const pages: number[] = [];
  for (let selection = rows.selection(); pages.at(-1) !== 0;) {
    const part = forgetRows(rows.store, selection);
    pages.push(part.files);
    selection = { ...selection, afterFile: part.lastFile, afterDelivery: part.lastDelivery };
  }
  assert.deepEqual(pages, [1000, 1000, 500, 0]);
});

Deno.test("retryRows() does not take again what failed again since its last part", () => {
  using rows = new Rows();
  rows.list({ a: 1, b: 2 });
  rows.spool("b");
  rows.park("a");
  rows.failDelivery("b", "parked");
  const { lastFile, lastDelivery } = retryRows(rows.store, rows.selection());
  rows.park("a");
  rows.failDelivery("b", "parked");
  const rest = rows.selection({ afterFile: lastFile, afterDelivery: lastDelivery });
  assert.deepEqual(retried(rows, rest), { files: 0, deliveries: 0, relist: false });
});

Deno.test("A target that was added later gets older files: those in the spool now, the others fetched again", () => {
  using rows = new Rows();
  rows.list({ done: 1, spooled: 2, found: 3, removed: 4 });
  for (const path of ["done", "removed"]) {
    rows.spool(path);
    rows.deliver(path);
  }
  rows.spool("spooled");
  const removed = Number(rows.file("removed")["id"]);
  rows.store.write(() => rows.store.run("UPDATE file SET source_copy = 'removed' WHERE id = ?", removed));
  rows.store.write(() => rows.store.run("UPDATE file SET source_copy = 'due', due_at_ms = 5 WHERE path = 'done'"));
  rows.job = registerJob(rows.store, "job1", ["nas", "cloud"]);
  const cloud = rows.job.targets.find(({ name }) => name === "cloud")!.id;
  assert.equal(oweOlderFiles(rows.store, cloud), 1);
  const page = fetchOlderFiles(rows.store, cloud, 0);
  assert.equal(page.files, 1);
  assert.deepEqual(fetchOlderFiles(rows.store, cloud, page.lastId!), { files: 0 });
  const { state, generation, source_copy: copy } = rows.file("done");
  assert.deepEqual([state, generation, copy], ["found", 1, "kept"]);
  assert.equal(rows.file("removed")["state"], "done");
  rows.spool("done");
  rows.spool("found");
  for (const path of ["done", "found", "spooled"]) assert.equal(rows.delivery(path, "cloud")["state"], "waiting", path);
  assert.equal(rows.delivery("done")["state"], "delivered", "the first target is not given it again");
});

Deno.test("A job that is ended takes nothing of another job with it, also where numbers are used again", () => {
  using rows = new Rows();
  const other = registerJob(rows.store, "other", ["nas"]);
  rows.list({ a: 1, b: 2 });
  rows.spool("a");
  rows.deliver("a");
  // Added when two files were known: what it finds has higher numbers.
  const late = registerJob(rows.store, "late", ["nas"]);
  assert.deepEqual(filesToEnd(rows.store, rows.job.id).length, 2);
  endFiles(rows.store, filesToEnd(rows.store, rows.job.id).map(({ id }) => id));
  endJob(rows.store, rows.job.id);
  assert.deepEqual(storedJobs(rows.store).map(({ name }) => name), ["other", "late"]);
  assert.deepEqual(rows.store.all("SELECT * FROM tally"), []);
  for (const job of [late, other]) {
    const sourceId = registerSource(rows.store, job.id, "drone2");
    const listing = new Listing(rows.store, { jobId: job.id, sourceId, nowMs: 1, settleMs: 0, precisionMs: 1 });
    listing.sight([{ path: "c", kind: "file", sizeBytes: 3 }]);
    assert.deepEqual([...listing.complete()].flat(), []);
    const [file] = nextFiles(rows.store, sourceId, "name", 9);
    markDownloading(rows.store, file!.id, 1);
    const facts = { sizeBytes: 3, sha256: "bb", inode: 1, ctimeMs: 1, fingerprint: {} };
    markSpooled(rows.store, file!, facts);
    assert.equal(nextDeliveries(rows.store, job.targets[0]!.id, 9).length, 1, job.name);
  }
});

Deno.test("A listing that runs while another job ends takes what it found itself for gone by no means", () => {
  using rows = new Rows();
  rows.list({ a: 1, b: 2, c: 3 });
  const job = registerJob(rows.store, "other", ["nas"]);
  const sourceId = registerSource(rows.store, job.id, "drone2");
  const listing = new Listing(rows.store, { jobId: job.id, sourceId, nowMs: 1, settleMs: 0, precisionMs: 1 });
  endFiles(rows.store, filesToEnd(rows.store, rows.job.id).map(({ id }) => id));
  endJob(rows.store, rows.job.id);
  listing.sight([{ path: "x", kind: "file", sizeBytes: 3 }]);
  assert.equal(rows.file("x")["id"], 1);
  assert.deepEqual([...listing.complete()].flat(), []);
});

Deno.test("manifestEntries() tells the newest receipt under each name, sorted, with what was sent", () => {
  using rows = new Rows();
  rows.list({ b: 1, a: 2 });
  rows.spool("b", "b1");
  rows.deliver("b");
  rows.spool("a", "a1");
  rows.deliver("a");
  rows.list({ b: 10, a: 2 });
  rows.spool("b", "b2");
  rows.deliver("b");
  // A wrong date must not make the older one the newer.
  rows.store.write(() => rows.store.run("UPDATE delivery SET changed_ms = 0 WHERE receipt_sha256 = 'b2'"));
  // Left the spool for another target: the receipt stands.
  rows.store.write(() => rows.store.run("UPDATE file SET sha256 = NULL WHERE path = 'a'"));
  const ids = rows.job.targets.map(({ id }) => id);
  const entries = [...manifestEntries(rows.store, ids, true)].map(({ name, sha256, sizeBytes }) => [
    name,
    sha256,
    sizeBytes,
  ]);
  assert.deepEqual(entries, [["a", "a1", 2], ["b", "b2", 10]]);
  assert.deepEqual([...manifestEntries(rows.store, [], true)], []);
});

Deno.test("Store brings the schema of the first version up to date and keeps every delivery", () => {
  const dir = Deno.makeTempDirSync({ prefix: "filesync-admin-" });
  try {
    const path = join(dir, "state.db");
    const old = new DatabaseSync(path);
    old.exec(Deno.readTextFileSync(new URL("./migrations/001_journey.sql", import.meta.url)));
    old.exec(`PRAGMA user_version = 1;
      INSERT INTO job VALUES (1, 'job1');
      INSERT INTO target VALUES (1, 1, 'nas', 1, 0);
      INSERT INTO source VALUES (1, 1, 'drone1', NULL, 1);
      INSERT INTO file (id, source_id, job_id, path, generation, latest, size_bytes, precision_ms, state, sha256, found_ms, changed_ms)
        VALUES (1, 1, 1, 'a', 1, 1, 5, 1, 'done', 'aa', 0, 0), (2, 1, 1, 'b', 1, 1, 6, 1, 'spooled', 'bb', 0, 0);
      INSERT INTO delivery (id, file_id, target_id, state, size_bytes, changed_ms, receipt_path, attempts)
        VALUES (4, 1, 1, 'delivered', 5, 0, 'a', 0), (5, 2, 1, 'parked', 6, 0, NULL, 3);`);
    old.close();
    using store = new Store(path);
    const rows = store.all<Row>("SELECT id, state, attempts, receipt_sha256, receipt_no FROM delivery ORDER BY id");
    assert.deepEqual(rows.map((row) => Object.values(row)), [[4, "delivered", 0, "aa", 4], [
      5,
      "parked",
      3,
      null,
      null,
    ]]);
    assert.deepEqual(store.all("PRAGMA foreign_key_check"), []);
    assert.deepEqual([...manifestEntries(store, [1], true)].map(({ name }) => name), ["a"]);
    const selection = { jobIds: [1], targetIds: [1], sources: true, parked: true, uncertain: true, waiting: true };
    forgetRows(store, selection);
    assert.deepEqual(outstanding(store, [1]), { parked: 0, uncertain: 0, left: 0 });
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
