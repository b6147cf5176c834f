import assert from "node:assert/strict";
import { SharedLimit } from "./mod.ts";

Deno.test("SharedLimit divides what it has among those who run, and tells them", () => {
  const limit = new SharedLimit(1000);
  const told: number[] = [];
  const first = limit.join();
  assert.equal(first.bytesPerSecond, 1000);
  first.onChange = (bytesPerSecond) => told.push(bytesPerSecond);
  const second = limit.join();
  const third = limit.join();
  assert.deepEqual([first, second, third].map((share) => share.bytesPerSecond), [333, 333, 333]);
  second.leave();
  third.leave();
  assert.deepEqual(told, [500, 333, 500, 1000]);
  first.leave();
});

Deno.test("SharedLimit without a limit gives none, and never less than a byte a second", () => {
  assert.equal(new SharedLimit().join().bytesPerSecond, undefined);
  const tight = new SharedLimit(1);
  tight.join();
  assert.equal(tight.join().bytesPerSecond, 1);
});
