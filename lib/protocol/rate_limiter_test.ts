import assert from "node:assert/strict";
import { type LimiterTime, RateLimiter } from "./rate_limiter.ts";

/** Time that moves only while somebody waits. */
class FakeTime implements LimiterTime {
  now = 0;
  readonly pauses: number[] = [];
  onPause: () => void = () => {};

  nowMs(): number {
    return this.now;
  }

  pause(ms: number, signal?: AbortSignal): Promise<void> {
    this.pauses.push(ms);
    this.now += ms;
    this.onPause();
    return signal?.aborted ? Promise.reject(signal.reason) : Promise.resolve();
  }
}

Deno.test("take() never waits without a limit", async () => {
  const time = new FakeTime();
  for (const limit of [undefined, 0, -1]) await new RateLimiter(limit, time).take(1e12);
  assert.deepEqual(time.pauses, []);
});

Deno.test("take() keeps to the limit over many chunks", async () => {
  const time = new FakeTime();
  const limiter = new RateLimiter(1000, time);
  for (let chunk = 0; chunk < 100; chunk++) await limiter.take(100);
  assert(Math.abs(time.now - 10_000) < 1, `10,000 bytes took ${time.now} ms`);
});

Deno.test("take() waits in slices of at most 250 ms for a chunk far over the limit", async () => {
  const time = new FakeTime();
  await new RateLimiter(1000, time).take(10_000);
  assert.equal(Math.max(...time.pauses), 250);
  assert(Math.abs(time.now - 10_000) < 1);
});

Deno.test("take() lets no more than a quarter of a second's bytes through at once after a pause", async () => {
  const time = new FakeTime();
  const limiter = new RateLimiter(1000, time);
  time.now = 3_600_000;
  await limiter.take(250);
  assert.deepEqual(time.pauses, []);
  await limiter.take(100);
  assert(Math.abs(time.now - 3_600_100) < 1);
});

Deno.test("setLimit() is felt by a waiting take()", async () => {
  const time = new FakeTime();
  const limiter = new RateLimiter(10, time);
  time.onPause = () => limiter.setLimit(undefined);
  await limiter.take(1_000_000);
  assert.deepEqual(time.pauses, [250]);
});

Deno.test("take() rejects with the reason of its signal", async () => {
  const limiter = new RateLimiter(1);
  const abort = new AbortController();
  const waiting = limiter.take(1000, abort.signal);
  abort.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  await assert.rejects(limiter.take(1, abort.signal), { name: "AbortError" });
});
