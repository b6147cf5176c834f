/** Cases about `download`: the spool file holds a true prefix at every instant, and never two versions in one. */
import assert from "node:assert/strict";
import { fingerprintOf } from "../driver/mod.ts";
import { assertBytes, assertPrefix, type Bench, cancelAt, content, fails, KIB, MODIFIED_MS } from "./bench.ts";
import { type Case, SOURCE } from "./case.ts";
import { ODD_NAMES } from "./fixture.ts";

export const DOWNLOAD_CASES: readonly Case[] = [
  { name: "download() fetches files of every awkward size", roles: SOURCE, run: fetchesSizes },
  { name: "download() fetches odd names", roles: SOURCE, run: fetchesOddNames },
  {
    name: "download() that is cancelled leaves a true prefix, and is resumed from it",
    roles: SOURCE,
    needs: (can) => can.rateLimit === true && can.resumeDownload === true,
    run: cancelsAndResumes,
  },
  {
    name: "download() resumes from any offset",
    roles: SOURCE,
    needs: (can) => can.resumeDownload === true,
    run: resumesAnywhere,
  },
  {
    name: "download() cuts off what lies beyond the offset",
    roles: SOURCE,
    needs: (can) => can.resumeDownload === true,
    run: cutsBeyondOffset,
  },
  {
    name: "download() never glues a file to the prefix of another",
    roles: SOURCE,
    needs: (can) => can.resumeDownload === true,
    run: neverGlues,
  },
  { name: "download() of a file that is not the expected one is changed", roles: SOURCE, run: refusesOther },
  { name: "download() of a file that vanished is not_found", roles: SOURCE, run: missesVanished },
  {
    name: "download() of a file that is rewritten meanwhile never succeeds with a mixture",
    roles: SOURCE,
    needs: (can) => can.rateLimit === true,
    run: noticesRewriting,
  },
  { name: "download() refuses paths that leave the root", roles: SOURCE, hostile: true, run: refusesEscapes },
  {
    name: "download() keeps to the rate limit and tells growing progress",
    roles: SOURCE,
    needs: (can) => can.rateLimit === true,
    run: keepsLimit,
  },
  { name: "download() runs as many calls at once as callsMax says", roles: SOURCE, run: runsInParallel },
  { name: "download() ignores parameters that it does not know", roles: SOURCE, run: ignoresUnknown },
];

async function fetchesSizes(bench: Bench): Promise<void> {
  for (const size of [0, 1, 64 * KIB, 1024 * KIB + 7]) {
    await bench.device.put(`size ${size}`, content(size, size), MODIFIED_MS);
    const { bytes, result } = await bench.download(`size ${size}`);
    assertBytes(bytes, content(size, size), `${size} bytes`);
    assert.equal(result.sizeBytes, size);
    assert.equal(result.fingerprint.sizeBytes, size);
  }
}

async function fetchesOddNames(bench: Bench): Promise<void> {
  for (const name of bench.fixture.names ?? ODD_NAMES) {
    await bench.device.put(`odd dir/${name}`, content(50, name.length));
    assertBytes((await bench.download(`odd dir/${name}`)).bytes, content(50, name.length), `"${name}"`);
  }
}

async function cancelsAndResumes(bench: Bench): Promise<void> {
  const whole = content(1024 * KIB);
  await bench.device.put("big", whole);
  const spoolFile = await bench.spool();
  const { options } = cancelAt(1);
  const startedMs = performance.now();
  let cancelledMs = startedMs;
  options.signal?.addEventListener("abort", () => cancelledMs = performance.now());
  await fails(bench.download("big", { spoolFile, maxBytesPerSecond: 256 * KIB }, options), "cancelled");
  assert.ok(performance.now() - cancelledMs < 2000, "A cancelled call must be answered within 2 s");
  const partial = await Deno.readFile(spoolFile);
  assert.ok(partial.length > 0 && partial.length < whole.length, `${partial.length} bytes came before the cancelling`);
  assertPrefix(partial, whole, "the partial");
  const { bytes } = await bench.download("big", { spoolFile, offsetBytes: partial.length });
  assertBytes(bytes, whole, "the resumed file");
}

async function resumesAnywhere(bench: Bench): Promise<void> {
  const whole = content(200_000);
  await bench.device.put("log", whole);
  const { length } = whole;
  const offsets = [0, 1, 2, 511, 4096, 65_535, 65_536, 65_537, 131_072, 150_001, length - 1, length];
  for (const offsetBytes of offsets) {
    const { bytes, result } = await bench.download("log", { offsetBytes, prefix: whole.subarray(0, offsetBytes) });
    assertBytes(bytes, whole, `from ${offsetBytes}`);
    assert.equal(result.sizeBytes, length, "sizeBytes is that of the whole file");
  }
}

async function cutsBeyondOffset(bench: Bench): Promise<void> {
  const whole = content(100_000);
  await bench.device.put("log", whole);
  const prefix = new Uint8Array(whole.length + 5000);
  prefix.set(whole.subarray(0, 40_000));
  assertBytes((await bench.download("log", { offsetBytes: 40_000, prefix })).bytes, whole, "the file");
}

async function neverGlues(bench: Bench): Promise<void> {
  const whole = content(200_000);
  await bench.device.put("log", whole);
  for (const offsetBytes of [1, 70_000, whole.length]) {
    const prefix = content(offsetBytes, 99);
    try {
      assertBytes((await bench.download("log", { offsetBytes, prefix })).bytes, whole, "a success");
    } catch (error) {
      await fails(Promise.reject(error), "corrupt", "changed");
    }
  }
}

async function refusesOther(bench: Bench): Promise<void> {
  await bench.device.put("log", content(1000), MODIFIED_MS);
  const expect = fingerprintOf(await bench.client.stat("log"));
  await fails(bench.download("log", { expect: { ...expect, sizeBytes: 1001 } }), "changed");
  if (expect.modifiedMs !== undefined) {
    const modifiedMs = expect.modifiedMs - 86_400_000;
    await fails(bench.download("log", { expect: { ...expect, modifiedMs } }), "changed");
  }
  const spoolFile = await bench.spool(content(300));
  await bench.device.put("log", content(1200, 2), MODIFIED_MS + 60_000);
  const offsetBytes = bench.can.resumeDownload ? 300 : 0;
  await fails(bench.download("log", { expect, spoolFile, offsetBytes }), "changed");
  const rest = await Deno.readFile(spoolFile);
  if (offsetBytes > 0) assertPrefix(rest, content(1000), "the partial of the old version");
}

async function missesVanished(bench: Bench): Promise<void> {
  await bench.device.put("dir/log", content(1000));
  const expect = fingerprintOf(await bench.client.stat("dir/log"));
  await bench.device.remove("dir/log");
  await fails(bench.download("dir/log", { expect }), "not_found");
  await bench.device.remove("dir");
  await fails(bench.download("dir/log", { expect }), "not_found");
}

async function noticesRewriting(bench: Bench): Promise<void> {
  const [one, two] = [content(768 * KIB, 1), content(768 * KIB, 2)];
  await bench.device.put("log", one, MODIFIED_MS);
  let rewriting: Promise<void> | undefined;
  const onProgress = () => {
    rewriting ??= bench.device.put("log", two, MODIFIED_MS + 3_600_000);
  };
  try {
    const { bytes } = await bench.download("log", { maxBytesPerSecond: 512 * KIB }, { onProgress });
    assertBytes(bytes, bytes[0] === one[0] ? one : two, "a success");
  } catch (error) {
    await fails(Promise.reject(error), "changed", "corrupt", "failed", "not_found");
  }
  assert.ok(rewriting, "No progress was told");
  await rewriting;
}

async function refusesEscapes(bench: Bench): Promise<void> {
  await bench.device.put("log", content(10));
  for (const path of ["../log", "a/../../log", "/etc/passwd", "log\0", "log\r\nDELE log", "..", "a//b", "."]) {
    const spoolFile = await bench.spool();
    await fails(bench.client.download({ path, spoolFile, offsetBytes: 0, expect: {} }));
    assert.equal((await Deno.stat(spoolFile)).size, 0, `Bytes came for ${JSON.stringify(path)}`);
  }
  assertBytes((await bench.download("log")).bytes, content(10), "a proper path afterwards");
}

async function keepsLimit(bench: Bench): Promise<void> {
  await bench.device.put("log", content(512 * KIB));
  const reports: number[] = [];
  const startedMs = performance.now();
  const onProgress = ({ doneBytes }: { doneBytes: number }) => void reports.push(doneBytes);
  const { bytes } = await bench.download("log", { maxBytesPerSecond: 256 * KIB }, { onProgress });
  // 512 KiB at 256 KiB/s take 2 s; a quarter of a second may come as a burst.
  assert.ok(performance.now() - startedMs > 1000, "The limit was not kept");
  assertBytes(bytes, content(512 * KIB), "the file");
  assert.ok(reports.length >= 2, `${reports.length} progress reports in 2 s`);
  assert.deepEqual(reports, [...reports].sort((a, b) => a - b), "Progress never goes back");
  assert.ok(reports.every((doneBytes) => doneBytes <= 512 * KIB), "Progress is never more than the file");
}

async function runsInParallel(bench: Bench): Promise<void> {
  const calls = Math.min(bench.can.callsMax ?? 1, 16);
  const names = Array.from({ length: calls * 3 }, (_, index) => `log ${index}`);
  for (const [index, name] of names.entries()) await bench.device.put(name, content(100_000, index));
  const waiting = [...names.entries()];
  const worker = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      assertBytes((await bench.download(next[1])).bytes, content(100_000, next[0]), next[1]);
    }
  };
  await Promise.all(Array.from({ length: calls }, worker));
}

async function ignoresUnknown(bench: Bench): Promise<void> {
  await bench.device.put("log", content(10));
  const unknown = { someDay: true } as object;
  assertBytes((await bench.download("log", unknown)).bytes, content(10), "the file");
}
