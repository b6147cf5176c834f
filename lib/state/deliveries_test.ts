import assert from "node:assert/strict";
import { join } from "node:path";
import { DriverError } from "../driver/mod.ts";
import { markDelivered, markDeliveryFailed, markUploading, nextDeliveries, requeueDelivery } from "./deliveries.ts";
import {
  markDownloading,
  markFileFailed,
  markSpooled,
  nextFiles,
  nextRetryMs,
  type QueuedFile,
  refetchFile,
  releaseRetries,
  requeueFile,
} from "./files.ts";
import { Listing } from "./listings.ts";
import { finishRetired, recoverRows } from "./recovery.ts";
import { type JobRow, registerJob, registerSource } from "./registry.ts";
import { outstanding } from "./status.ts";
import { Store } from "./store.ts";

class Rows implements Disposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "filesync-rows-" });
  readonly store = new Store(join(this.dir, "state.db"));
  job: JobRow;
  readonly sourceId: number;

  constructor(targets = ["nas"]) {
    this.job = registerJob(this.store, "job1", targets);
    this.sourceId = registerSource(this.store, this.job.id, "drone1");
  }

  targets(...names: string[]): void {
    this.job = registerJob(this.store, "job1", names);
  }

  target(name: string): number {
    return this.store.get<{ id: number }>("SELECT id FROM target WHERE name = ?", name)!.id;
  }

  find(...paths: string[]): void {
    const options = { jobId: this.job.id, sourceId: this.sourceId, nowMs: 0, settleMs: 0, precisionMs: 1 };
    new Listing(this.store, options).sight(paths.map((path) => ({ path, kind: "file", sizeBytes: path.length })));
  }

  queue(): QueuedFile[] {
    return nextFiles(this.store, this.sourceId, "name", 1000);
  }

  spool(file: QueuedFile): void {
    markDownloading(this.store, file.id, 1);
    markSpooled(this.store, file, {
      sizeBytes: file.fingerprint.sizeBytes ?? 0,
      sha256: "00",
      inode: 1,
      ctimeMs: 1.5,
      fingerprint: {},
    });
  }

  deliver(name: string, path?: string): boolean {
    const waiting = nextDeliveries(this.store, this.target(name), 1000);
    const delivery = waiting.find((row) => path === undefined || row.path === path);
    if (delivery === undefined) throw new Error(`Nothing waits for ${name}`);
    return markDelivered(this.store, delivery, { path: delivery.path, sizeBytes: 1, verified: "size" });
  }

  waiting(name: string): string[] {
    return nextDeliveries(this.store, this.target(name), 1000).map(({ path, generation }) => `${path}#${generation}`);
  }

  state(path: string): string {
    return this.store.get<{ state: string }>("SELECT state FROM file WHERE path = ?", path)!.state;
  }

  [Symbol.dispose](): void {
    this.store.close();
    Deno.removeSync(this.dir, { recursive: true });
  }
}

Deno.test("a file is done when every target has its receipt, and not before", () => {
  using rows = new Rows(["nas", "cloud"]);
  rows.find("a");
  rows.spool(rows.queue()[0]!);
  assert.deepEqual([rows.waiting("nas"), rows.waiting("cloud")], [["a#1"], ["a#1"]]);
  assert.equal(rows.deliver("nas"), false);
  assert.equal(rows.state("a"), "spooled");
  assert.equal(rows.deliver("cloud"), true);
  assert.equal(rows.state("a"), "done");
});

Deno.test("a target that is added later gets the files found from then on", () => {
  using rows = new Rows(["nas"]);
  rows.find("before-a", "before-b");
  rows.spool(rows.queue()[0]!);
  rows.targets("nas", "cloud");
  rows.spool(rows.queue()[0]!);
  rows.find("later");
  rows.spool(rows.queue()[0]!);
  assert.deepEqual(rows.waiting("nas"), ["before-a#1", "before-b#1", "later#1"]);
  assert.deepEqual(rows.waiting("cloud"), ["later#1"]);
});

Deno.test("a target that is taken out of the configuration frees what only it still needs", () => {
  using rows = new Rows(["nas", "dead"]);
  rows.find("a", "b");
  for (const file of rows.queue()) rows.spool(file);
  rows.deliver("nas", "a");
  rows.targets("nas");
  finishRetired(rows.store);
  assert.deepEqual([rows.state("a"), rows.state("b")], ["done", "spooled"]);
  assert.equal(rows.deliver("nas", "b"), true);
  assert.deepEqual(outstanding(rows.store, [rows.job.id]), { parked: 0, uncertain: 0, left: 0 });
});

Deno.test("a target that comes back is not owed what has left the spool meanwhile", () => {
  using rows = new Rows(["nas", "other"]);
  rows.find("freed-at-start", "freed-by-receipt", "still-there");
  for (const file of rows.queue()) rows.spool(file);
  rows.deliver("nas", "freed-at-start");
  rows.targets("nas");
  finishRetired(rows.store);
  rows.deliver("nas", "freed-by-receipt");
  rows.targets("nas", "other");
  assert.deepEqual(rows.waiting("other"), ["still-there#1"]);
  rows.deliver("nas", "still-there");
  rows.deliver("other", "still-there");
  assert.equal(outstanding(rows.store, [rows.job.id]).left, 0, "nothing is left that nobody can deliver");
});

Deno.test("an older generation of a path waits in front of a newer one, also while it backs off", () => {
  using rows = new Rows();
  rows.find("a");
  rows.spool(rows.queue()[0]!);
  const options = { jobId: rows.job.id, sourceId: rows.sourceId, nowMs: 0, settleMs: 0, precisionMs: 1 };
  new Listing(rows.store, options).sight([{ path: "a", kind: "file", sizeBytes: 99 }]);
  rows.spool(rows.queue()[0]!);
  assert.deepEqual(rows.waiting("nas"), ["a#1"]);
  const [older] = nextDeliveries(rows.store, rows.target("nas"), 10);
  const error = new DriverError("failed", "x");
  const failure = { started: false, attempts: 1, breaks: 0, bestBytes: 0, error };
  markDeliveryFailed(rows.store, older!.id, { ...failure, state: "waiting", retryAtMs: 1e9 });
  assert.deepEqual(rows.waiting("nas"), []);
  const parked = `UPDATE file SET state = 'parked', sha256 = NULL, code = 'lost' WHERE id = ?`;
  rows.store.write(() => rows.store.run(parked, older!.fileId));
  assert.deepEqual(rows.waiting("nas"), ["a#2"], "what left the spool and cannot be had again holds nobody up");
  rows.store.write(() => rows.store.run("UPDATE file SET state = 'spooled', sha256 = 'x' WHERE id = ?", older!.fileId));
  assert.deepEqual(rows.waiting("nas"), []);
  markDeliveryFailed(rows.store, older!.id, { ...failure, state: "parked", retryAtMs: 0 });
  assert.deepEqual(rows.waiting("nas"), ["a#2"], "what is given up holds nobody up");
});

Deno.test("releaseRetries() lets in what is due and nothing else, whatever fraction of a millisecond it is due at", () => {
  using rows = new Rows();
  rows.find("a", "b");
  const error = new DriverError("failed", "x");
  const failure = { state: "found" as const, attempts: 1, breaks: 0, bestBytes: 0, error };
  const [a, b] = rows.queue();
  markFileFailed(rows.store, a!.id, { ...failure, retryAtMs: 100.25 });
  markFileFailed(rows.store, b!.id, { ...failure, retryAtMs: 200 });
  assert.deepEqual(rows.queue(), []);
  assert.equal(nextRetryMs(rows.store), 101);
  assert.equal(releaseRetries(rows.store, 100.5), false);
  assert.equal(releaseRetries(rows.store, 101), true);
  assert.deepEqual(rows.queue().map(({ path }) => path), ["a"]);
});

Deno.test("recoverRows() puts everything back into its queue, and remembers which uploads had begun", () => {
  using rows = new Rows();
  rows.find("a", "b", "c");
  const [a, b, c] = rows.queue();
  markDownloading(rows.store, a!.id, 1);
  const error = new DriverError("failed", "x");
  markFileFailed(rows.store, b!.id, {
    state: "found",
    attempts: 1,
    breaks: 0,
    bestBytes: 0,
    retryAtMs: 1e12,
    error,
  });
  rows.spool(c!);
  const [delivery] = nextDeliveries(rows.store, rows.target("nas"), 10);
  assert.equal(markUploading(rows.store, delivery!.id, "asked/c"), true);
  assert.equal(markUploading(rows.store, delivery!.id, "asked/c"), false, "taken once");
  assert.deepEqual(recoverRows(rows.store), { downloads: 1, uploads: 1 });
  assert.deepEqual(rows.queue().map(({ path }) => path), ["a", "b"]);
  const [again] = nextDeliveries(rows.store, rows.target("nas"), 10);
  assert.deepEqual([again!.started, again!.askedPath], [true, "asked/c"]);
});

/** The counts that `tally` keeps, counted anew. */
const REAL = `
  SELECT job_id, 0 AS target_id, state, count(*) AS count, coalesce(sum(size_bytes), 0) AS bytes FROM file GROUP BY 1, 2, 3
  UNION ALL
  SELECT t.job_id, d.target_id, d.state, count(*), sum(d.size_bytes) FROM delivery d JOIN target t ON t.id = d.target_id
    GROUP BY 1, 2, 3
  ORDER BY 1, 2, 3`;

Deno.test("tallies equal the real counts after any walk of operations", () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % below;
  };
  using rows = new Rows(["nas", "cloud"]);
  const { store } = rows;
  const error = new DriverError("failed", "x", { resume: { n: 1 } });
  const common = { attempts: 1, breaks: 0, bestBytes: 0, retryAtMs: 5.5, error };
  const delivery = () => {
    const waiting = nextDeliveries(store, rows.target(random(2) ? "nas" : "cloud"), 20);
    return waiting[random(Math.max(1, waiting.length))];
  };
  const file = () => rows.queue()[random(Math.max(1, rows.queue().length))];
  const anyId = () => 1 + random(Math.max(1, store.get<{ n: number }>("SELECT count(*) AS n FROM file")!.n));
  const options = { jobId: rows.job.id, sourceId: rows.sourceId, nowMs: 0, settleMs: 0, precisionMs: 1 };
  const operations: [string, () => void][] = [
    ["list", () => {
      const listing = new Listing(store, options);
      listing.sight(Array.from({ length: 5 }, () => ({
        path: `f${random(30)}`,
        kind: "file" as const,
        ...(random(4) ? { sizeBytes: random(5) } : {}),
        ...(random(8) ? {} : { problem: "odd" }),
      })));
      if (random(3) === 0) Array.from(listing.complete());
    }],
    ["spool", () => {
      const queued = file();
      if (queued !== undefined) rows.spool(queued);
    }],
    ["requeue", () => {
      const queued = file();
      if (queued === undefined) return;
      markDownloading(store, queued.id, 1);
      requeueFile(store, queued.id, 1);
    }],
    ["fail", () => {
      const queued = file();
      const outcome = (["found", "parked", "gone"] as const)[random(3)]!;
      if (queued !== undefined) markFileFailed(store, queued.id, { state: outcome, ...common });
    }],
    ["upload", () => {
      const next = delivery();
      if (next === undefined) return;
      markUploading(store, next.id, "x");
      const what = random(4);
      if (what < 2) markDelivered(store, next, { path: "x", sizeBytes: 1, verified: "size" });
      else if (what === 2) requeueDelivery(store, next.id, random(2) === 1, 0, error);
      else {
        const outcome = (["waiting", "parked", "uncertain"] as const)[random(3)]!;
        markDeliveryFailed(store, next.id, { state: outcome, started: false, ...common });
      }
    }],
    ["refetch", () => void refetchFile(store, anyId(), "rot")],
    ["retries", () => void releaseRetries(store, 1e6)],
    ["restart", () => void (recoverRows(store), finishRetired(store))],
    ["targets", () => rows.targets(...(random(2) ? ["nas", "cloud"] : ["nas"]))],
    ["undone", () => {
      assert.throws(() =>
        store.write(() => {
          operations[random(9)]![1]();
          throw new Error("Undo");
        }), /Undo/);
    }],
  ];
  const walk: string[] = [];
  for (let n = 0; n < 2000; n++) {
    const [name, operate] = operations[random(operations.length)]!;
    walk.push(name);
    operate();
    if (n % 50 > 0 && n < 1990) continue;
    const kept = store.all("SELECT * FROM tally WHERE count <> 0 OR bytes <> 0 ORDER BY 1, 2, 3");
    assert.deepEqual(kept, store.all(REAL), `seed ${seed}, last ${walk.slice(-50).join(" ")}`);
  }
});
