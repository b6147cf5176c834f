import assert from "node:assert/strict";
import { join } from "node:path";
import type { Entry } from "../driver/mod.ts";
import { nearestPaths } from "./history.ts";
import { Listing } from "./listings.ts";
import { registerJob, registerSource } from "./registry.ts";
import { Store } from "./store.ts";

Deno.test("nearestPaths() looks at a bounded number of files, the newest, whatever is asked for", () => {
  const dir = Deno.makeTempDirSync({ prefix: "filesync-history-" });
  try {
    using store = new Store(join(dir, "state.db"));
    const job = registerJob(store, "job1", ["nas"]);
    const options = {
      jobId: job.id,
      sourceId: registerSource(store, job.id, "card"),
      nowMs: 1,
      settleMs: 0,
      precisionMs: 1,
    };
    const entries = Array.from(
      { length: 50 },
      (_, n): Entry => ({ path: `2026/log_${n}.ulg`, kind: "file", sizeBytes: n }),
    );
    new Listing(store, options).sight(entries);
    assert.deepEqual(nearestPaths(store, [job.id], "log_0.ulg"), [{ job: "job1", path: "2026/log_0.ulg" }]);
    assert.deepEqual(nearestPaths(store, [job.id], "log_0.ulg", 10), [], "it is not among the newest ten");
    assert.deepEqual(nearestPaths(store, [job.id], "log_49.ulg", 10), [{ job: "job1", path: "2026/log_49.ulg" }]);
    assert.deepEqual(nearestPaths(store, [job.id + 1], "log_49.ulg"), []);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
