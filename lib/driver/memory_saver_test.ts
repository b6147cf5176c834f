import assert from "node:assert/strict";
import { MemorySaver } from "./memory_saver.ts";

/** A saver with a clock that the test moves. */
function bed() {
  const timers = new Set<{ atMs: number; run: () => void }>();
  const state = { nowMs: 0, isBusy: false, spared: [] as number[], sparedStart: [] as number[] };
  const saver = new MemorySaver(() => state.isBusy, {
    spare: () => state.spared.push(state.nowMs),
    spareStart: () => state.sparedStart.push(state.nowMs),
    nowMs: () => state.nowMs,
    after: (ms, run) => {
      const timer = { atMs: state.nowMs + ms, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
  });
  const pass = (ms: number) => {
    const endMs = state.nowMs + ms;
    for (;;) {
      const due = [...timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      timers.delete(due);
      state.nowMs = due.atMs;
      due.run();
    }
    state.nowMs = endMs;
  };
  return { saver, state, pass, timers };
}

Deno.test("MemorySaver spares once work is over, and never without any", () => {
  const { saver, state, pass } = bed();
  pass(600_000);
  assert.deepEqual(state.spared, []);
  saver.noteWork();
  state.isBusy = true;
  pass(20_000);
  assert.deepEqual(state.spared, []);
  state.isBusy = false;
  pass(600_000);
  assert.equal(state.spared.length, 1);
});

Deno.test("MemorySaver spares at most once a minute, however often there is work", () => {
  const { saver, state, pass } = bed();
  for (let second = 0; second < 300; second++) {
    saver.noteWork();
    pass(1000);
  }
  assert.equal(state.spared.length, 5);
  for (let at = 1; at < state.spared.length; at++) assert.ok(state.spared[at]! - state.spared[at - 1]! >= 60_000);
});

Deno.test("MemorySaver that was stopped does nothing more", () => {
  const { saver, state, pass, timers } = bed();
  saver.noteWork();
  saver.stop();
  pass(600_000);
  assert.deepEqual([state.spared, timers.size], [[], 0]);
});

Deno.test("MemorySaver gives back what the start took once, while the first work is under way", () => {
  const { saver, state, pass } = bed();
  pass(10_000);
  assert.deepEqual(state.sparedStart, []);
  state.isBusy = true;
  for (let second = 0; second < 100; second++) {
    saver.noteWork();
    pass(1000);
  }
  assert.deepEqual([state.sparedStart, state.spared], [[10_500], []]);
});
