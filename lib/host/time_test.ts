/** What decides by time, on a clock that tests move: coalescer, watchdog, log gate. */
import assert from "node:assert/strict";
import type { Clock } from "./clock.ts";
import { Coalescer } from "./coalescer.ts";
import { LogGate, StderrLog } from "./line_log.ts";
import { Watchdog } from "./watchdog.ts";
import { tidy } from "./words.ts";

class FakeClock implements Clock {
  now = 0;
  readonly #timers = new Map<number, { atMs: number; run: () => void }>();
  #nextId = 0;

  get timers(): number {
    return this.#timers.size;
  }

  nowMs(): number {
    return this.now;
  }

  after(ms: number, run: () => void): () => void {
    const id = this.#nextId++;
    this.#timers.set(id, { atMs: this.now + ms, run });
    return () => void this.#timers.delete(id);
  }

  advance(ms: number): void {
    const untilMs = this.now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { atMs }]) => atMs <= untilMs).sort((a, b) => a[1].atMs - b[1].atMs)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.now = due[1].atMs;
      due[1].run();
    }
    this.now = untilMs;
  }
}

Deno.test("Coalescer lets the first through at once and merges what follows", () => {
  const clock = new FakeClock();
  const seen: object[] = [];
  const coalescer = new Coalescer<Record<string, number>>((news) => seen.push(news), clock, 100);
  coalescer.push({ a: 1 });
  assert.deepEqual(seen, [{ a: 1 }]);
  coalescer.push({ a: 2, b: 1 });
  coalescer.push({ a: 3 });
  clock.advance(99);
  assert.equal(seen.length, 1);
  clock.advance(1);
  assert.deepEqual(seen[1], { a: 3, b: 1 });
  clock.advance(1000);
  assert.deepEqual([seen.length, clock.timers], [2, 0]);
});

Deno.test("Coalescer.flush() delivers what waits and leaves no timer", () => {
  const clock = new FakeClock();
  const seen: object[] = [];
  const coalescer = new Coalescer<Record<string, number>>((news) => seen.push(news), clock);
  coalescer.push({ a: 1 });
  coalescer.push({ a: 2 });
  coalescer.flush();
  coalescer.flush();
  assert.deepEqual([seen, clock.timers], [[{ a: 1 }, { a: 2 }], 0]);
});

function watch(limitMs: number, signs: boolean[] = []): { clock: FakeClock; dog: Watchdog; stalls: number[] } {
  const clock = new FakeClock();
  const stalls: number[] = [];
  const dog = new Watchdog({
    clock,
    limitMs,
    hasSignOfLife: () => signs.shift() ?? false,
    onStall: () => stalls.push(clock.now),
  });
  return { clock, dog, stalls };
}

Deno.test("Watchdog fires once after the limit, and not while it is touched", () => {
  const { clock, dog, stalls } = watch(60_000);
  for (let minute = 0; minute < 10; minute++) {
    clock.advance(59_999);
    dog.touch();
  }
  assert.deepEqual([stalls, clock.timers], [[], 1]);
  clock.advance(59_999);
  assert.deepEqual(stalls, []);
  clock.advance(1_000_000);
  assert.deepEqual([stalls, clock.timers], [[9 * 59_999 + 59_999 + 60_000], 0]);
});

Deno.test("Watchdog looks for a sign of life only when it is about to fire", () => {
  const { clock, stalls } = watch(60_000, [true, true]);
  clock.advance(10_000_000);
  assert.deepEqual(stalls, [180_000]);
});

Deno.test("Watchdog has the patience that is asked for, at most 30 minutes, until the next sign", () => {
  const asked = watch(60_000);
  asked.dog.touch(10 * 60_000);
  asked.clock.advance(10_000_000);
  assert.deepEqual(asked.stalls, [600_000]);
  const greedy = watch(60_000);
  greedy.dog.touch(1e12);
  greedy.clock.advance(10_000_000);
  assert.deepEqual(greedy.stalls, [1_800_000]);
  const less = watch(60_000);
  less.dog.touch(5);
  less.clock.advance(10_000_000);
  assert.deepEqual(less.stalls, [60_000]);
});

Deno.test("Watchdog.stop() leaves no timer", () => {
  const { clock, dog } = watch(60_000);
  dog.stop();
  assert.equal(clock.timers, 0);
});

const encoder = new TextEncoder();

function stderr(): { clock: FakeClock; lines: string[]; gate: LogGate; log: StderrLog } {
  const clock = new FakeClock();
  const lines: string[] = [];
  const gate = new LogGate((_level, message) => lines.push(message), clock);
  return { clock, lines, gate, log: new StderrLog(gate, tidy) };
}

Deno.test("StderrLog logs lines, cut at any byte, and the last one without a newline", () => {
  const bytes = encoder.encode("one\n\n  two €\r\nthree");
  for (let at = 0; at <= bytes.length; at++) {
    const { lines, log } = stderr();
    log.push(bytes.subarray(0, at));
    log.push(bytes.subarray(at));
    assert.equal(log.lastWords, "two €");
    log.end();
    assert.deepEqual(lines, ["one", "two €", "three"]);
    assert.equal(log.lastWords, "three");
  }
});

Deno.test("StderrLog keeps 4 KiB of a line, however long it is", () => {
  const { lines, log } = stderr();
  for (let at = 0; at < 100; at++) log.push(encoder.encode("x".repeat(1000)));
  log.push(encoder.encode("\nnext\n"));
  assert.deepEqual(lines.map((line) => line.length), [4096, 4]);
});

Deno.test("LogGate lets a burst of 200 and then 50 a second through, and tells how many did not", () => {
  const { clock, lines, gate, log } = stderr();
  log.push(encoder.encode(Array.from({ length: 1000 }, (_, at) => `line ${at}\n`).join("")));
  assert.equal(lines.length, 200);
  assert.equal(log.lastWords, "line 999");
  clock.advance(1000);
  for (let at = 0; at < 100; at++) gate.write("info", `later ${at}`);
  assert.equal(lines[200], "800 lines suppressed: at most 50 a second are logged");
  assert.deepEqual([lines[201], lines.at(-1), lines.length], ["later 0", "later 49", 251]);
  gate.tellSuppressed();
  assert.match(lines.at(-1) ?? "", /^50 lines suppressed/);
});
