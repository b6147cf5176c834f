/** The link does what its model says, the same for the same seed. */
import assert from "node:assert/strict";
import { LinkDirection, type LinkModel } from "./link.ts";
import { noise, Random, Scheduler } from "./mod.ts";
import { Probe } from "./probe.ts";
import { MESSAGES } from "./wire/messages.ts";

interface Arrival {
  atMs: number;
  n: number;
  bytes: Uint8Array;
}

function packet(n: number, size = 100): Uint8Array {
  const bytes = new Uint8Array(size);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes;
}

/** Sends `count` packets, one every `everyMs`. */
function run(model: LinkModel, { count = 2000, everyMs = 1, size = 100, seed = 7 } = {}) {
  const scheduler = new Scheduler();
  const arrivals: Arrival[] = [];
  const link = new LinkDirection(model, scheduler, new Random(seed), (bytes) => {
    const n = bytes.length < 4 ? -1 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    arrivals.push({ atMs: scheduler.nowMs, n, bytes });
  });
  for (let n = 0; n < count; n++) scheduler.at(n * everyMs, () => link.send(packet(n, size)));
  scheduler.runUntil(1e7);
  return { arrivals, counts: link.counts };
}

Deno.test("A rate paces packets, latency and jitter delay them, order stays", () => {
  const { arrivals } = run({ bytesPerSecond: 10_000, latencyMs: 50, jitterMs: 30 }, { count: 100, everyMs: 0 });
  assert.deepEqual(arrivals.map(({ n }) => n), Array.from({ length: 100 }, (_, n) => n));
  assert.ok(arrivals[0]!.atMs >= 60 && arrivals[0]!.atMs <= 90);
  assert.ok(arrivals[99]!.atMs >= 1050 && arrivals[99]!.atMs <= 1080);
});

Deno.test("Loss is as frequent as it is set, and in bursts where it is set so", () => {
  const plain = run({ loss: 0.1 });
  assert.ok(Math.abs(plain.counts.lost - 200) < 50, `${plain.counts.lost}`);
  const bursty = run({ gilbertElliott: { toBad: 0.01, toGood: 0.1 } }, { count: 20_000 });
  const share = bursty.counts.lost / 20_000;
  assert.ok(share > 0.05 && share < 0.14, `${share}`);
  let runs = 0;
  for (let n = 1; n < bursty.arrivals.length; n++) if (bursty.arrivals[n]!.n - bursty.arrivals[n - 1]!.n > 1) runs++;
  assert.ok(bursty.counts.lost / runs > 5, "about ten in a row");
});

Deno.test("Duplicates come twice, reordered packets come late by at most the depth", () => {
  const twice = run({ duplicate: 0.05 });
  assert.equal(twice.arrivals.length, 2000 + twice.counts.duplicated);
  assert.ok(twice.counts.duplicated > 60 && twice.counts.duplicated < 150);
  const mixed = run({ reorder: { probability: 0.2, depth: 8 } });
  assert.equal(new Set(mixed.arrivals.map(({ n }) => n)).size, 2000, "nothing is lost");
  let late = 0;
  let seen = -1;
  for (const { n } of mixed.arrivals) {
    if (n < seen) late = Math.max(late, seen - n);
    seen = Math.max(seen, n);
  }
  assert.ok(late >= 3 && late <= 24, `${late}`);
});

Deno.test("Corruption changes bytes, byte loss shortens, an air frame makes long packets likelier to be lost", () => {
  const bad = run({ corrupt: 0.1 });
  const changed = bad.arrivals.filter(({ bytes, n }) => n >= 2000 || bytes.subarray(4).some((byte) => byte !== 0));
  assert.ok(changed.length > 120 && changed.length <= bad.counts.corrupted);
  const short = run({ byteLoss: 0.001 });
  assert.ok(short.arrivals.filter(({ bytes }) => bytes.length < 100).length > 120);
  const framed = { loss: 0.1, frameBytes: 252 };
  const [small, large] = [run(framed, { size: 122 }), run(framed, { size: 266 })];
  assert.ok(large.counts.lost > small.counts.lost * 1.5, `${large.counts.lost} and ${small.counts.lost}`);
});

Deno.test("A blackout loses all that is sent in it, a full queue drops", () => {
  const dark = run({ blackouts: [{ fromMs: 500, toMs: 700 }] }, { count: 1000 });
  assert.equal(dark.counts.lost, 200);
  assert.ok(dark.arrivals.every(({ n }) => n < 500 || n >= 700));
  const full = run({ bytesPerSecond: 1000, queueBytes: 500 }, { count: 100, everyMs: 0 });
  assert.equal(full.arrivals.length, 5);
  assert.equal(full.counts.overflowed, 95);
});

Deno.test("The same seed gives the same run, another seed another", () => {
  const model = { loss: 0.05, jitterMs: 5, duplicate: 0.02, reorder: { probability: 0.1, depth: 4 }, corrupt: 0.01 };
  const shown = (seed: number) => JSON.stringify(run(model, { seed }).arrivals.map(({ atMs, n }) => [atMs, n]));
  assert.equal(shown(3), shown(3));
  assert.notEqual(shown(3), shown(4));
});

Deno.test("Datagrams hold several packets, streams are cut at odd places, and both lose nothing", () => {
  const files = { "/fs/microsd/log/a.ulg": noise(20_000) };
  for (const kind of ["datagrams", "stream"] as const) {
    const link = { pack: { packets: 4, withinMs: 2 }, segment: { min: 1, max: 97 } };
    const probe = new Probe({ files, link }, { kind });
    probe.heartbeat();
    probe.pass(10);
    probe.ask("OpenFileRO", { path: "/fs/microsd/log/a.ulg" });
    probe.chunks.length = 0;
    probe.send("BurstReadFile", {});
    probe.pass(500);
    const sizes = probe.chunks.map(({ length }) => length);
    if (kind === "stream") assert.ok(sizes.every((size) => size <= 97) && sizes.some((size) => size % 2 === 1));
    else assert.ok(sizes.some((size) => size > 3 * 266) && sizes.every((size) => size <= 1400));
    assert.equal(probe.replies().length, Math.ceil(20_000 / 239) + 1);
  }
});

Deno.test("A radio on the link tells its free buffer to both ends", () => {
  const link = { down: { bytesPerSecond: 2000 }, radio: { bufferBytes: 4000, everyMs: 500 } };
  const probe = new Probe({ files: { "/fs/microsd/log/a.ulg": noise(90_000) }, link });
  probe.heartbeat();
  probe.pass(1600);
  const [first] = probe.take(MESSAGES.RADIO_STATUS);
  assert.deepEqual([first?.systemId, first?.componentId], [51, 68]);
  assert.ok(first!.payload[6]! > 90);
  probe.ask("OpenFileRO", { path: "/fs/microsd/log/a.ulg" }, { waitMs: 300 });
  probe.send("BurstReadFile", {});
  probe.pass(3000);
  assert.ok(probe.take(MESSAGES.RADIO_STATUS).some(({ payload }) => payload[6]! < 20), "PX4 overruns it");
});
