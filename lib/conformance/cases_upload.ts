/** Cases about `upload` and `confirm`: whole or not at all, once, and never over what was not meant. */
import assert from "node:assert/strict";
import {
  type Capabilities,
  conflictPath,
  isTemporary,
  type OnExisting,
  type Progress,
  sameFingerprint,
  temporaryPath,
} from "../driver/mod.ts";
import { assertBytes, type Bench, cancelAt, content, fails, KIB, MODIFIED_MS } from "./bench.ts";
import { type Case, TARGET } from "./case.ts";
import { type Fixture, ODD_NAMES } from "./fixture.ts";

const MODES: readonly OnExisting[] = ["replace", "rename", "fail"];

/** Whether a file can be in the way of another. */
function keepsNames(_can: Capabilities, { nameOf }: Fixture): boolean {
  return nameOf === undefined;
}

export const UPLOAD_CASES: readonly Case[] = [
  ...MODES.flatMap((mode): Case[] => [
    { name: `upload() with "${mode}" onto a free name`, roles: TARGET, run: (bench) => ontoFree(bench, mode) },
    {
      name: `upload() with "${mode}" onto the same bytes`,
      roles: TARGET,
      needs: keepsNames,
      run: (bench) => ontoSame(bench, mode),
    },
    {
      name: `upload() with "${mode}" onto other bytes`,
      roles: TARGET,
      needs: keepsNames,
      run: (bench) => ontoOther(bench, mode),
    },
  ]),
  { name: "upload() takes files of every awkward size", roles: TARGET, run: takesSizes },
  { name: "upload() takes odd names", roles: TARGET, run: takesOddNames },
  { name: 'upload() with "rename" takes the next free name', roles: TARGET, needs: keepsNames, run: takesNextName },
  {
    name: "upload() never shows a part of the file under the final name",
    roles: TARGET,
    needs: (can) => can.rateLimit === true,
    run: showsNoPart,
  },
  {
    name: "upload() that replaces never leaves a moment without a whole file",
    roles: TARGET,
    needs: (can) => can.rateLimit === true && can.atomicReplace === true,
    run: replacesAtomically,
  },
  {
    name: "upload() keeps the modification time",
    roles: TARGET,
    needs: (_can, fixture) => fixture.keepsTime,
    run: keepsTime,
  },
  {
    name: "upload() goes on where a cancelled one stopped",
    roles: TARGET,
    needs: (can) => can.rateLimit === true && can.resumeUpload === true,
    run: resumes,
  },
  {
    name: "remove() takes away what an interrupted upload has left",
    roles: TARGET,
    needs: (can) => can.rateLimit === true && can.remove === true,
    run: givenUp,
  },
  {
    name: "upload() that is refused for good leaves nothing of an interrupted one",
    roles: TARGET,
    needs: (can, fixture) => can.rateLimit === true && keepsNames(can, fixture),
    run: refusedForGood,
  },
  {
    name: "upload() twice leaves one file",
    roles: TARGET,
    needs: (can) => can.repeatable === true,
    run: repeats,
  },
  { name: "upload() refuses paths that leave the root", roles: TARGET, hostile: true, run: refusesEscapes },
  { name: "upload() of a spool file with other bytes than its SHA-256 publishes nothing", roles: TARGET, run: proves },
  {
    name: "upload() keeps to the rate limit and tells growing progress",
    roles: TARGET,
    needs: (can) => can.rateLimit === true,
    run: keepsLimit,
  },
  {
    name: "upload() that may take the spool file publishes its bytes and leaves them alone",
    roles: TARGET,
    needs: (can) => can.takesSpoolFile === true,
    run: takesSpoolFile,
  },
  { name: "upload() runs as many calls at once as callsMax says", roles: TARGET, run: runsInParallel },
  {
    name: "confirm() tells what landed from what did not",
    roles: TARGET,
    needs: (can) => can.confirm === true,
    run: confirms,
  },
  {
    name: "confirm() finds the name that a rename took",
    roles: TARGET,
    needs: (can) => can.confirm === true,
    run: confirmsRenamed,
  },
  {
    name: "confirm() finds older bytes by their SHA-256, though the spool file holds the newer ones",
    roles: TARGET,
    needs: (can) => can.confirm === true,
    run: confirmsOlder,
  },
];

async function assertNothingLeft(bench: Bench, wanted: string[]): Promise<void> {
  const names = wanted.map((path) => bench.fixture.nameOf?.(path) ?? path);
  assert.deepEqual(await bench.device.names(), names.sort(), "Files on the target");
}

async function ontoFree(bench: Bench, mode: OnExisting): Promise<void> {
  const bytes = content(3000);
  const receipt = await bench.upload("new/dir/a.ulg", bytes, mode);
  assert.equal(receipt.path, "new/dir/a.ulg");
  assert.equal(receipt.sizeBytes, 3000);
  assertBytes(await bench.device.read("new/dir/a.ulg"), bytes, "the upload");
  await assertNothingLeft(bench, ["new/dir/a.ulg"]);
}

/** Equal bytes count as delivered. A driver that knows no checksum may not see that they are equal. */
async function ontoSame(bench: Bench, mode: OnExisting): Promise<void> {
  const bytes = content(3000);
  await bench.device.put("a.ulg", bytes);
  const canTell = (bench.can.checksums ?? []).length > 0;
  let path = "a.ulg";
  try {
    ({ path } = await bench.upload("a.ulg", bytes, mode));
  } catch (error) {
    await fails(Promise.reject(error), "rejected");
    assert.ok(!canTell && mode === "fail", "The same bytes count as delivered");
  }
  if (canTell || mode === "replace") assert.equal(path, "a.ulg", "The same bytes keep their name");
  else assert.ok(path === "a.ulg" || path === "a~2.ulg");
  assertBytes(await bench.device.read("a.ulg"), bytes, "what was there");
  await assertNothingLeft(bench, [...new Set(["a.ulg", path])]);
}

async function ontoOther(bench: Bench, mode: OnExisting): Promise<void> {
  const [old, bytes] = [content(500, 7), content(3000)];
  await bench.device.put("dir/a.ulg", old);
  if (mode === "fail") {
    await fails(bench.upload("dir/a.ulg", bytes, mode), "rejected");
    assertBytes(await bench.device.read("dir/a.ulg"), old, "what was there");
    await assertNothingLeft(bench, ["dir/a.ulg"]);
    return;
  }
  const receipt = await bench.upload("dir/a.ulg", bytes, mode);
  const wanted = mode === "replace" ? "dir/a.ulg" : "dir/a~2.ulg";
  assert.equal(receipt.path, wanted);
  assertBytes(await bench.device.read(wanted), bytes, "the upload");
  if (mode === "rename") assertBytes(await bench.device.read("dir/a.ulg"), old, "what was there");
  await assertNothingLeft(bench, mode === "replace" ? [wanted] : ["dir/a.ulg", wanted]);
}

async function takesSizes(bench: Bench): Promise<void> {
  for (const size of [0, 1, 64 * KIB, 1024 * KIB + 7]) {
    await bench.upload(`size ${size}`, content(size, size));
    assertBytes(await bench.device.read(`size ${size}`), content(size, size), `${size} bytes`);
  }
}

async function takesSpoolFile(bench: Bench): Promise<void> {
  const sizes = [0, 3000, 1024 * KIB + 7];
  for (const [index, size] of sizes.entries()) {
    const bytes = content(size, size);
    const params = await bench.uploadParams(`dir/size ${size}`, bytes, { mayTake: true });
    // The host's own name of it.
    const own = `${params.spoolFile}.own`;
    await Deno.link(params.spoolFile, own);
    await bench.client.upload(params);
    assertBytes(await Deno.readFile(own), bytes, "the spool file");
    assertBytes(await bench.device.read(`dir/size ${size}`), bytes, "the upload");
    await assertNothingLeft(bench, sizes.slice(0, index + 1).map((size) => `dir/size ${size}`));
    assert.notEqual(await bench.client.confirm(params), null, "it is found");
  }
}

async function takesOddNames(bench: Bench): Promise<void> {
  const names = bench.fixture.names ?? ODD_NAMES;
  for (const name of names) {
    const { path } = await bench.upload(`odd dir/${name}`, content(50, name.length));
    assert.equal(path, `odd dir/${name}`);
    assertBytes(await bench.device.read(path), content(50, name.length), `"${name}"`);
  }
  await assertNothingLeft(bench, names.map((name) => `odd dir/${name}`));
}

async function takesNextName(bench: Bench): Promise<void> {
  const longest = `${"n".repeat(251)}.ulg`;
  for (const name of ["a.ulg", "noext", longest]) {
    await bench.device.put(name, content(10, 7));
    await bench.device.put(conflictPath(name, 2), content(11, 8));
    assert.equal((await bench.upload(name, content(300))).path, conflictPath(name, 3));
    assertBytes(await bench.device.read(conflictPath(name, 3)), content(300), "the upload");
    assertBytes(await bench.device.read(conflictPath(name, 2)), content(11, 8), "the second");
  }
}

async function showsNoPart(bench: Bench): Promise<void> {
  const bytes = content(512 * KIB);
  const looks: Promise<string[]>[] = [];
  const params = await bench.uploadParams("dir/log.ulg", bytes, { maxBytesPerSecond: 256 * KIB });
  await bench.client.upload(params, {
    onProgress: ({ doneBytes }) => {
      if (doneBytes < bytes.length / 2) looks.push(bench.device.names());
    },
  });
  assert.ok(looks.length > 0, "No progress was told");
  for (const names of await Promise.all(looks)) {
    assert.deepEqual(names.filter((name) => !isTemporary(name)), [], "Names while the upload runs");
  }
  assertBytes(await bench.device.read("dir/log.ulg"), bytes, "the upload");
  await assertNothingLeft(bench, ["dir/log.ulg"]);
}

async function replacesAtomically(bench: Bench): Promise<void> {
  const [old, bytes] = [content(1000, 7), content(512 * KIB)];
  await bench.device.put("log.ulg", old);
  const looks: Promise<Uint8Array | undefined>[] = [];
  const over = { maxBytesPerSecond: 256 * KIB, onExisting: "replace" as const };
  await bench.client.upload(await bench.uploadParams("log.ulg", bytes, over), {
    onProgress: () => void looks.push(bench.device.read("log.ulg")),
  });
  assert.ok(looks.length > 0, "No progress was told");
  for (const seen of await Promise.all(looks)) {
    assertBytes(seen, seen?.length === old.length ? old : bytes, "the file while it is replaced");
  }
  assertBytes(await bench.device.read("log.ulg"), bytes, "the upload");
}

async function keepsTime(bench: Bench): Promise<void> {
  await bench.upload("log.ulg", content(100));
  const { modifiedMs } = await bench.client.stat("log.ulg");
  const precisionMs = bench.can.modifiedPrecisionMs ?? 1;
  assert.ok(
    modifiedMs !== undefined && sameFingerprint({ modifiedMs }, { modifiedMs: MODIFIED_MS }, precisionMs),
    `Expected ${MODIFIED_MS} within ${precisionMs} ms: ${modifiedMs}`,
  );
}

async function resumes(bench: Bench): Promise<void> {
  const bytes = content(1024 * KIB);
  const params = await bench.uploadParams("dir/log.ulg", bytes);
  const { options, lastBytes } = cancelAt(384 * KIB);
  let state: unknown;
  const onProgress = (progress: Progress) => {
    if (progress.resume !== undefined) state = progress.resume;
    options.onProgress?.(progress);
  };
  // Slow enough that the cancelling arrives long before the end.
  const limited = { ...params, maxBytesPerSecond: 512 * KIB };
  const cancelled = bench.client.upload(limited, { ...options, onProgress });
  const error = await fails(cancelled, "cancelled");
  state = error.details.resume ?? state;
  for (const name of await bench.device.names()) assert.ok(isTemporary(name), `"${name}" after the cancelling`);
  const reports: number[] = [];
  // So slow that one who starts again cannot have come far at the first report.
  const again = { ...params, maxBytesPerSecond: 256 * KIB, ...(state === undefined ? {} : { resume: state }) };
  const receipt = await bench.client.upload(again, { onProgress: ({ doneBytes }) => void reports.push(doneBytes) });
  assert.equal(receipt.path, "dir/log.ulg");
  assert.ok((reports[0] ?? 0) >= lastBytes() / 2, `Started again from ${reports[0]}, had reached ${lastBytes()}`);
  assertBytes(await bench.device.read("dir/log.ulg"), bytes, "the upload");
  await assertNothingLeft(bench, ["dir/log.ulg"]);
}

async function refusedForGood(bench: Bench): Promise<void> {
  const params = await bench.uploadParams("dir/log.ulg", content(1024 * KIB), { onExisting: "fail" });
  await fails(
    bench.client.upload({ ...params, maxBytesPerSecond: 512 * KIB }, cancelAt(384 * KIB).options),
    "cancelled",
  );
  // Somebody was faster: nobody will ever go on with what is there of ours.
  await bench.device.put("dir/log.ulg", content(100, 7));
  await fails(bench.client.upload(params), "rejected");
  await assertNothingLeft(bench, ["dir/log.ulg"]);
  assertBytes(await bench.device.read("dir/log.ulg"), content(100, 7), "the other file");
}

async function givenUp(bench: Bench): Promise<void> {
  const params = await bench.uploadParams("dir/log.ulg", content(1024 * KIB));
  await fails(
    bench.client.upload({ ...params, maxBytesPerSecond: 512 * KIB }, cancelAt(384 * KIB).options),
    "cancelled",
  );
  const path = await temporaryPath(params.path, params.sha256);
  await bench.client.remove({ path, expect: {} });
  await assertNothingLeft(bench, []);
  await bench.client.remove({ path, expect: {} });
}

async function repeats(bench: Bench): Promise<void> {
  for (const onExisting of MODES) {
    const params = await bench.uploadParams(`${onExisting}.ulg`, content(3000), { onExisting });
    assert.equal((await bench.client.upload(params)).path, params.path);
    assert.equal((await bench.client.upload(params)).path, params.path);
  }
  await assertNothingLeft(bench, MODES.map((mode) => `${mode}.ulg`));
}

async function refusesEscapes(bench: Bench): Promise<void> {
  await bench.upload("kept.ulg", content(10));
  for (const path of ["../x", "a/../../x", "/tmp/x", "x\0", "x\r\nDELE kept.ulg", "..", "a//b", ""]) {
    await fails(bench.upload(path, content(20), "replace"));
  }
  await assertNothingLeft(bench, ["kept.ulg"]);
}

async function proves(bench: Bench): Promise<void> {
  const params = await bench.uploadParams("log.ulg", content(3000));
  await Deno.writeFile(params.spoolFile, content(3000, 5));
  try {
    const receipt = await bench.client.upload(params);
    assert.notEqual(receipt.verified, "checksum", "A receipt must not claim what is not so");
  } catch (error) {
    await fails(Promise.reject(error), "corrupt", "failed");
    await assertNothingLeft(bench, []);
  }
}

async function keepsLimit(bench: Bench): Promise<void> {
  const reports: number[] = [];
  const params = await bench.uploadParams("log", content(512 * KIB), { maxBytesPerSecond: 256 * KIB });
  const startedMs = performance.now();
  await bench.client.upload(params, { onProgress: ({ doneBytes }) => void reports.push(doneBytes) });
  // 512 KiB at 256 KiB/s take 2 s; a quarter of a second may come as a burst.
  assert.ok(performance.now() - startedMs > 1000, "The limit was not kept");
  assert.ok(reports.length >= 2, `${reports.length} progress reports in 2 s`);
  assert.deepEqual(reports, [...reports].sort((a, b) => a - b), "Progress never goes back");
  assert.ok(reports.every((doneBytes) => doneBytes <= 512 * KIB), "Progress is never more than the file");
}

async function runsInParallel(bench: Bench): Promise<void> {
  const calls = Math.min(bench.can.callsMax ?? 1, 16);
  const names = Array.from({ length: calls * 3 }, (_, index) => `d${index % 4}/e${index % 3}/log ${index}`);
  const waiting = [...names.entries()];
  const worker = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      await bench.upload(next[1], content(100_000, next[0]));
    }
  };
  await Promise.all(Array.from({ length: calls }, worker));
  for (const [index, name] of names.entries()) {
    assertBytes(await bench.device.read(name), content(100_000, index), name);
  }
  await assertNothingLeft(bench, names);
}

async function confirms(bench: Bench): Promise<void> {
  const bytes = content(3000);
  const params = await bench.uploadParams("dir/log.ulg", bytes, { onExisting: "fail" });
  assert.equal(await bench.client.confirm(params), null, "before the upload");
  await bench.client.upload(params);
  const receipt = await bench.client.confirm(params);
  assert.equal(receipt?.path, "dir/log.ulg", "after the upload");
  assert.equal(receipt?.sizeBytes, 3000);
  await bench.device.put("dir/log.ulg", content(500, 7));
  assert.equal(await bench.client.confirm(params), null, "other bytes under the name");
  assertBytes(await bench.device.read("dir/log.ulg"), content(500, 7), "what confirm() looked at");
}

/** So a newer generation learns whether it may replace the older one. */
async function confirmsOlder(bench: Bench): Promise<void> {
  const older = await bench.uploadParams("log.ulg", content(3000), { onExisting: "fail" });
  await bench.client.upload(older);
  const newer = await bench.spool(content(3000, 9));
  const receipt = await bench.client.confirm({ ...older, spoolFile: newer });
  assert.equal(receipt?.path, "log.ulg", "what the target holds is what sha256 says");
}

async function confirmsRenamed(bench: Bench): Promise<void> {
  await bench.device.put("log.ulg", content(500, 7));
  const params = await bench.uploadParams("log.ulg", content(3000), { onExisting: "rename" });
  assert.equal(await bench.client.confirm(params), null, "before the upload");
  assert.equal((await bench.client.upload(params)).path, "log~2.ulg");
  assert.equal((await bench.client.confirm(params))?.path, "log~2.ulg", "after the upload");
}
