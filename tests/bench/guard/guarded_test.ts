import assert from "node:assert/strict";
import { GUARDED, peerName, workloadOf } from "./guarded.ts";
import { readRecord, RECORD, writeRecord } from "./record.ts";

const MAIN = new URL("./main.ts", import.meta.url).pathname;

Deno.test("each guarded workload is one of the bench, and what is recorded is of one, beside the same peer", () => {
  for (const { name } of GUARDED) assert.equal(workloadOf(name).name, name);
  for (const [name, { peer }] of Object.entries(readRecord().workloads)) {
    const guarded = GUARDED.find((candidate) => candidate.name === name);
    assert.ok(guarded !== undefined, `"${name}" is recorded and not guarded`);
    assert.ok(peer.startsWith(peerName(guarded)), `"${name}" is recorded beside ${peer}`);
  }
  assert.throws(() => workloadOf("nothing"), /"nothing" is not one of deno task bench/);
});

Deno.test("writeRecord() changes what was measured, and leaves the rest", () => {
  const path = Deno.makeTempFileSync({ prefix: "filesync-guard-", suffix: ".json" });
  try {
    Deno.copyFileSync(RECORD, path);
    const before = readRecord(path);
    const ratio = { low: 1.23456, median: 2, high: 3 };
    const ratios = { peer: "cp", rounds: 3, wall: ratio, cpu: ratio };
    writeRecord("there", { known: ratios }, path);
    writeRecord("here", { "small-local": { ...ratios, rounds: 5 } }, path);
    const { machine, workloads } = readRecord(path);
    assert.equal(machine, "here");
    const rounded = { low: 1.23, median: 2, high: 3 };
    const known = { peer: "cp", rounds: 3, wall: rounded, cpu: rounded };
    assert.deepEqual(workloads, { ...before.workloads, known, "small-local": { ...known, rounds: 5 } });
    Deno.writeTextFileSync(path, '{"machine": "here", "workloads": {"small-local": {"wall": 2}}}');
    assert.throws(() => readRecord(path), /peer/);
  } finally {
    Deno.removeSync(path);
  }
});

for (
  const [args, code, words] of [
    [["--help"], 0, /^Usage: deno task bench:guard/],
    [["nothing"], 2, /^Workload "nothing" is not guarded\n\nUsage:/],
    [["--rounds", "0"], 2, /^Expected --rounds of at least 1, got 0/],
    [["--tolerance", "x"], 2, /^Expected --tolerance of at least 0, got x/],
  ] as const
) {
  Deno.test(`bench:guard ${args.join(" ")} ends with ${code} and says how it is used`, async () => {
    const run = new Deno.Command(Deno.execPath(), { args: ["run", "-A", "--no-prompt", "--quiet", MAIN, ...args] });
    const { code: ended, stdout, stderr } = await run.output();
    assert.equal(ended, code);
    assert.match(new TextDecoder().decode(code === 0 ? stdout : stderr), words);
  });
}
