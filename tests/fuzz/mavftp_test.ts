/**
 * Random weather for the MAVLink FTP client: loss, doubling, another order, damage, restarts, thieves, growth, our own
 * death. Whatever happens, what landed is a true prefix, and what is delivered is the file. Each run prints its seed when
 * it fails; `FILESYNC_FUZZ_RUNS=1000` for the long campaign.
 */
import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import { transfer } from "../../plugins/mavftp/transfer.ts";
import type { PersonalityName } from "../support/autopilot/mod.ts";
import { Bed, MemoryAhead, MemoryLanding, seeded } from "../support/mavftp_bed.ts";
import { seeds } from "./seeds.ts";

const SEEDS = seeds(40);
const PERSONALITIES: PersonalityName[] = [
  "px4-1.11",
  "px4-main",
  "px4-main",
  "ardupilot-4.0",
  "ardupilot-4.5",
  "ardupilot-2026",
  "mavsdk-3",
];
/** Lives of ours in one run. */
const LIVES_MAX = 12;

interface Outcome {
  delivered: boolean;
  lives: number;
  codes: string[];
}

async function run(seed: number): Promise<Outcome> {
  const random = seeded(seed);
  const pick = (max: number) => Math.floor(random() * max);
  const personality = PERSONALITIES[pick(PERSONALITIES.length)]!;
  const root = personality.startsWith("ardupilot") ? "/APM/LOGS" : "/fs/microsd/log";
  const fill = (sizeBytes: number) => Uint8Array.from({ length: sizeBytes }, () => random() * 256);
  const size = 1 + pick(250_000);
  let whole = fill(size);
  const path = `${root}/a.ulg`;
  const other = `${root}/b.ulg`;
  const way = {
    bytesPerSecond: 60_000 + pick(600_000),
    latencyMs: 2 + pick(30),
    jitterMs: pick(5),
    loss: random() * 0.12,
    duplicate: random() * 0.05,
    ...(random() < 0.5 ? { reorder: { probability: 0.05, depth: 1 + pick(12) } } : {}),
    corrupt: random() * 0.02,
  };
  const bed = new Bed({
    personality,
    seed,
    kind: random() < 0.3 ? "stream" : "datagrams",
    files: { [path]: whole, [other]: fill(300_000) },
    link: { down: way, up: way },
    heartbeatOnArm: true,
  });
  const { vehicle } = bed.core;
  let expected = size;
  // What will happen, and when.
  for (let count = pick(4); count > 0; count--) {
    const atMs = 200 + pick(3000);
    const what = pick(5);
    bed.virtual.setTimeout(() => {
      if (what === 0) {
        vehicle.down();
        bed.virtual.setTimeout(() => vehicle.up(), 300 + pick(5000));
      } else if (what === 1 && personality.startsWith("px4")) {
        bed.core.station().run({ does: "steal", path: other, atMs: bed.clock.nowMs() });
      } else if (what === 2) {
        const more = fill(1 + pick(5000));
        vehicle.files.grow(path, more);
        const grown = new Uint8Array(whole.length + more.length);
        grown.set(whole);
        grown.set(more, whole.length);
        whole = grown;
      } else if (what === 3) {
        vehicle.arm();
        bed.virtual.setTimeout(() => vehicle.disarm(), 1000 + pick(5000));
      } else {
        bed.core.station().run({ does: "reset", atMs: bed.clock.nowMs() });
      }
    }, atMs);
  }
  let prefix = new Uint8Array(0);
  let ahead = new MemoryAhead();
  const codes: string[] = [];
  for (let life = 1; life <= LIVES_MAX; life++) {
    const landing = new MemoryLanding(prefix);
    landing.onPush = (at, bytes) => {
      assert.ok(bytes.every((byte, index) => byte === whole[at + index]), `seed ${seed}: wrong bytes land at ${at}`);
    };
    const killMs = random() < 0.3 ? 100 + pick(2000) : Infinity;
    let killed = false;
    const work = bed.station.ready({ heardMs: 20_000, settleMs: 60_000 })
      .then(() => transfer(bed.options(path, { landing, ahead, sizeBytes: expected })));
    const outcome = await bed.virtual.run(
      Promise.race([
        work,
        new Promise<"killed">((resolve) => {
          if (killMs < Infinity) bed.virtual.setTimeout(() => resolve("killed"), killMs);
        }),
      ]).catch((error: unknown) => error),
    );
    if (outcome === "killed") {
      killed = true;
      work.catch(() => {});
      const kept = new MemoryAhead();
      kept.chunks = [...ahead.chunks];
      ahead = kept;
      bed.connect();
    } else if (!(outcome instanceof Error)) {
      const bytes = landing.bytes();
      assert.equal(bytes.length, expected, `seed ${seed}: size`);
      assert.ok(bytes.every((byte, index) => byte === whole[index]), `seed ${seed}: a wrong file is delivered`);
      return { delivered: true, lives: life, codes };
    } else {
      assert.ok(outcome instanceof DriverError, `seed ${seed}: ${outcome.stack}`);
      codes.push(outcome.code);
      if (outcome.code === "changed") {
        // Found again as another generation.
        expected = whole.length;
        prefix = new Uint8Array(0);
        ahead = new MemoryAhead();
        await bed.virtual.pass(3000);
        continue;
      }
      if (outcome.code === "corrupt") {
        prefix = new Uint8Array(0);
        continue;
      }
      await bed.virtual.pass(3000);
    }
    prefix = landing.bytes() as Uint8Array<ArrayBuffer>;
    if (killed) await bed.virtual.pass(500);
  }
  return { delivered: false, lives: LIVES_MAX, codes };
}

Deno.test(`mavftp: ${SEEDS.length} random flights end with the file, whole, or with none`, async () => {
  let delivered = 0;
  const undelivered: string[] = [];
  const codes: Record<string, number> = {};
  for (const seed of SEEDS) {
    const outcome = await run(seed);
    if (outcome.delivered) delivered++;
    else undelivered.push(`${seed}: ${outcome.codes.join(" ")}`);
    for (const code of outcome.codes) codes[code] = (codes[code] ?? 0) + 1;
  }
  console.log(`${delivered} of ${SEEDS.length} delivered; errors on the way: ${JSON.stringify(codes)}`);
  assert.deepEqual(undelivered, [], "flights that never ended");
});
