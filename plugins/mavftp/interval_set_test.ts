import assert from "node:assert/strict";
import { seeded } from "../../tests/support/mavftp_bed.ts";
import { IntervalSet } from "./interval_set.ts";

Deno.test("IntervalSet.add() merges what touches and tells what is new", () => {
  const set = new IntervalSet();
  assert.equal(set.add(10, 20), 10);
  assert.equal(set.add(30, 40), 10);
  assert.equal(set.add(20, 30), 10);
  assert.deepEqual(set.ranges(), [{ start: 10, end: 40 }]);
  assert.equal(set.add(5, 45), 10);
  assert.equal(set.add(12, 13), 0);
  assert.equal(set.sizeBytes, 40);
});

Deno.test("IntervalSet.missing() tells the gaps in order", () => {
  const set = new IntervalSet();
  set.add(0, 5);
  set.add(10, 15);
  assert.deepEqual(set.missing(0, 20), [{ start: 5, end: 10 }, { start: 15, end: 20 }]);
  assert.deepEqual(set.firstMissing(0, 20), { start: 5, end: 10 });
  assert.deepEqual(set.firstMissing(11, 20), { start: 15, end: 20 });
  assert.equal(set.firstMissing(10, 15), undefined);
  assert.equal(set.heldUntil(2), 5);
  assert.equal(set.heldUntil(7), 7);
});

Deno.test("IntervalSet agrees with a plain array of bytes, whatever is added and removed", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = seeded(seed);
    const set = new IntervalSet();
    const plain = new Uint8Array(200);
    for (let step = 0; step < 200; step++) {
      const start = Math.floor(random() * 200);
      const end = Math.min(200, start + Math.floor(random() * 30));
      if (random() < 0.7) {
        const added = plain.subarray(start, end).filter((bit) => bit === 0).length;
        assert.equal(set.add(start, end), added, `seed ${seed}`);
        plain.fill(1, start, end);
      } else {
        set.remove(start, end);
        plain.fill(0, start, end);
      }
      assert.equal(set.sizeBytes, plain.filter((bit) => bit === 1).length, `seed ${seed}`);
      const missing = set.missing(0, 200).reduce((sum, gap) => sum + gap.end - gap.start, 0);
      assert.equal(missing, 200 - set.sizeBytes, `seed ${seed}`);
      assert.equal(set.has(start, end), plain.subarray(start, end).every((bit) => bit === 1), `seed ${seed}`);
    }
  }
});
