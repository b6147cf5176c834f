// Goal: what judges a run catches a mover that does wrong in each way there is. Method: be that mover, for an instant.
import assert from "node:assert/strict";
import { appendFileSync, copyFileSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { addOutcome, emptyOutcome, type Outcome, problemsOf } from "./scenario.ts";
import { Verifier } from "./verifier.ts";
import { Watcher } from "./watcher.ts";

async function watched(move: (source: string, target: string) => Promise<void> | void): Promise<string[]> {
  const dir = await Deno.makeTempDir();
  try {
    const source = join(dir, "source");
    const target = join(dir, "target");
    for (const path of [source, target]) mkdirSync(path);
    writeFileSync(join(source, "one.bin"), crypto.getRandomValues(new Uint8Array(50_000)));
    const watcher = new Watcher(target, new Verifier(source).expected);
    await move(source, target);
    await watcher.stop();
    return [...watcher.seen];
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("Watcher sees nothing wrong with a file that is gathered under a temporary name and renamed", async () => {
  const seen = await watched(async (source, target) => {
    const temporary = join(target, "filesync-0123456789abcdef.part");
    const bytes = Deno.readFileSync(join(source, "one.bin"));
    for (let at = 0; at < bytes.length; at += 10_000) {
      appendFileSync(temporary, bytes.subarray(at, at + 10_000));
      await pause(20);
    }
    renameSync(temporary, join(target, "one.bin"));
    await pause(150);
  });
  assert.deepEqual(seen, []);
});

Deno.test("Watcher catches a mover that writes under the final name, though the file is whole in the end", async () => {
  const seen = await watched(async (source, target) => {
    const bytes = Deno.readFileSync(join(source, "one.bin"));
    writeFileSync(join(target, "one.bin"), bytes.subarray(0, 20_000));
    await pause(50);
    copyFileSync(join(source, "one.bin"), join(target, "one.bin"));
  });
  assert.deepEqual(seen, ["one.bin: 20000 of 50000 bytes"]);
});

Deno.test("Watcher catches a whole size with other bytes", async () => {
  const seen = await watched(async (source, target) => {
    const temporary = join(target, "x");
    writeFileSync(temporary, new Uint8Array(50_000));
    renameSync(temporary, join(target, "one.bin"));
    await pause(150);
    copyFileSync(join(source, "one.bin"), temporary);
    renameSync(temporary, join(target, "one.bin"));
  });
  assert.deepEqual(seen, ["one.bin: other bytes"]);
});

Deno.test("problemsOf() fails an outcome for each single count, for a missing fault, and for bytes over the limit", () => {
  const passing: Outcome = { ...emptyOutcome(), runs: 1, resentBytes: 10, resentLimitBytes: 10 };
  assert.deepEqual(problemsOf(passing), []);
  const counts = [
    "lost",
    "corrupt",
    "duplicated",
    "halfUnderFinalName",
    "leftovers",
    "humanActions",
    "unhealthy",
  ] as const;
  for (const key of counts) {
    assert.equal(problemsOf({ ...passing, [key]: 1 }).length, 1, key);
    const sum = { ...passing };
    addOutcome(sum, { ...emptyOutcome(), [key]: 2 });
    assert.equal(sum[key], 2, `${key} is added`);
  }
  assert.deepEqual(problemsOf({ ...passing, runs: 0 }), ["no fault happened"]);
  assert.deepEqual(problemsOf({ ...passing, resentBytes: 11 }), ["11 bytes sent again: at most 10"]);
});

Deno.test("addOutcome() keeps the run that came closest to its limit", () => {
  const sum = emptyOutcome();
  for (const [resentBytes, resentLimitBytes] of [[1, 10], [50, 100], [60, 1000]] as const) {
    addOutcome(sum, { ...emptyOutcome(), runs: 1, resentBytes, resentLimitBytes });
  }
  assert.deepEqual([sum.runs, sum.resentBytes, sum.resentLimitBytes], [3, 50, 100]);
});
