import assert from "node:assert/strict";
import { Lanes } from "./lanes.ts";

interface Bed {
  lanes: Lanes;
  limits: number[];
  /** Ends of the calls that run, in the order in which they began. */
  running: (() => void)[];
  begin(signal?: AbortSignal): Promise<void>;
  settle(): Promise<void>;
}

function bed(connections: number): Bed {
  const limits: number[] = [];
  const running: (() => void)[] = [];
  const lanes = new Lanes({ connections, onLimit: (limit) => limits.push(limit) });
  return {
    lanes,
    limits,
    running,
    begin: (signal = new AbortController().signal) =>
      lanes.use(signal, () => new Promise<void>((resolve) => running.push(resolve))),
    settle: () => new Promise((resolve) => setTimeout(resolve)),
  };
}

Deno.test("Lanes let four in, and the next one when one ends", async () => {
  const { begin, running, settle } = bed(16);
  const calls = Array.from({ length: 6 }, () => begin());
  await settle();
  assert.equal(running.length, 4);
  running[0]!();
  await settle();
  assert.equal(running.length, 5);
  for (let at = 1; at < 6; at++) {
    running[at]!();
    await settle();
  }
  await Promise.all(calls);
});

Deno.test("Lanes grow on a long way, wake who waits, and shrink for good when the server objects", async () => {
  const { lanes, limits, begin, running, settle } = bed(16);
  const calls = Array.from({ length: 20 }, () => begin());
  lanes.noteRoundTrip(0.3);
  assert.deepEqual(limits, []);
  lanes.noteRoundTrip(40);
  await settle();
  assert.equal(running.length, 16);
  lanes.noteObjection();
  lanes.noteRoundTrip(40);
  assert.deepEqual(limits, [16, 4]);
  for (let ended = 0; ended < 20; ended++) {
    running[ended]!();
    await settle();
    assert.ok(running.length - ended - 1 <= Math.max(4, 16 - ended - 1));
  }
  await Promise.all(calls);
});

Deno.test("Lanes never exceed the configuration, and let a waiting call be cancelled", async () => {
  const { lanes, begin, running, settle } = bed(1);
  lanes.noteRoundTrip(400);
  const first = begin();
  const controller = new AbortController();
  const cancelled = begin(controller.signal);
  const last = begin();
  await settle();
  assert.equal(running.length, 1);
  controller.abort();
  await assert.rejects(cancelled, { name: "AbortError" });
  running[0]!();
  await settle();
  assert.equal(running.length, 2);
  running[1]!();
  await Promise.all([first, last]);
});
