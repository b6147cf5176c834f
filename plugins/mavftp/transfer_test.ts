/** Whole transfers between the client and the simulated autopilot, under a clock that the tests move. */
import assert from "node:assert/strict";
import type { PersonalityName } from "../../tests/support/autopilot/mod.ts";
import { DriverError } from "../../lib/driver/mod.ts";
import { Bed, type BedOptions, MemoryAhead, MemoryLanding, seeded } from "../../tests/support/mavftp_bed.ts";
import { FrameReader, MESSAGE } from "./frame_codec.ts";
import { transfer } from "./transfer.ts";

const QUIET = { attitude: 0, position: 0 };
const ROOTS: Record<PersonalityName, string> = {
  "px4-1.11": "/fs/microsd/log",
  "px4-main": "/fs/microsd/log",
  "ardupilot-4.0": "/APM/LOGS",
  "ardupilot-4.5": "/APM/LOGS",
  "ardupilot-2026": "/APM/LOGS",
  "mavsdk-3": "/fs/microsd/log",
};
const ALL = Object.keys(ROOTS) as PersonalityName[];

function content(sizeBytes: number, seed = 1): Uint8Array<ArrayBuffer> {
  const random = seeded(seed);
  return Uint8Array.from({ length: sizeBytes }, () => random() * 256);
}

function lossy(loss: number): NonNullable<BedOptions["link"]> {
  const way = { bytesPerSecond: 500_000, latencyMs: 10, loss };
  return { down: way, up: way };
}

function bedWith(
  files: Record<string, Uint8Array>,
  options: BedOptions = {},
): { bed: Bed; at: (name: string) => string } {
  const personality = options.personality ?? "px4-main";
  const at = (name: string) => `${ROOTS[personality]}/${name}`;
  const placed = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [at(name), bytes]));
  return { bed: new Bed({ traffic: QUIET, link: lossy(0), ...options, files: placed }), at };
}

function assertSame(actual: Uint8Array, expected: Uint8Array, what: string): void {
  assert.equal(actual.length, expected.length, `${what}: size`);
  assert.ok(actual.every((byte, index) => byte === expected[index]), `${what}: bytes differ`);
}

/** Heartbeats that are lost in a row make a vehicle that fell silent: goes on as the engine does. */
async function fetchThroughSilence(bed: Bed, path: string): Promise<Uint8Array> {
  let prefix = new Uint8Array(0);
  const ahead = new MemoryAhead();
  for (;;) {
    const landing = new MemoryLanding(prefix);
    try {
      return (await bed.fetch(path, { landing, ahead })).bytes;
    } catch (error) {
      if (!(error instanceof DriverError) || error.message !== "Autopilot fell silent") throw error;
      prefix = landing.bytes() as Uint8Array<ArrayBuffer>;
      await bed.ready();
    }
  }
}

/** Requests of file transfer that we sent after `sinceMs`. */
function requestsAfter(bed: Bed, sinceMs: number): number[] {
  const found: number[] = [];
  for (const { atMs, frame } of bed.sent) {
    if (atMs <= sinceMs) continue;
    new FrameReader(({ messageId }) => {
      if (messageId !== MESSAGE.HEARTBEAT) found.push(atMs);
    }).push(frame);
  }
  return found;
}

for (const personality of ALL) {
  Deno.test(`transfer() fetches every awkward size from ${personality}`, async () => {
    for (const size of [0, 1, 238, 239, 240, 478, 35_000 - 239, 35_000, 35_000 + 239, 120_001]) {
      const whole = content(size, size + 1);
      const { bed, at } = bedWith({ "a.ulg": whole }, { personality });
      await bed.ready();
      assertSame((await bed.fetch(at("a.ulg"))).bytes, whole, `${size} bytes`);
    }
  });

  Deno.test(`transfer() brings back zeros that frames cut off, from ${personality}`, async () => {
    const zeros = new Uint8Array(100_000);
    const { bed, at } = bedWith({ "a.ulg": zeros }, { personality });
    await bed.ready();
    assertSame((await bed.fetch(at("a.ulg"))).bytes, zeros, "zeros");
  });

  Deno.test(`transfer() survives loss, doubling and another order, from ${personality}`, async () => {
    for (const [seed, loss] of [[1, 0.01], [2, 0.05], [3, 0.1], [4, 0.2]] as const) {
      const whole = content(250_000, seed);
      const way = {
        bytesPerSecond: 500_000,
        latencyMs: 10,
        loss,
        duplicate: 0.05,
        reorder: { probability: 0.05, depth: 8 },
      };
      const { bed, at } = bedWith({ "a.ulg": whole }, { personality, seed, link: { down: way, up: way } });
      await bed.ready();
      assertSame(await fetchThroughSilence(bed, at("a.ulg")), whole, `loss ${loss}`);
    }
  });

  Deno.test(`transfer() works over a damaged stream cut at odd places, from ${personality}`, async () => {
    const whole = content(150_000, 5);
    const way = { bytesPerSecond: 92_160, latencyMs: 3, corrupt: 0.02, byteLoss: 0.00005 };
    const { bed, at } = bedWith({ "a.ulg": whole }, {
      personality,
      kind: "stream",
      seed: 5,
      link: { down: way, up: way, segment: { min: 1, max: 700 } },
    });
    await bed.ready();
    assertSame((await bed.fetch(at("a.ulg"))).bytes, whole, "the log");
  });

  Deno.test(`transfer() asks nothing more once the vehicle is armed, and goes on afterwards, with ${personality}`, async () => {
    const whole = content(400_000, 6);
    for (const armAtDataBytes of [1, 200_000, 390_000]) {
      const { bed, at } = bedWith({ "a.ulg": whole }, { personality, armAtDataBytes, heartbeatOnArm: true });
      await bed.ready();
      const landing = new MemoryLanding();
      const ahead = new MemoryAhead();
      let armedMs = 0;
      bed.station.onGate((state) => {
        if (state === "armed") armedMs = bed.clock.nowMs();
      });
      await assert.rejects(
        bed.fetch(at("a.ulg"), { landing, ahead }),
        (error) => error instanceof DriverError && error.code === "held",
      );
      assert.ok(armedMs > 0);
      await bed.virtual.pass(30_000);
      const late = requestsAfter(bed, armedMs).filter((atMs) => atMs > armedMs + 200);
      assert.deepEqual(late, [], `requests to an armed vehicle, armed at ${armAtDataBytes}`);
      assert.ok(requestsAfter(bed, armedMs).length <= 2, "only the end of our session is said, twice");
      if (personality.startsWith("px4")) {
        assert.ok((bed.core.vehicle.stats.lastDataMs ?? 0) < armedMs + 300, "PX4's stream is silent within 300 ms");
      }
      const prefix = landing.bytes();
      assertSame(prefix, whole.slice(0, prefix.length), "what landed");
      bed.core.vehicle.disarm();
      await bed.virtual.pass(1500);
      await bed.ready();
      const sentBefore = bed.core.vehicle.stats.dataBytes;
      const again = await bed.fetch(at("a.ulg"), { landing: new MemoryLanding(prefix), ahead });
      assertSame(again.bytes, whole, "the log");
      // What was on its way when the gate shut came, or is fetched again; beside it the overlap and the samples.
      const doubled = bed.core.vehicle.stats.dataBytes - sentBefore - (whole.length - prefix.length);
      assert.ok(doubled < 64_000, `${doubled} bytes were fetched twice`);
    }
  });
}

Deno.test("a station says nothing but heartbeats while the vehicle is armed, silent or settling", async () => {
  for (const vehicle of [{ armed: true }, { heartbeats: false }, {}]) {
    const { bed, at } = bedWith({ "a.ulg": content(1000) }, {
      ...vehicle,
      station: { settleMs: 5000 },
    });
    const work = transfer(bed.options(at("a.ulg"))).catch((error) => error);
    await bed.virtual.pass(4500);
    await work;
    assert.deepEqual(requestsAfter(bed, -1), [], JSON.stringify(vehicle));
    assert.ok(bed.sent.length >= 4, "our own heartbeat goes on");
  }
});

Deno.test("transfer() stops when heartbeats stop, though the stream goes on", async () => {
  const whole = content(3_000_000);
  const { bed, at } = bedWith({ "a.ulg": whole });
  await bed.ready();
  bed.virtual.setTimeout(() => bed.core.vehicle.setHeartbeats(false), 500);
  const startMs = bed.clock.nowMs();
  await assert.rejects(bed.fetch(at("a.ulg")), (error) => error instanceof DriverError && error.code === "unavailable");
  const endMs = bed.clock.nowMs();
  assert.ok(endMs - startMs < 500 + 4100, `${endMs - startMs} ms`);
  await bed.virtual.pass(5000);
  assert.deepEqual(requestsAfter(bed, endMs), []);
});

Deno.test("transfer() opens and goes on after the autopilot has restarted", async () => {
  for (const personality of ALL) {
    const whole = content(400_000, 8);
    const { bed, at } = bedWith({ "a.ulg": whole }, { personality });
    await bed.ready();
    bed.virtual.setTimeout(() => {
      bed.core.vehicle.down();
      bed.virtual.setTimeout(() => bed.core.vehicle.up(), 800);
    }, 700);
    assertSame((await bed.fetch(at("a.ulg"))).bytes, whole, personality);
  }
});

Deno.test("transfer() tells a log that became another while the autopilot restarted", async () => {
  const { bed, at } = bedWith({ "a.ulg": content(400_000, 8) });
  await bed.ready();
  bed.virtual.setTimeout(() => {
    bed.core.vehicle.down();
    bed.core.vehicle.files.replace(at("a.ulg"), content(390_000, 9));
    bed.virtual.setTimeout(() => bed.core.vehicle.up(), 800);
  }, 700);
  await assert.rejects(bed.fetch(at("a.ulg")), (error) => error instanceof DriverError && error.code === "changed");
});

Deno.test("transfer() never lands bytes of another file when a ground station takes the session over", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const whole = content(600_000, seed);
    const { bed, at } = bedWith({ "a.ulg": whole, "b.ulg": content(700_000, seed + 100) }, { seed, link: lossy(0.01) });
    await bed.ready();
    const thief = bed.core.station();
    thief.run({ does: "steal", path: at("b.ulg"), atDataBytes: 1 + seed * 28_000 });
    const landing = new MemoryLanding();
    landing.onPush = (offset, bytes) => {
      assert.ok(bytes.every((byte, index) => byte === whole[offset + index]), `seed ${seed}: foreign bytes landed`);
    };
    const { bytes } = await bed.fetch(at("a.ulg"), { landing });
    assertSame(bytes, whole, `seed ${seed}`);
  }
});

Deno.test("transfer() lands nothing of a file that another ground station opened before our first byte came", async () => {
  for (const otherBytes of [700_000, 90_000]) {
    const whole = content(120_000);
    const { bed, at } = bedWith({ "a.ulg": whole, "b.ulg": content(otherBytes, 2) });
    await bed.ready();
    const thief = bed.core.station();
    bed.core.vehicle.faults.add({
      on: "ack:OpenFileRO",
      times: 1,
      act: { then: () => thief.run({ does: "steal", path: at("b.ulg"), atMs: bed.clock.nowMs() }) },
    });
    const landing = new MemoryLanding();
    landing.onPush = (offset, bytes) =>
      assert.ok(bytes.every((byte, index) => byte === whole[offset + index]), `foreign bytes landed at ${offset}`);
    const { bytes, result } = await bed.fetch(at("a.ulg"), { landing });
    assertSame(bytes, whole, "the log");
    assert.ok(result.stolenBytes > 0 || otherBytes < whole.length, "the theft came in between");
    const { stats } = bed.core.vehicle;
    assert.ok(bed.logs.some((line) => /Reading stopped at byte 0: (stolen|short)/.test(line)), bed.logs.join("\n"));
    const ended = stats.of("TerminateSession").filter(({ from }) => from.systemId === 245);
    const free = stats.of("TerminateSession").find(({ from }) => from.systemId === 255);
    assert.ok(free === undefined || ended.every(({ atMs }) => atMs > free.atMs), "the other's session is left alone");
  }
});

Deno.test("transfer() waits for another ground station's session and leaves it alone", async () => {
  const whole = content(50_000);
  const { bed, at } = bedWith({ "a.ulg": whole, "b.ulg": content(1000) });
  await bed.ready();
  bed.core.station().run({ does: "hold", path: at("b.ulg"), forMs: 5000 });
  await bed.virtual.pass(100);
  assertSame((await bed.fetch(at("a.ulg"))).bytes, whole, "the log");
  assert.equal(bed.core.vehicle.stats.count("ResetSessions"), 0);
});

Deno.test("transfer() ends a session that a dead process of ours left", async () => {
  const whole = content(300_000);
  const { bed, at } = bedWith({ "a.ulg": whole });
  await bed.ready();
  const dead = transfer(bed.options(at("a.ulg"))).catch(() => {});
  await bed.virtual.pass(300);
  // The process is killed: nothing is said, and the next one finds the journal.
  bed.connect();
  void dead;
  await bed.ready();
  const { bytes, tookMs } = await bed.fetch(at("a.ulg"));
  assertSame(bytes, whole, "the log");
  assert.ok(tookMs < 5000, `${tookMs} ms: the server's own time-out was waited for`);
});

Deno.test("transfer() keeps PX4's session alive where a burst takes longer than its idle time", async () => {
  const whole = content(60_000);
  const way = { bytesPerSecond: 2000, latencyMs: 200 };
  const { bed, at } = bedWith({ "a.ulg": whole }, {
    personality: "px4-1.11",
    // A UART's: a longer one would hold heartbeats back for more than 3 s.
    traits: { txBufferBytes: 1500 },
    kind: "stream",
    link: { down: way, up: way },
  });
  await bed.ready();
  assertSame((await bed.fetch(at("a.ulg"))).bytes, whole, "the log");
  assert.equal(bed.core.vehicle.stats.happened("idle-close"), false);
  assert.ok(bed.core.vehicle.stats.count("None") > 2, "the session is kept alive");
});

Deno.test("transfer() fetches at most 64 kB again after it was killed at any moment", async () => {
  const whole = content(400_000, 3);
  for (let seed = 1; seed <= 25; seed++) {
    const { bed, at } = bedWith({ "a.ulg": whole }, { seed, link: lossy(seed % 3 === 0 ? 0.05 : 0) });
    await bed.ready();
    const landing = new MemoryLanding();
    const ahead = new MemoryAhead();
    void transfer(bed.options(at("a.ulg"), { landing, ahead })).catch(() => {});
    await bed.virtual.pass(100 + seed * 45);
    const prefix = landing.bytes();
    assertSame(prefix, whole.slice(0, prefix.length), `seed ${seed}: what landed`);
    const kept = new MemoryAhead();
    kept.chunks = [...ahead.chunks];
    bed.connect();
    await bed.virtual.pass(1500);
    await bed.ready();
    const { bytes, result } = await bed.fetch(at("a.ulg"), { landing: new MemoryLanding(prefix), ahead: kept });
    assertSame(bytes, whole, `seed ${seed}`);
    assert.equal(result.proof, "checksum");
  }
});

Deno.test("transfer() drops a stash that is of another file", async () => {
  const whole = content(200_000, 3);
  const { bed, at } = bedWith({ "a.ulg": whole });
  await bed.ready();
  const ahead = new MemoryAhead();
  ahead.chunks = [{ at: 60_000, bytes: content(20_000, 99) }];
  const landing = new MemoryLanding(whole.slice(0, 50_000));
  assertSame((await bed.fetch(at("a.ulg"), { landing, ahead })).bytes, whole, "the log");
});

Deno.test("transfer() keeps to the link's rate", async () => {
  const whole = content(60_000);
  const { bed, at } = bedWith({ "a.ulg": whole });
  await bed.ready();
  const { tookMs } = await bed.fetch(at("a.ulg"), { linkRate: 10_000 });
  assert.ok(tookMs > 5000, `${tookMs} ms`);
});

Deno.test("transfer() on a telemetry radio uses small reads and four fifths of what there is", async () => {
  const whole = content(20_000);
  const way = { bytesPerSecond: 2000, latencyMs: 225, frameBytes: 252 };
  const { bed, at } = bedWith({ "a.ulg": whole }, {
    kind: "stream",
    link: { down: way, up: way, radio: { bufferBytes: 4096 } },
  });
  await bed.ready();
  await bed.virtual.pass(1500);
  let landedMs = 0;
  const startMs = bed.clock.nowMs();
  const { bytes } = await bed.fetch(at("a.ulg"), {
    progress: (doneBytes) => {
      if (doneBytes === whole.length && landedMs === 0) landedMs = bed.clock.nowMs();
    },
  });
  assertSame(bytes, whole, "the log");
  assert.equal(bed.core.vehicle.stats.count("BurstReadFile"), 0);
  const rate = whole.length * 1000 / (landedMs - startMs);
  assert.ok(rate >= 1300, `${rate.toFixed(0)} bytes a second`);
});

Deno.test("transfer() speaks on a signed link, and is not understood with another key", async () => {
  const { Signer, signingKey } = await import("./signing.ts");
  const key = signingKey("correct horse");
  const whole = content(100_000);
  const signer = (key: Uint8Array) => new Signer({ key, wallMs: () => 1.7e12 });
  const { bed, at } = bedWith({ "a.ulg": whole }, { signing: { key }, station: { signer: signer(key) } });
  await bed.ready();
  assertSame((await bed.fetch(at("a.ulg"))).bytes, whole, "the log");
  assert.deepEqual(bed.core.vehicle.stats.refused, {});
  const wrong = bedWith({ "a.ulg": whole }, { signing: { key }, station: { signer: signer(signingKey("wrong")) } });
  await assert.rejects(wrong.bed.ready(), (error) => error instanceof DriverError && error.code === "unavailable");
});

Deno.test("a station keeps two vehicles on one link apart", async () => {
  const [one, two] = [content(80_000, 1), content(80_000, 2)];
  const path = "/fs/microsd/log/a.ulg";
  for (const [systemId, whole] of [[1, one], [2, two]] as const) {
    const bed = new Bed({
      traffic: QUIET,
      link: lossy(0.01),
      vehicles: [
        { systemId: 1, files: { [path]: one }, traffic: QUIET, armed: systemId === 2 },
        { systemId: 2, files: { [path]: two }, traffic: QUIET, armed: systemId === 1 },
      ],
      station: { systemId },
    });
    await bed.ready();
    assertSame((await bed.fetch(path)).bytes, whole, `vehicle ${systemId}`);
    const other = bed.core.vehicles[systemId === 1 ? 1 : 0]!;
    assert.equal(other.stats.requests.length, 0, "the other vehicle is asked nothing");
  }
});

Deno.test("transfer() ends its own session whose opening was not answered since the vehicle was armed", async () => {
  for (const lost of ["ack:OpenFileRO", "ack:TerminateSession"] as const) {
    const whole = content(50_000);
    const { bed, at } = bedWith({ "a.ulg": whole }, { personality: "px4-1.11", heartbeatOnArm: true });
    await bed.ready();
    const { vehicle } = bed.core;
    if (lost === "ack:TerminateSession") vehicle.faults.add({ on: "request:TerminateSession", times: 20 });
    else vehicle.faults.add({ on: "request:OpenFileRO", times: 1, act: { then: () => vehicle.arm() } });
    const first = await bed.fetch(at("a.ulg")).then(() => "none", (error) => error.code);
    assert.equal(first, lost === "ack:OpenFileRO" ? "held" : "none");
    await bed.virtual.pass(1000);
    vehicle.faults.clear();
    vehicle.disarm();
    await bed.virtual.pass(500);
    await bed.ready();
    const { bytes, tookMs } = await bed.fetch(at("a.ulg"));
    assertSame(bytes, whole, "the log");
    assert.ok(tookMs < 3000, `${lost}: ${tookMs} ms: the server's own time-out was waited for`);
    assert.equal(vehicle.stats.count("ResetSessions"), 0);
  }
});

Deno.test("transfer() that is interrupted while it waits for another station's session never ends that one", async () => {
  const whole = content(50_000);
  const { bed, at } = bedWith({ "a.ulg": whole, "b.ulg": content(1000) }, { heartbeatOnArm: true });
  await bed.ready();
  const { vehicle } = bed.core;
  bed.core.station().run({ does: "hold", path: at("b.ulg"), forMs: 9000 });
  await bed.virtual.pass(100);
  bed.virtual.setTimeout(() => vehicle.arm(), 2500);
  await assert.rejects(bed.fetch(at("a.ulg")), (error) => error instanceof DriverError && error.code === "held");
  vehicle.disarm();
  await bed.virtual.pass(100);
  await bed.ready();
  assertSame((await bed.fetch(at("a.ulg"))).bytes, whole, "the log");
  const ends = vehicle.stats.of("TerminateSession").filter(({ from }) => from.systemId === 245);
  const free = vehicle.stats.of("TerminateSession").find(({ from }) => from.systemId === 255);
  assert.ok(free !== undefined && ends.every(({ atMs }) => atMs > free.atMs), "the other station ended its own first");
});
