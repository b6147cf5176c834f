import assert from "node:assert/strict";
import { FileLines } from "./file_lines.ts";

/** Timers that run when time is moved by hand. */
class HandTimers {
  nowMs = 0;
  readonly #waiting = new Map<number, { atMs: number; action: () => void }>();
  #last = 0;

  set(action: () => void, ms: number): number {
    this.#waiting.set(++this.#last, { atMs: this.nowMs + ms, action });
    return this.#last;
  }

  clear(timer: unknown): void {
    this.#waiting.delete(timer as number);
  }

  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const [next] = [...this.#waiting].sort(([, a], [, b]) => a.atMs - b.atMs);
      if (next === undefined || next[1].atMs > endMs) break;
      this.nowMs = next[1].atMs;
      this.#waiting.delete(next[0]);
      next[1].action();
    }
    this.nowMs = endMs;
  }

  get count(): number {
    return this.#waiting.size;
  }
}

const HOUR_MS = 3600_000;

function bed(): { lines: string[]; timers: HandTimers; told: FileLines } {
  const lines: string[] = [];
  const timers = new HandTimers();
  return {
    lines,
    timers,
    told: new FileLines((level, scope, text) => lines.push(`${level} ${scope}: ${text}`), timers),
  };
}

Deno.test("FileLines names the first of 10,000 files that one reason stops, and counts the rest", () => {
  const { lines, timers, told } = bed();
  for (let n = 0; n < 10_000; n++) {
    const path = `2026/log_${n}.ulg`;
    told.tell("warning", "logs", `Parked "${path}": 553 log_${n}.ulg: name not allowed (${n} bytes)`, path);
  }
  assert.deepEqual(
    lines,
    [0, 1, 2, 3, 4].map((n) =>
      `warning logs: Parked "2026/log_${n}.ulg": 553 log_${n}.ulg: name not allowed (${n} bytes)`
    ),
  );
  timers.pass(60_000);
  assert.deepEqual(lines.slice(5), [
    'warning logs: Parked "2026/log_9999.ulg": 553 log_9999.ulg: name not allowed (9999 bytes) ' +
    "(and 9994 more like it; filesync status counts all)",
  ]);
  timers.pass(HOUR_MS);
  assert.deepEqual([lines.length, timers.count], [6, 0], "a kind that is over is forgotten");
});

Deno.test("FileLines tells of files that fail all day in a handful of lines, and of the last one always", () => {
  const { lines, timers, told } = bed();
  for (let minute = 0; minute < 24 * 60; minute++) {
    for (let n = 0; n < 20; n++) told.tell("info", "logs", `Cannot download "${n}": 451 no`, String(n));
    timers.pass(60_000);
  }
  told.end();
  assert.ok(lines.length < 40, `${lines.length} lines`);
  const counted = lines.map((line) => Number(/and (\d+) more/.exec(line)?.[1] ?? 0) + 1);
  assert.equal(counted.reduce((sum, one) => sum + one, 0), 24 * 60 * 20, "each is in some line");
});

Deno.test("FileLines tells reasons, jobs and levels apart: a new reason is never hidden behind an old one", () => {
  const { lines, told } = bed();
  for (let n = 0; n < 100; n++) told.tell("warning", "logs", `Parked "${n}.bin": too large`, `${n}.bin`);
  told.tell("warning", "logs", 'Parked "x.bin": 530 denied', "x.bin");
  told.tell("warning", "photos", 'Parked "x.bin": too large', "x.bin");
  told.tell("info", "logs", 'Parked "x.bin": too large', "x.bin");
  assert.deepEqual(lines.slice(5), [
    'warning logs: Parked "x.bin": 530 denied',
    'warning photos: Parked "x.bin": too large',
    'info logs: Parked "x.bin": too large',
  ]);
  told.end();
  assert.deepEqual(lines.slice(8), [
    'warning logs: Parked "99.bin": too large (and 94 more like it; filesync status counts all)',
  ]);
});

Deno.test("FileLines bounds reasons that are another one for each file, too", () => {
  const { lines, timers, told } = bed();
  const letters = (n: number) => String(n).replace(/\d/g, (digit) => "abcdefghij"[Number(digit)]!);
  for (let n = 0; n < 10_000; n++) told.tell("warning", "logs", `Parked "f${n}": ${letters(n)}`, `f${n}`);
  assert.ok(lines.length <= 64 + 5, `${lines.length} lines`);
  timers.pass(2 * HOUR_MS);
  assert.ok(lines.length <= 64 + 6, `${lines.length} lines`);
  assert.match(lines.at(-1)!, /and 9\d{3} more like it/);
});
