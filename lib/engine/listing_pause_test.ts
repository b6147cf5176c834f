import assert from "node:assert/strict";
import { listingPauseMs, settlingPauseMs } from "./listing_pause.ts";

const FINDER = { intervalMs: 10_000, settleMs: 5000 };

Deno.test("listingPauseMs() is the interval, or the time to settle where something has to", () => {
  assert.equal(listingPauseMs({ settling: 0, tookMs: 40 }, FINDER), 10_000);
  assert.equal(listingPauseMs({ settling: 3, tookMs: 40 }, FINDER), 5000);
  assert.equal(listingPauseMs({ settling: 3, tookMs: 40 }, { intervalMs: 1000, settleMs: 5000 }), 1000);
  assert.equal(listingPauseMs({ settling: 0, tookMs: 40 }, { intervalMs: 0, settleMs: 0 }), 200);
});

Deno.test("listingPauseMs() is at least as long as the listing took, so that a long one is not all that is done", () => {
  assert.equal(listingPauseMs({ settling: 0, tookMs: 180_000 }, FINDER), 180_000);
  assert.equal(listingPauseMs({ settling: 3, tookMs: 180_000 }, FINDER), 180_000);
});

Deno.test("settlingPauseMs() is no shorter than the time to settle", () => {
  assert.equal(settlingPauseMs({ settleMs: 5000 }), 5005);
  assert.equal(settlingPauseMs({ settleMs: 0 }), 200);
});
