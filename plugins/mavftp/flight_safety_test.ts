/** What an armed vehicle hears of us: nothing but our heartbeat. Under a clock that the tests move. */
import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import type { PersonalityName } from "../../tests/support/autopilot/mod.ts";
import { encodeFrame } from "../../tests/support/autopilot/wire/frame.ts";
import { MESSAGES } from "../../tests/support/autopilot/wire/messages.ts";
import { Bed, type BedOptions, MemoryAhead, MemoryLanding, seeded } from "../../tests/support/mavftp_bed.ts";
import type { Clock } from "./clock.ts";
import { Directories } from "./directory.ts";
import { FlightGate, type GateState } from "./gate.ts";
import { AUTOPILOT } from "./messages.ts";
import { transfer } from "./transfer.ts";

const PATHS = { px4: "/fs/microsd/log/a.ulg", ardupilot: "/APM/LOGS/00000001.BIN" };
const QUIET = { attitude: 0, position: 0 };

function content(sizeBytes: number): Uint8Array<ArrayBuffer> {
  const random = seeded(7);
  return Uint8Array.from({ length: sizeBytes }, () => random() * 256);
}

function bedOf(personality: PersonalityName, sizeBytes: number, options: BedOptions): { bed: Bed; path: string } {
  const path = PATHS[personality.startsWith("px4") ? "px4" : "ardupilot"];
  return {
    bed: new Bed({ personality, traffic: QUIET, files: { [path]: content(sizeBytes) }, ...options }),
    path,
  };
}

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "none";
  } catch (error) {
    return error instanceof DriverError ? error.code : String(error);
  }
}

for (const personality of ["ardupilot-4.0", "ardupilot-4.5", "ardupilot-2026"] as const) {
  Deno.test(`${personality} is silent 2.3 s after it was armed at any rate, though nothing stops its bursts`, async () => {
    for (const bytesPerSecond of [3000, 11_520, 60_000, 200_000, 2_000_000]) {
      const way = { bytesPerSecond, latencyMs: 5 };
      const { bed, path } = bedOf(personality, 600_000, {
        kind: "stream",
        link: { down: way, up: way },
        heartbeatOnArm: true,
        armAtDataBytes: bytesPerSecond < 20_000 ? 6000 : 60_000,
      });
      await bed.ready();
      assert.equal(await code(bed.fetch(path)), "held");
      await bed.virtual.pass(20_000);
      const { lastDataMs, armedHeartbeatMs } = bed.core.vehicle.stats;
      const goesOnMs = lastDataMs! - armedHeartbeatMs!;
      assert.ok(goesOnMs < 2300, `at ${bytesPerSecond} bytes a second the stream goes on for ${goesOnMs} ms`);
    }
  });
}

Deno.test("an armed vehicle that was silent before is told nothing, not even the end of our session", async () => {
  const { bed, path } = bedOf("px4-main", 3_000_000, { link: { down: { bytesPerSecond: 200_000 } } });
  await bed.ready();
  bed.virtual.setTimeout(() => bed.core.vehicle.setHeartbeats(false), 500);
  assert.equal(await code(bed.fetch(path)), "unavailable");
  await bed.virtual.pass(2000);
  const { stats } = bed.core.vehicle;
  const before = stats.requests.length;
  bed.core.vehicle.arm();
  bed.core.vehicle.setHeartbeats(true);
  await bed.virtual.pass(5000);
  assert.equal(stats.requests.length, before, "requests to an armed vehicle");
  assert.equal(stats.intrusions.filter(({ isArmed }) => isArmed).length, 0);
});

Deno.test("a paused process asks nothing before it has heard of the present: heartbeats that waited are the past", () => {
  let nowMs = 0;
  // Timers of a process that was paused come late.
  const clock: Clock = { nowMs: () => nowMs, after: () => () => {} };
  const states: GateState[] = [];
  const gate = new FlightGate({ clock, settleMs: 0, onChange: (state) => states.push(state) });
  const disarmed = { isArmed: false, autopilot: AUTOPILOT.PX4, type: 2 };
  gate.hear(disarmed);
  assert.ok(gate.isOpen);
  nowMs = 3001;
  assert.equal(gate.isOpen, false, "without a heartbeat for 3 s, whatever its timers say");
  const patient = new FlightGate({ clock, settleMs: 5000, onChange: (state) => states.push(state) });
  patient.hear(disarmed);
  nowMs += 60_000;
  patient.hear(disarmed);
  assert.equal(patient.state, "settling");
  assert.equal(patient.opensInMs, 5000, "the settling time begins anew");
  assert.ok(patient.isOpen === false);
});

Deno.test("a gate opens 3 s after PX4 was disarmed and 20 s after ArduPilot was, unless it is told another time", async () => {
  const times: [personality: PersonalityName, settleMs: number | undefined, wantedMs: number][] = [
    ["px4-main", undefined, 3000],
    ["ardupilot-2026", undefined, 20_000],
    ["ardupilot-2026", 5000, 5000],
  ];
  for (const [personality, settleMs, wantedMs] of times) {
    const { bed } = bedOf(personality, 1000, { armed: true, heartbeatOnArm: true, station: { settleMs } });
    await bed.virtual.pass(5000);
    assert.equal(bed.station.gate.state, "armed");
    bed.core.vehicle.disarm();
    await bed.virtual.pass(wantedMs - 100);
    assert.equal(bed.station.gate.state, "settling", `${personality} ${wantedMs} ms`);
    await bed.virtual.pass(200);
    assert.equal(bed.station.gate.state, "open", `${personality} ${wantedMs} ms`);
  }
});

Deno.test("a gate that a paused process left settling does not open by its old timer", () => {
  let nowMs = 0;
  const timers: { atMs: number; run: () => void }[] = [];
  const clock: Clock = {
    nowMs: () => nowMs,
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run };
      timers.push(timer);
      return () => timers.splice(timers.indexOf(timer), timers.includes(timer) ? 1 : 0);
    },
  };
  const states: GateState[] = [];
  const gate = new FlightGate({ clock, settleMs: 2000, onChange: (state) => states.push(state) });
  gate.hear({ isArmed: false, autopilot: AUTOPILOT.PX4, type: 2 });
  nowMs = 60_000;
  for (const timer of timers.splice(0).sort((a, b) => a.atMs - b.atMs)) timer.run();
  assert.deepEqual(states, ["settling", "silent"]);
});

Deno.test("a camera that claims to be a generic autopilot never speaks for the vehicle", async () => {
  const { bed, path } = bedOf("px4-main", 1000, { armed: true, heartbeats: false });
  const camera = (seq: number) => {
    const payload = new Uint8Array(9);
    payload.set([30, AUTOPILOT.GENERIC, 0, 3, 3], 4);
    return encodeFrame({ version: 2, seq, systemId: 1, componentId: 100 }, MESSAGES.HEARTBEAT, payload);
  };
  const work = code(bed.fetch(path));
  for (let seconds = 0; seconds < 12; seconds++) {
    bed.station.receive(camera(seconds));
    // The autopilot is heard once, armed; its next heartbeats are lost.
    if (seconds === 2) bed.core.vehicle.setHeartbeats(true);
    if (seconds === 3) bed.core.vehicle.setHeartbeats(false);
    await bed.virtual.pass(1000);
  }
  await work;
  assert.deepEqual(bed.core.vehicle.stats.requests, []);
  assert.notEqual(bed.station.gate.state, "open");
});

/**
 * What the vehicle hears, seen from its own end. Arms at any moment of everything that we do: the first words, a listing,
 * opening, bursts, repairs, proof, closing. What was under way may still arrive; beside it the end of our session.
 */
for (const personality of ["px4-1.11", "px4-main", "ardupilot-4.5", "ardupilot-2026"] as const) {
  Deno.test(`an observer in ${personality} sees nothing but heartbeats while it is armed, whenever that begins`, async () => {
    let armedRuns = 0;
    for (let seed = 1; seed <= 30; seed++) {
      const random = seeded(seed * 977);
      const latencyMs = 1 + Math.floor(random() * 30);
      const way = { bytesPerSecond: 100_000 + random() * 400_000, latencyMs, loss: seed % 3 === 0 ? 0.05 : 0 };
      const { bed, path } = bedOf(personality, 60_000, {
        seed,
        link: { down: way, up: way },
        heartbeatOnArm: true,
        station: { settleMs: 300 },
      });
      const { vehicle } = bed.core;
      const armMs = Math.floor(random() * 2500);
      bed.virtual.setTimeout(() => vehicle.arm(), armMs);
      // Its heartbeat may wait behind what is on its way, or be lost: then the next one says it.
      let heardMs = Infinity;
      bed.station.onGate((state) => {
        if (state === "armed") heardMs = Math.min(heardMs, bed.clock.nowMs());
      });
      const names: string[] = [];
      const work = (async () => {
        const signal = new AbortController().signal;
        await bed.station.ready({ heardMs: 10_000, settleMs: 10_000 });
        await bed.station.identify(signal);
        const directories = new Directories(bed.station);
        const root = new TextEncoder().encode(path.slice(0, path.lastIndexOf("/")));
        await directories.list(root, { signal, take: (page) => void names.push(...page.map(({ name }) => name)) });
        for (let again = 0; again < 3; again++) {
          await transfer(bed.options(path, { landing: new MemoryLanding(), ahead: new MemoryAhead() }));
        }
      })();
      const outcome = await bed.virtual.run(code(work));
      await bed.virtual.pass(6000);
      const { stats } = vehicle;
      assert.ok(heardMs < armMs + 5000, `seed ${seed}: it is never heard`);
      if (outcome !== "none") armedRuns++;
      for (const { atMs, what, isArmed, isKnown } of stats.intrusions) {
        const where = `seed ${seed}: ${what} at ${atMs}, armed at ${armMs}`;
        assert.ok(isKnown, `${where}: before the vehicle had said anything`);
        if (!isArmed) continue;
        const allowedMs = what === "TerminateSession" ? 200 : 0;
        assert.ok(atMs <= heardMs + latencyMs + 1 + allowedMs, where);
      }
    }
    assert.ok(armedRuns >= 10, `${armedRuns} runs were interrupted`);
  });
}
