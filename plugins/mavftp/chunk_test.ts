/** How many bytes a packet is asked to carry, and what that does to an ArduPilot on a slow link. */
import assert from "node:assert/strict";
import { noise } from "../../tests/support/autopilot/mod.ts";
import { Bed } from "../../tests/support/mavftp_bed.ts";
import { boundedChunk, radioChunk } from "./chunk.ts";
import { AUTOPILOT } from "./messages.ts";
import { traitsOf } from "./traits.ts";

const ARDUPILOT = traitsOf(AUTOPILOT.ARDUPILOT);

Deno.test("boundedChunk() takes whole packets where a burst is over soon enough", () => {
  assert.equal(boundedChunk(ARDUPILOT, 10_000_000, 300, 20), 239);
  assert.equal(boundedChunk(ARDUPILOT, 50_000, 90, 20), 239, "the rest of a file");
  assert.equal(boundedChunk(traitsOf(AUTOPILOT.PX4), 10_000_000, 1, 20), 239, "anything stops a burst of PX4");
});

Deno.test("boundedChunk() makes packets smaller on a slower link, and prefers reads where those bring more", () => {
  const chunk = boundedChunk(ARDUPILOT, 10_000_000, 90, 100);
  assert.ok(chunk !== undefined && chunk > 40 && chunk < 80, `${chunk}`);
  assert.equal(boundedChunk(ARDUPILOT, 10_000_000, 40, 100), undefined, "hardly more than frames");
  assert.equal(boundedChunk(ARDUPILOT, 10_000_000, 90, 1), undefined, "reads need no time on the way");
  assert.equal(boundedChunk(ARDUPILOT, 10_000_000, 0, 100), undefined, "nothing was measured");
});

Deno.test("radioChunk() keeps the air busy with as many reads as the server takes", () => {
  assert.equal(radioChunk({ ...traitsOf(AUTOPILOT.PX4), windowMax: 8 }), 110);
  assert.equal(radioChunk(ARDUPILOT), 225);
});

for (const personality of ["px4-main", "px4-1.11", "ardupilot-2026"] as const) {
  Deno.test(`a radio of 2 kB/s brings 1.3 kB/s from ${personality}`, async () => {
    const file = personality === "ardupilot-2026" ? "/APM/LOGS/00000001.BIN" : "/fs/microsd/log/a.ulg";
    const way = { latencyMs: 200, bytesPerSecond: 2000, frameBytes: 252 };
    const link = { down: way, up: way, radio: { bufferBytes: 4096 } };
    const traffic = { attitude: 0, position: 0 };
    const bed = new Bed({ personality, files: { [file]: noise(24_000) }, link, traffic });
    await bed.ready();
    // Until the radio has spoken.
    await bed.virtual.pass(1500);
    await bed.fetch(file);
    const { stats } = bed.core.vehicle;
    const openedMs = stats.requests.find(({ opcode }) => opcode === "OpenFileRO")!.atMs;
    const rate = 24_000 * 1000 / (stats.lastDataMs! - openedMs);
    assert.ok(rate > 1300, `${rate} bytes a second`);
    assert.equal(stats.count("BurstReadFile"), 0);
  });
}

for (const rttMs of [20, 100, 300]) {
  Deno.test(`an ArduPilot at 100 kB/s and ${rttMs} ms brings most of it, and is silent 2.2 s after it was armed`, async () => {
    const file = "/APM/LOGS/00000001.BIN";
    const way = { latencyMs: rttMs / 2 };
    const bed = new Bed({
      personality: "ardupilot-2026",
      traits: { flowControl: true },
      traffic: { attitude: 0, position: 0 },
      files: { [file]: noise(600_000) },
      link: { down: { ...way, bytesPerSecond: 100_000 }, up: way },
      heartbeatOnArm: true,
    });
    await bed.ready();
    const { stats } = bed.core.vehicle;
    await bed.fetch(file);
    const openedMs = stats.requests.find(({ opcode }) => opcode === "OpenFileRO")!.atMs;
    const kbps = 600_000 / (stats.lastDataMs! - openedMs);
    assert.ok(kbps > 45, `${kbps} kB/s`);
    let armedMs = 0;
    bed.core.vehicle.faults.add({
      on: "request:BurstReadFile",
      nth: 3,
      act: {
        then: () => {
          armedMs = bed.clock.nowMs();
          bed.core.vehicle.arm();
        },
      },
    });
    await assert.rejects(bed.fetch(file), /Vehicle is armed/);
    await bed.virtual.pass(10_000);
    assert.ok(armedMs > 0 && stats.lastDataMs! - armedMs < 2200, `${stats.lastDataMs! - armedMs} ms`);
  });
}
