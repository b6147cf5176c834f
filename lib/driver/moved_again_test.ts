import assert from "node:assert/strict";
import { MovedAgain } from "./moved_again.ts";

/** What each progress of a call comes to. */
function counted(atBytes: number, ...doneBytes: number[]): number[] {
  const again = new MovedAgain(atBytes);
  return doneBytes.map((done) => again.note({ doneBytes: done }));
}

Deno.test("MovedAgain counts what lies between where a transfer had come and where it goes on, each time", () => {
  assert.deepEqual(counted(0, 0, 100, 200), [0, 0, 0]);
  // The host had seen 900, the target holds 800 of it, of which the last 64 are not believed.
  assert.deepEqual(counted(900, 800, 736, 1000), [100, 64, 0]);
  // After the host was killed nothing is known but what the target tells.
  assert.deepEqual(counted(0, 800, 0, 1000), [0, 800, 0]);
});

Deno.test("MovedAgain takes a sign of life for no movement", () => {
  const again = new MovedAgain(500);
  assert.equal(again.note({ doneBytes: 0, waitMs: 60_000 }), 0);
  assert.equal(again.note({ doneBytes: 500 }), 0);
});
