import assert from "node:assert/strict";
import { join } from "node:path";
import { Listing } from "./listings.ts";
import { registerJob, registerSource } from "./registry.ts";
import { countUptime, dueRemovals, markDue, nextRemovalMs, startUptime } from "./removals.ts";
import { Store } from "./store.ts";

/** A store with one file that is done, and a clock that a test turns. */
function withFile(use: (bed: { store: Store; sourceId: number; fileId: number; pass: (ms: number) => void }) => void) {
  const dir = Deno.makeTempDirSync({ prefix: "filesync-removals-" });
  const now = performance.now;
  let nowMs = 1_000_000.5;
  performance.now = () => nowMs;
  const store = new Store(join(dir, "state.db"));
  try {
    const job = registerJob(store, "job1", ["nas"]);
    const sourceId = registerSource(store, job.id, "drone1");
    new Listing(store, { jobId: job.id, sourceId, nowMs: 0, settleMs: 0, precisionMs: 1 } as never)
      .sight([{ path: "log", kind: "file", sizeBytes: 3 }]);
    const { id: fileId } = store.get<{ id: number }>("SELECT id FROM file")!;
    store.write(() => store.run("UPDATE file SET state = 'done' WHERE id = ?", fileId));
    use({ store, sourceId, fileId, pass: (ms) => nowMs += ms });
  } finally {
    performance.now = now;
    store.close();
    Deno.removeSync(dir, { recursive: true });
  }
}

Deno.test("dueRemovals() keeps the whole grace, whenever the clock was written down last", () =>
  withFile(({ store, sourceId, fileId, pass }) => {
    startUptime(store);
    pass(59_000);
    store.write(() => markDue(store, fileId, 30_000));
    pass(1000);
    countUptime(store);
    assert.deepEqual(dueRemovals(store, sourceId, "size", 10), [], "one second of thirty has passed");
    assert.equal(nextRemovalMs(store, sourceId), 29_000);
    pass(29_000);
    assert.equal(dueRemovals(store, sourceId, "size", 10).length, 1, "due at once, not at the next minute");
    assert.equal(nextRemovalMs(store, sourceId), 0);
  }));

Deno.test("startUptime() goes on from the clock of the last run", () =>
  withFile(({ store, sourceId, fileId, pass }) => {
    startUptime(store);
    pass(10_000);
    store.write(() => markDue(store, fileId, 5000));
    pass(1000);
    countUptime(store);
    const { due } = store.get<{ due: number }>("SELECT due_at_ms AS due FROM file")!;
    assert.equal(Number(store.meta("uptime_ms")), 11_000);
    assert.equal(due, 15_000);
    assert.equal(nextRemovalMs(store, sourceId), 4000);
  }));
