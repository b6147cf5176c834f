/** A limit is used whole: what a limiter gives is no less than what it may, whoever comes and goes. On a clock of its own. */
import assert from "node:assert/strict";
import { SharedLimit } from "../driver/mod.ts";
import { type LimiterTime, RateLimiter } from "./rate_limiter.ts";

/** Time that moves to the next wake-up as soon as everybody waits. */
class StepTime implements LimiterTime {
  #nowMs = 0;
  readonly #sleepers: { atMs: number; wake: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  /** As the system's timers do: a millisecond at least. */
  pause(ms: number): Promise<void> {
    return new Promise((wake) => this.#sleepers.push({ atMs: this.#nowMs + Math.max(1, ms), wake }));
  }

  /** Moves on until `work` is done. */
  async until(work: Promise<unknown>): Promise<void> {
    let isDone = false;
    work.finally(() => isDone = true);
    for (;;) {
      // All that can run now runs.
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (isDone) return;
      this.#sleepers.sort((a, b) => a.atMs - b.atMs);
      const next = this.#sleepers.shift();
      assert.ok(next !== undefined, "nobody waits, and nothing is done");
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.wake();
    }
  }
}

const LIMIT = 300_000;
const CHUNK_BYTES = 64 * 1024;

/** Moves `files` by `movers` at once under one limit; returns milliseconds. */
async function moved(files: readonly number[], movers: number): Promise<number> {
  const time = new StepTime();
  const limit = new SharedLimit(LIMIT);
  const queue = [...files];
  const mover = async () => {
    for (let left = queue.shift(); left !== undefined; left = queue.shift()) {
      const share = limit.join();
      const limiter = new RateLimiter(share.bytesPerSecond, time);
      share.onChange = (bytesPerSecond) => limiter.setLimit(bytesPerSecond);
      for (; left > 0; left -= CHUNK_BYTES) await limiter.take(Math.min(left, CHUNK_BYTES));
      share.leave();
    }
  };
  await time.until(Promise.all(Array.from({ length: movers }, mover)));
  return time.nowMs();
}

for (
  const [words, files] of [
    ["large files", Array.from({ length: 10 }, () => 300_000)],
    ["many small files", Array.from({ length: 400 }, () => 9_000)],
    ["files of every size", Array.from({ length: 60 }, (_, n) => 1 + (n * 7919) % 120_000)],
  ] as const
) {
  for (const movers of [1, 4, 32]) {
    Deno.test(`${words} by ${movers} calls at once take as long as their shared limit asks for, and no longer`, async () => {
      const wantedMs = files.reduce((sum, bytes) => sum + bytes) / LIMIT * 1000;
      const tookMs = await moved(files, movers);
      assert.ok(tookMs > wantedMs * 0.95, `${tookMs} ms: the limit allows no less than ${wantedMs}`);
      assert.ok(tookMs < wantedMs * 1.05, `${tookMs} ms: the limit allows ${wantedMs}`);
    });
  }
}
