import assert from "node:assert/strict";
import { backoffMs } from "./retry.ts";

Deno.test("backoffMs() doubles from the first wait up to the longest, however many failures there were", () => {
  const options = { firstMs: 1000, maxMs: 30_000, jitter: 0 };
  const waits = [0, 1, 2, 3, 5, 6, 7, 1e9].map((failures) => backoffMs(failures, options));
  assert.deepEqual(waits, [1000, 1000, 2000, 4000, 16_000, 30_000, 30_000, 30_000]);
});

Deno.test("backoffMs() spreads by the jitter, both ways, and never waits less than 1 ms", () => {
  const wait = (random: number, firstMs = 1000) => backoffMs(1, { firstMs, maxMs: 1000, random: () => random });
  assert.deepEqual([wait(0), wait(0.5), wait(1)], [750, 1000, 1250]);
  assert.equal(wait(0, 0), 1);
});
