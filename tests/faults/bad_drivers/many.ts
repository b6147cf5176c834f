/** A good driver in TypeScript that lists as many entries as `count` says: what `serve()` costs with a million. */
import { type Driver, type Entry } from "../../../lib/driver/mod.ts";
import { serve } from "../../../lib/protocol/serve.ts";

let count = 0;

const driver: Driver = {
  initialize(params) {
    count = Number(params.args["count"]);
    return { name: "many", version: "1", capabilities: { recursiveList: true } };
  },
  async list(_params, call) {
    for (let at = 0; at < count;) {
      const batch: Entry[] = [];
      for (; batch.length < 1000 && at < count; at++) {
        batch.push({ path: `2026/${at >> 10}/log_${at}.ulg`, kind: "file", sizeBytes: at, modifiedMs: 1.7e12 + at });
      }
      await call.entries(batch);
    }
  },
};

await serve(driver, { name: "many", version: "1" });
