import assert from "node:assert/strict";
import { compare, judge, line, type Pair, type Ratio, ratiosOf } from "./compare.ts";

const pair = (ours: number, peer: number): Pair => ({
  ours: { wallS: ours, cpuS: ours / 2 },
  peer: { wallS: peer, cpuS: peer / 4 },
});
const ratio = (low: number, median: number, high: number): Ratio => ({ low, median, high });

Deno.test("ratiosOf() compares within each pair, so that a machine that is slow for a while changes nothing", () => {
  const { wall, cpu, rounds } = ratiosOf([pair(2, 1), pair(40, 20), pair(3, 1.5), pair(2, 1)], "cp");
  assert.deepEqual([wall, cpu, rounds], [ratio(2, 2, 2), ratio(4, 4, 4), 4]);
});

Deno.test("ratiosOf() tells the middle and the quarters, also between two runs", () => {
  assert.deepEqual(ratiosOf([1, 2, 3, 4, 5].map((ours) => pair(ours, 1)), "cp").wall, ratio(2, 3, 4));
  assert.deepEqual(ratiosOf([pair(2, 1), pair(3, 1)], "cp").wall, ratio(2.25, 2.5, 2.75));
  assert.deepEqual(ratiosOf([pair(7, 1)], "cp").wall, ratio(7, 7, 7));
  assert.throws(() => ratiosOf([], "cp"), RangeError);
});

Deno.test("ratiosOf() takes a peer whose processor time is too short to be told for a short one", () => {
  const { cpu } = ratiosOf([{ ours: { wallS: 1, cpuS: 0.5 }, peer: { wallS: 1, cpuS: 0 } }], "cp");
  assert.equal(cpu.median, 100);
});

Deno.test("judge() calls worse what is beyond the tolerance and beyond the spread of either side", () => {
  const before = ratio(1.9, 2, 2.1);
  assert.equal(judge(ratio(2.5, 2.6, 2.7), before, 0.25), "worse");
  assert.equal(judge(ratio(2.3, 2.4, 2.5), before, 0.25), "same", "within the tolerance");
  assert.equal(judge(ratio(2.0, 2.6, 4), before, 0.25), "same", "runs differ more than that from one another");
  assert.equal(judge(ratio(2.5, 2.6, 2.7), ratio(1, 2, 2.55), 0.25), "same", "and so did those that are recorded");
  assert.equal(judge(before, before, 0), "same");
  assert.equal(judge(ratio(1.2, 1.3, 1.4), before, 0.25), "better");
  assert.equal(judge(ratio(1.2, 1.3, 1.95), before, 0.25), "same");
});

Deno.test("compare() judges wall and processor time apart, and not beside another peer", () => {
  const before = ratiosOf([pair(2, 1), pair(2.1, 1)], "rsync 3.4");
  const slow = ratiosOf([pair(4, 1), pair(4.1, 1)], "rsync 3.4");
  assert.deepEqual(compare(slow, before, 0.25), { wall: "worse", cpu: "worse" });
  assert.deepEqual(compare({ ...slow, wall: before.wall }, before, 0.25), { wall: "same", cpu: "worse" });
  assert.deepEqual(compare(slow, undefined, 0.25), { wall: "unknown", cpu: "unknown" });
  assert.deepEqual(compare({ ...slow, peer: "rsync 3.5" }, before, 0.25), { wall: "unknown", cpu: "unknown" });
});

/** Random numbers that a seed repeats (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Runs on a machine whose speed changes, and which other work stops for a while now and then. */
function noisyPairs(ratioOfOurs: number, count: number, next: () => number): Pair[] {
  return Array.from({ length: count }, () => {
    const slowness = 1 + next() * 3;
    const stolen = () => 0.9 + next() * 0.2 + (next() < 0.1 ? 1 : 0);
    return pair(ratioOfOurs * slowness * stolen(), slowness * stolen());
  });
}

Deno.test("compare() is not tripped by noise, and finds what got half as slow again", () => {
  const next = random(7);
  let tripped = 0;
  let found = 0;
  for (let trial = 0; trial < 500; trial++) {
    const before = ratiosOf(noisyPairs(2, 7, next), "cp");
    if (compare(ratiosOf(noisyPairs(2, 7, next), "cp"), before, 0.25).wall === "worse") tripped++;
    if (compare(ratiosOf(noisyPairs(3, 7, next), "cp"), before, 0.25).wall === "worse") found++;
  }
  assert.ok(tripped <= 2, `${tripped} of 500 by noise alone`);
  assert.ok(found >= 400, `${found} of 500 found`);
});

Deno.test("line() says what is compared with what, and shouts only what is worse", () => {
  const before = ratiosOf([pair(2, 1)], "rsync");
  const now = ratiosOf([pair(4, 1)], "rsync");
  const told = (facts: Parameters<typeof line>[2]) => line("small-local", "wall", facts);
  assert.equal(
    told({ now, before, verdict: "worse" }),
    "small-local, wall time: 4.00 times rsync (4.00 to 4.00), recorded 2.00 (2.00 to 2.00): WORSE",
  );
  assert.match(told({ now: before, before, verdict: "same" }), /: the same$/);
  assert.match(told({ now, before: undefined, verdict: "unknown" }), /: not compared, nothing is recorded$/);
  assert.match(
    told({ now, before: { ...before, peer: "rsync 2" }, verdict: "unknown" }),
    /: not compared, recorded beside rsync 2$/,
  );
});
