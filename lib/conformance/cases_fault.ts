/**
 * The fault script: what is left when a call is cancelled, when the process is killed in the middle, when the host
 * goes. Each runs on a device and on lives of the plugin of its own.
 */
import assert from "node:assert/strict";
import { fingerprintOf, isTemporary, type Role } from "../driver/mod.ts";
import { isObject, METHOD_NOT_FOUND, type RpcMessage } from "../protocol/messages.ts";
import { assertBytes, assertPrefix, type Bench, content, KIB, MODIFIED_MS, pluginOf, withBench } from "./bench.ts";
import { BOTH, SOURCE, TARGET } from "./case.ts";
import type { Fixture } from "./fixture.ts";
import { Wire } from "./wire.ts";

/** Bytes of a file that is killed in the middle. */
const BIG_BYTES = 4096 * KIB;
/** For a transfer that is stopped in the middle, bytes a second, where the driver keeps to a limit. */
const SLOW = 512 * KIB;
/** The contract's limit for a call without a sign of life, milliseconds. */
const PATIENCE_MS = 60_000;
/** Between two looks at a device that is held or away, milliseconds. */
const LOOK_AGAIN_MS = 2000;
/** Answer to `$/cancel`, milliseconds. */
const CANCEL_MS = 2000;

interface FaultCase {
  name: string;
  roles: readonly Role[];
  /** It needs no file on the device and puts none there: it can be tried on one that is in use. */
  harmless?: boolean;
  run: (stage: Stage) => Promise<void>;
}

/** A device, and lives of the plugin that are spoken to by hand. */
interface Stage {
  bench: Bench;
  role: Role;
  /** Starts a life of the plugin and initializes it. */
  start: () => Promise<Wire>;
}

const FAULT_CASES: readonly FaultCase[] = [
  { name: "stdout carries nothing but messages", roles: BOTH, run: saysOnlyMessages },
  {
    name: "unknown methods, notifications and fields are tolerated",
    roles: BOTH,
    harmless: true,
    run: toleratesUnknown,
  },
  { name: "the process ends when its stdin ends", roles: BOTH, harmless: true, run: endsWithStdin },
  { name: "the process ends after shutdown()", roles: BOTH, harmless: true, run: endsAfterShutdown },
  { name: "SIGINT does not end the process", roles: BOTH, harmless: true, run: survivesInterrupt },
  { name: "a call that fails does not end the process", roles: BOTH, run: survivesFailure },
  { name: "download() that is killed at any moment leaves a true prefix", roles: SOURCE, run: killsDownloads },
  { name: "download() that is cancelled is answered within 2 s", roles: SOURCE, run: cancelsDownload },
  { name: "upload() that is killed at any moment shows no part of the file", roles: TARGET, run: killsUploads },
  { name: "upload() that is cancelled is answered within 2 s", roles: TARGET, run: cancelsUpload },
];

/** The fault script for a driver in a role, or that part of it which a device in use is none the worse for. */
export function faultsOf(
  fixture: Fixture,
  role: Role,
  harmlessOnly: boolean,
): { name: string; run: () => Promise<boolean> }[] {
  const items = FAULT_CASES.filter((item) => item.roles.includes(role) && (!harmlessOnly || item.harmless === true));
  return items.map(({ name, run }) => ({
    name,
    run: async () => {
      await withBench(fixture, role, (bench) => onStage(bench, run));
      return true;
    },
  }));
}

async function onStage(bench: Bench, run: FaultCase["run"]): Promise<void> {
  const { fixture, role, spoolDir } = bench;
  const lives: Wire[] = [];
  // One for all lives, as the host has it: what a killed one left there the next one finds.
  const stateDir = `${spoolDir}/../wire`;
  await Deno.mkdir(stateDir, { mode: 0o700 });
  const plugin = pluginOf(fixture);
  const start = async () => {
    if (plugin.exclusive) await bench.rest();
    const wire = new Wire({ plugin, role, args: bench.device.args, spoolDir, stateDir });
    lives.push(wire);
    await wire.initialize();
    return wire;
  };
  try {
    await run({ bench, role, start });
  } finally {
    for (const wire of lives) await wire.kill();
  }
}

async function saysOnlyMessages({ bench, role, start }: Stage): Promise<void> {
  if (bench.fixture.nameOf === undefined) await bench.device.put("log/a.ulg", content(300_000), MODIFIED_MS);
  // Before the start: a device may bear one process alone.
  const download = role === "source" ? await downloadParams(bench, "log/a.ulg") : undefined;
  const wire = await start();
  await wire.ask("check", {});
  await wire.ask("list", { directory: "" });
  await wire.ask("stat", { path: "log/missing" });
  if (download !== undefined) await wire.ask("download", download);
  else await wire.ask("upload", { ...await bench.uploadParams("b.ulg", content(300_000)) });
  await wire.ask("shutdown", {});
  wire.assertQuiet();
}

async function toleratesUnknown({ start }: Stage): Promise<void> {
  const wire = await start();
  await wire.send({ method: "$/from-the-future", params: { id: 1 } });
  await wire.send({ method: "$/cancel", params: { id: 4711 } });
  const { error } = await wire.ask("from_the_future", {});
  assert.equal(error?.code, METHOD_NOT_FOUND, `Answer to an unknown method: ${JSON.stringify(error)}`);
  await worksStill(wire, "after what it does not know");
}

async function endsWithStdin({ start }: Stage): Promise<void> {
  const wire = await start();
  wire.child.closeStdin();
  await wire.ends("when its stdin ended: it would outlive a killed host");
}

async function endsAfterShutdown({ start }: Stage): Promise<void> {
  const wire = await start();
  const { error } = await wire.ask("shutdown", {});
  assert.equal(error ?? undefined, undefined, `Answer to "shutdown": ${JSON.stringify(error)}`);
  await wire.ends('after it answered "shutdown"');
}

async function survivesInterrupt({ start }: Stage): Promise<void> {
  const wire = await start();
  Deno.kill(wire.child.pid, "SIGINT");
  await worksStill(wire, "after SIGINT");
}

async function survivesFailure({ bench, role, start }: Stage): Promise<void> {
  const wire = await start();
  const spoolFile = `${bench.spoolDir}/not-there`;
  const call = role === "source"
    ? wire.ask("download", { path: "not/there", spoolFile, offsetBytes: 0, expect: { sizeBytes: 1 } })
    : wire.ask("upload", { ...await bench.uploadParams("a.ulg", content(10)), spoolFile });
  assert.ok((await call).error, "A transfer of a file that is not there succeeded");
  await worksStill(wire, "after a call that failed");
}

async function worksStill(wire: Wire, when: string): Promise<void> {
  const { result, error } = await wire.ask("check", {});
  // A driver need not have it; that it answers is what counts.
  assert.ok(result !== undefined || isObject(error), `The driver does not work ${when}`);
}

async function downloadParams(bench: Bench, path: string): Promise<Record<string, unknown> & { spoolFile: string }> {
  const expect = fingerprintOf(await bench.client.stat(path));
  return { path, spoolFile: await bench.spool(), offsetBytes: 0, expect };
}

async function killsDownloads({ bench, start }: Stage): Promise<void> {
  const whole = content(BIG_BYTES);
  await bench.device.put("big.ulg", whole, MODIFIED_MS);
  const last = BIG_BYTES / 4;
  for (const atBytes of [1, BIG_BYTES / 8, last]) {
    const params = await downloadParams(bench, "big.ulg");
    const wire = await start();
    await growsTo(wire, { ...params, maxBytesPerSecond: SLOW * 4 }, atBytes);
    await wire.kill();
    const partial = await Deno.readFile(params.spoolFile);
    assertPrefix(partial, whole, `what was fetched when the process was killed at ${atBytes} bytes`);
    // Once is enough: over a slow link all of it takes its time.
    if (bench.can.resumeDownload !== true || atBytes !== last) continue;
    const { spoolFile } = params;
    const { bytes } = await bench.download("big.ulg", { spoolFile, offsetBytes: partial.length });
    assertBytes(bytes, whole, "the file that was resumed after the kill");
  }
}

/**
 * Downloads until the spool file has `atBytes`. A device that is held or away, since the life that was killed has left a
 * session on it, is asked again as the host would.
 */
async function growsTo(
  wire: Wire,
  params: Record<string, unknown> & { spoolFile: string },
  atBytes: number,
): Promise<void> {
  const hasGrown = () => sizeOf(params.spoolFile) >= atBytes;
  for (const endMs = performance.now() + PATIENCE_MS;;) {
    const id = await wire.call("download", params);
    let answer: RpcMessage | undefined;
    // One that is killed before its answer has done what it should.
    wire.answer(id, '"download"', PATIENCE_MS).then((message) => answer = message, () => {});
    await wire.until(() => hasGrown() || answer !== undefined, "The spool file did not grow", PATIENCE_MS);
    if (hasGrown()) return;
    const { code, retryAfterMs } = isObject(answer?.error?.data) ? answer.error.data : {};
    const mayCome = (code === "held" || code === "unavailable") && performance.now() < endMs;
    assert.ok(mayCome, `"download" came to nothing: ${answer?.error?.message ?? JSON.stringify(answer?.result)}`);
    const waitMs = typeof retryAfterMs === "number" ? Math.min(retryAfterMs, LOOK_AGAIN_MS) : LOOK_AGAIN_MS;
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

async function cancelsDownload({ bench, start }: Stage): Promise<void> {
  await bench.device.put("big.ulg", content(BIG_BYTES), MODIFIED_MS);
  const params = await downloadParams(bench, "big.ulg");
  const wire = await start();
  await cancels(wire, "download", { ...params, maxBytesPerSecond: SLOW }, () => sizeOf(params.spoolFile) > 0);
}

async function cancelsUpload({ bench, start }: Stage): Promise<void> {
  const wire = await start();
  const params = { ...await bench.uploadParams("big.ulg", content(BIG_BYTES)), maxBytesPerSecond: SLOW };
  await cancels(wire, "upload", params, (id) => wire.hasTold("$/progress", id));
  if (bench.fixture.nameOf !== undefined) return;
  for (const name of await bench.device.names()) {
    if (isTemporary(name)) continue;
    assertBytes(await bench.device.read(name), content(BIG_BYTES), `"${name}" after the cancelling`);
  }
}

async function cancels(
  wire: Wire,
  method: string,
  params: Record<string, unknown>,
  hasBegun: (id: number) => boolean,
): Promise<void> {
  const id = await wire.call(method, params);
  let isAnswered = false;
  const first = wire.answer(id, `"${method}"`).then(() => isAnswered = true);
  // One that fails here fails at the answer below too.
  first.catch(() => {});
  await wire.until(() => isAnswered || hasBegun(id), `"${method}" did not begin`);
  await wire.send({ method: "$/cancel", params: { id } });
  const { error } = await wire.answer(id, `A cancelled "${method}"`, CANCEL_MS);
  if (error !== undefined) {
    const data = isObject(error.data) ? error.data : {};
    assert.equal(data["code"], "cancelled", `A cancelled "${method}" failed with: ${error.message}`);
  }
  await worksStill(wire, `after a cancelled "${method}"`);
}

async function killsUploads({ bench, start }: Stage): Promise<void> {
  const whole = content(BIG_BYTES);
  const { device, fixture } = bench;
  const path = "dir/big.ulg";
  for (const moment of ["at once", "under way"]) {
    const params = await bench.uploadParams(path, whole, { onExisting: "replace" });
    const wire = await start();
    const id = await wire.call("upload", { ...params, maxBytesPerSecond: SLOW * 4 });
    let isAnswered = false;
    const answered = wire.answer(id, '"upload"').then(() => isAnswered = true, () => {});
    if (moment === "under way") {
      await wire.until(() => isAnswered || wire.hasTold("$/progress", id), "Nothing was sent");
    }
    await wire.kill();
    await answered;
    if (fixture.nameOf !== undefined) continue;
    for (const name of await device.names()) {
      if (isTemporary(name)) continue;
      assert.equal(name, path, "A name that is neither the file's nor temporary");
      assertBytes(await device.read(name), whole, `what is visible after a kill ${moment}`);
    }
  }
  if (bench.can.repeatable !== true) return;
  assert.equal((await bench.upload(path, whole, "replace")).path, path);
  assertBytes(await device.read(path), whole, "the upload after the kill");
}

function sizeOf(file: string): number {
  try {
    return Deno.statSync(file).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
