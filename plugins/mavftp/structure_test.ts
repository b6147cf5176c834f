import assert from "node:assert/strict";
import { allBytes, dataflash, ulog } from "../../tests/support/autopilot/mod.ts";
import { StructureCheck, type StructureFinding } from "./structure.ts";

/** The verdict on `bytes` that come in pieces of `step`. */
function verdict(bytes: Uint8Array, step: number, name = "a.ulg"): StructureFinding | undefined {
  const check = new StructureCheck(name);
  for (let at = 0; at < bytes.length; at += step) check.push(bytes.subarray(at, at + step));
  return check.finish();
}

const LOGS = [["ULog", allBytes(ulog(5000))], ["DataFlash", allBytes(dataflash(5000))]] as const;
/** Where something may be split: in a head, between two messages, in a body. */
const STEPS = [1, 2, 3, 17, 239, 4096, 100_000];

Deno.test("StructureCheck finds nothing wrong with a whole log, wherever its bytes are split", () => {
  for (const [format, whole] of LOGS) for (const step of STEPS) assert.deepEqual(verdict(whole, step), { format });
});

Deno.test("StructureCheck tells every log that ends in the middle of a message, and none that ends between two", () => {
  for (const [format, whole] of LOGS) {
    // Of each end, whether a message ends there: found by the only other way, which is to look at all of them.
    let ends = 0;
    let middles = 0;
    for (let length = 2000; length < 2600; length++) {
      const found = verdict(whole.subarray(0, length), 239);
      assert.deepEqual(verdict(whole.subarray(0, length), 7), found, `${format} of ${length} bytes`);
      if (found?.problem === undefined) ends++;
      else {
        assert.equal(found.problem, "it ends in the middle of a message");
        middles++;
      }
    }
    // Messages of both samples are some 40 bytes long.
    assert.ok(ends >= 10 && ends <= 20, `${format}: ${ends} whole, ${middles} cut`);
  }
});

Deno.test("StructureCheck tells a log that ends in its header, and what is none although its name says so", () => {
  for (const [length, problem] of [[0, "it is empty"], [6, "it ends in the middle of its header"]] as const) {
    assert.deepEqual(verdict(LOGS[0][1].subarray(0, length), 2), { format: "ULog", problem });
  }
  const other = new Uint8Array(5000).fill(7);
  const problem = "it does not begin like one";
  for (const step of STEPS) {
    assert.deepEqual(verdict(other, step, "log/2026-11-21/09_14_07.ulg"), { format: "ULog", problem });
    assert.deepEqual(verdict(other, step, "/APM/LOGS/00000012.BIN"), { format: "DataFlash", problem });
  }
});

Deno.test("StructureCheck tells where a log is damaged, once, and passes by what follows", () => {
  for (const [format, whole] of LOGS) {
    for (const step of STEPS) {
      const bytes = whole.slice();
      bytes.fill(0, 3000, 3200);
      const { problem } = verdict(bytes, step)!;
      const at = Number(/^byte (\d+) begins no (ULog|DataFlash) message$/.exec(problem ?? "")?.[1]);
      assert.ok(at >= 3000 && at < 3200, `${format} in steps of ${step}: ${problem}`);
    }
  }
});

Deno.test("StructureCheck says nothing of a file that is no log, however short or long", () => {
  for (const length of [0, 1, 15, 16, 100, 5000]) {
    for (const name of ["a.txt", "crash_dump.bin", "ulg"]) {
      for (const step of STEPS) assert.equal(verdict(new Uint8Array(length).fill(7), step, name), undefined);
    }
  }
});
