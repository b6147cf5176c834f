/** Cases about `remove`, `check`, cancelling and absence. */
import assert from "node:assert/strict";
import { fingerprintOf } from "../driver/mod.ts";
import { assertBytes, type Bench, cancelAt, content, fails, KIB, MODIFIED_MS } from "./bench.ts";
import { BOTH, type Case, SOURCE, TARGET } from "./case.ts";
import type { Fixture } from "./fixture.ts";

const canBreak = (_can: unknown, fixture: Fixture) => fixture.breaks !== false;

export const DEVICE_CASES: readonly Case[] = [
  { name: "remove() removes the expected file", roles: SOURCE, needs: (can) => can.remove === true, run: removes },
  {
    name: "remove() of a file that is gone succeeds",
    roles: SOURCE,
    needs: (can) => can.remove === true,
    run: removesMissing,
  },
  {
    name: "remove() refuses a file that changed",
    roles: SOURCE,
    needs: (can) => can.remove === true,
    run: refusesChanged,
  },
  { name: "check() finds a device in order", roles: BOTH, run: checksGood },
  { name: "check() finds a device that is away, with a remedy", roles: BOTH, needs: canBreak, run: checksAbsent },
  {
    name: "cancelling an upload is answered within 2 s and the device still works",
    roles: TARGET,
    needs: (can) => can.rateLimit === true,
    run: cancelsUpload,
  },
  { name: "a source that is away is unavailable, and works again", roles: SOURCE, needs: canBreak, run: sourceAway },
  { name: "a target that is away is unavailable, and works again", roles: TARGET, needs: canBreak, run: targetAway },
];

function showsFiles({ fixture }: Bench): boolean {
  return fixture.nameOf === undefined;
}

async function removes(bench: Bench): Promise<void> {
  await bench.device.put("log/a b.ulg", content(100), MODIFIED_MS);
  await bench.device.put("log/other", content(100), MODIFIED_MS);
  const expect = fingerprintOf(await bench.client.stat("log/a b.ulg"));
  await bench.client.remove({ path: "log/a b.ulg", expect });
  assert.deepEqual(await bench.device.names(), ["log/other"]);
}

async function removesMissing(bench: Bench): Promise<void> {
  await bench.device.put("log/other", content(100));
  await bench.client.remove({ path: "log/a.ulg", expect: { sizeBytes: 100 } });
  await bench.client.remove({ path: "missing/a.ulg", expect: { sizeBytes: 100 } });
  assert.deepEqual(await bench.device.names(), ["log/other"]);
}

async function refusesChanged(bench: Bench): Promise<void> {
  await bench.device.put("a.ulg", content(100), MODIFIED_MS);
  const expect = fingerprintOf(await bench.client.stat("a.ulg"));
  await bench.device.put("a.ulg", content(101), MODIFIED_MS);
  await fails(bench.client.remove({ path: "a.ulg", expect }), "changed");
  if (expect.modifiedMs !== undefined) {
    await bench.device.put("a.ulg", content(100, 2), MODIFIED_MS + 3_600_000);
    await fails(bench.client.remove({ path: "a.ulg", expect }), "changed");
  }
  assert.deepEqual(await bench.device.names(), ["a.ulg"]);
}

async function checksGood(bench: Bench): Promise<void> {
  if (showsFiles(bench)) await bench.device.put("a.ulg", content(10));
  const before = await bench.device.names();
  const findings = await bench.client.check();
  assert.ok(findings.length > 0);
  assert.deepEqual(findings.filter((finding) => !finding.ok), []);
  assert.deepEqual(await bench.device.names(), before, "check() leaves nothing behind");
}

async function checksAbsent(bench: Bench): Promise<void> {
  if (showsFiles(bench)) await bench.client.list({ directory: "" }, () => {});
  await away(bench, async () => {
    const findings = await bench.client.check();
    assert.ok(findings.some((finding) => !finding.ok && finding.remedy !== undefined), JSON.stringify(findings));
  });
}

async function cancelsUpload(bench: Bench): Promise<void> {
  const params = await bench.uploadParams("log.ulg", content(512 * KIB), { maxBytesPerSecond: 128 * KIB });
  const { options } = cancelAt(1);
  let cancelledMs = Infinity;
  options.signal?.addEventListener("abort", () => cancelledMs = performance.now());
  await fails(bench.client.upload(params, options), "cancelled");
  assert.ok(performance.now() - cancelledMs < 2000, "A cancelled call must be answered within 2 s");
  assert.equal(await bench.device.read("log.ulg"), undefined, "Nothing is published");
  assert.equal((await bench.upload("other.ulg", content(10))).path, "other.ulg");
}

async function away(bench: Bench, work: () => Promise<void>): Promise<void> {
  const { device } = bench;
  await device.breakIt();
  try {
    await work();
  } finally {
    await device.restore();
  }
}

async function sourceAway(bench: Bench): Promise<void> {
  const { client, device } = bench;
  await device.put("log/a.ulg", content(1000), MODIFIED_MS);
  const expect = fingerprintOf(await client.stat("log/a.ulg"));
  await away(bench, async () => {
    await fails(client.list({ directory: "" }, () => {}), "unavailable");
    await fails(client.list({ directory: "log" }, () => {}), "unavailable");
    await fails(client.stat("log/a.ulg"), "unavailable");
    await fails(bench.download("log/a.ulg", { expect }), "unavailable");
    if (bench.can.remove) await fails(client.remove({ path: "log/a.ulg", expect }), "unavailable");
  });
  const names: string[] = [];
  await client.list({ directory: "log" }, (batch) => void names.push(...batch.map((entry) => entry.path)));
  assert.deepEqual(names, ["log/a.ulg"]);
  assertBytes((await bench.download("log/a.ulg")).bytes, content(1000), "the file afterwards");
}

async function targetAway(bench: Bench): Promise<void> {
  const { client } = bench;
  await bench.upload("first.ulg", content(100));
  const params = await bench.uploadParams("log/a.ulg", content(1000));
  await away(bench, async () => {
    // A connection from before may still take all of a small file; the next call knows that it is gone.
    const { code } = await fails(client.upload(params), "unavailable", "uncertain");
    if (code === "uncertain") await fails(client.upload(params), "unavailable");
    if (bench.can.confirm) await fails(client.confirm(params), "unavailable");
  });
  await client.upload(params);
  assertBytes(await bench.device.read("log/a.ulg"), content(1000), "the upload afterwards");
  const names = ["first.ulg", "log/a.ulg"].map((path) => bench.fixture.nameOf?.(path) ?? path);
  assert.deepEqual(await bench.device.names(), names.sort());
}
