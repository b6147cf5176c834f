/** Cases about `list` and `stat`. */
import assert from "node:assert/strict";
import { type Entry, sameFingerprint } from "../driver/mod.ts";
import { assertBytes, type Bench, content, fails, MODIFIED_MS } from "./bench.ts";
import { BOTH, type Case } from "./case.ts";
import { ODD_NAMES } from "./fixture.ts";

export const LIST_CASES: readonly Case[] = [
  { name: "list() of an empty root completes without entries", roles: BOTH, run: listsEmptyRoot },
  { name: "list() sends each name exactly once, with what is known of it", roles: BOTH, run: listsOnce },
  { name: "list() of one directory does not descend", roles: BOTH, run: listsOneDirectory },
  { name: "list() reaches a file six directories deep", roles: BOTH, run: listsDeep },
  { name: "list() sends 2,500 names exactly once", roles: BOTH, run: listsMany },
  { name: "list() keeps odd names as they are", roles: BOTH, run: listsOddNames },
  { name: "list() twice says the same", roles: BOTH, run: listsTheSame },
  { name: "list() of a missing directory fails and is never an empty success", roles: BOTH, run: failsForMissing },
  { name: "list() ignores parameters that it does not know", roles: BOTH, run: ignoresUnknown },
  { name: "stat() tells a file, a directory and the root", roles: BOTH, run: stats },
  { name: "stat() of a missing name is not_found", roles: BOTH, run: statsMissing },
];

async function listsEmptyRoot({ client }: Bench): Promise<void> {
  const outcome = await client.list({ directory: "" }, (batch) => assert.deepEqual(batch, []));
  assert.equal(outcome.ignored, 0);
}

async function listsOnce(bench: Bench): Promise<void> {
  await bench.device.put("a.ulg", content(10), MODIFIED_MS);
  await bench.device.put("empty", content(0), MODIFIED_MS);
  await bench.device.put("log/b.ulg", content(20), MODIFIED_MS);
  const entries = await bench.listAll();
  assert.deepEqual(entries.map((entry) => `${entry.kind} ${entry.path}`).sort(), [
    "directory log",
    "file a.ulg",
    "file empty",
    "file log/b.ulg",
  ]);
  assertKnown(bench, entries, "a.ulg", 10);
  assertKnown(bench, entries, "empty", 0);
  assertKnown(bench, entries, "log/b.ulg", 20);
}

function assertKnown(bench: Bench, entries: Entry[], path: string, sizeBytes: number): void {
  const entry = entries.find((entry) => entry.path === path);
  assert.equal(entry?.sizeBytes, sizeBytes, `size of "${path}"`);
  const precisionMs = bench.can.modifiedPrecisionMs;
  if (precisionMs === undefined) return;
  assert.ok(Number.isInteger(entry?.modifiedMs), `time of "${path}": ${entry?.modifiedMs}`);
  assert.ok(
    sameFingerprint({ modifiedMs: MODIFIED_MS }, { modifiedMs: entry?.modifiedMs ?? 0 }, precisionMs),
    `time of "${path}": expected ${MODIFIED_MS} within ${precisionMs} ms, got ${entry?.modifiedMs}`,
  );
}

async function listsOneDirectory({ client, device }: Bench): Promise<void> {
  await device.put("top", content(1));
  await device.put("log/b.ulg", content(1));
  await device.put("log/2026/c.ulg", content(1));
  const names: string[] = [];
  await client.list({ directory: "log" }, (batch) => void names.push(...batch.map((entry) => entry.path)));
  assert.deepEqual(names.sort(), ["log/2026", "log/b.ulg"]);
}

async function listsDeep(bench: Bench): Promise<void> {
  await bench.device.put("1/2/3/4/5/6/deep.ulg", content(3));
  const files = (await bench.listAll()).filter((entry) => entry.kind === "file");
  assert.deepEqual(files.map((entry) => entry.path), ["1/2/3/4/5/6/deep.ulg"]);
  const below = (await bench.listAll("1/2/3")).filter((entry) => entry.kind === "file");
  assert.deepEqual(below.map((entry) => entry.path), ["1/2/3/4/5/6/deep.ulg"]);
}

async function listsMany({ client, device }: Bench): Promise<void> {
  const wanted = Array.from({ length: 2500 }, (_, index) => `many/log_${String(index).padStart(4, "0")}.ulg`);
  for (const name of wanted) await device.put(name, content(1));
  const batches: number[] = [];
  const names: string[] = [];
  await client.list({ directory: "many" }, (batch) => {
    batches.push(batch.length);
    names.push(...batch.map((entry) => entry.path));
  });
  assert.deepEqual(names.sort(), wanted);
  assert.ok(Math.max(...batches) <= 1000, "A batch holds at most 1,000 entries");
}

async function listsOddNames(bench: Bench): Promise<void> {
  const wanted = [...bench.fixture.names ?? ODD_NAMES];
  for (const name of wanted) await bench.device.put(`odd dir/${name}`, content(name.length));
  const entries = (await bench.listAll()).filter((entry) => entry.kind === "file");
  assert.deepEqual(entries.map((entry) => entry.path).sort(), wanted.map((name) => `odd dir/${name}`).sort());
  for (const { path, problem, sizeBytes } of entries) {
    assert.equal(problem, undefined, `problem of "${path}"`);
    assert.equal(sizeBytes, path.length - "odd dir/".length, `size of "${path}"`);
  }
}

async function listsTheSame(bench: Bench): Promise<void> {
  for (let index = 0; index < 20; index++) await bench.device.put(`d${index % 3}/f${index}`, content(index));
  const sorted = async () => (await bench.listAll()).sort((a, b) => a.path < b.path ? -1 : 1);
  assert.deepEqual(await sorted(), await sorted());
}

async function failsForMissing({ client, device }: Bench): Promise<void> {
  await device.put("here", content(1));
  await fails(client.list({ directory: "missing" }, () => {}), "not_found", "unavailable");
  await fails(client.list({ directory: "here/below" }, () => {}), "not_found", "unavailable");
}

async function ignoresUnknown({ client, device }: Bench): Promise<void> {
  await device.put("a", content(1));
  const names: string[] = [];
  const params = { directory: "", someDay: { maybe: [1] } };
  await client.list(params, (batch) => void names.push(...batch.map((entry) => entry.path)));
  assert.deepEqual(names, ["a"]);
}

async function stats(bench: Bench): Promise<void> {
  await bench.device.put("log/with space.ulg", content(77), MODIFIED_MS);
  const file = await bench.client.stat("log/with space.ulg");
  assert.equal(file.kind, "file");
  assertKnown(bench, [file], "log/with space.ulg", 77);
  assert.deepEqual(
    (await bench.listAll("log"))[0],
    file,
    "A listing and stat() must say the same, or each file looks changed",
  );
  assert.equal((await bench.client.stat("log")).kind, "directory");
  assert.equal((await bench.client.stat("")).kind, "directory");
  assertBytes(await bench.device.read("log/with space.ulg"), content(77), "the file");
}

async function statsMissing({ client, device }: Bench): Promise<void> {
  await device.put("a", content(1));
  await fails(client.stat("missing"), "not_found");
  await fails(client.stat("missing/below"), "not_found");
}
