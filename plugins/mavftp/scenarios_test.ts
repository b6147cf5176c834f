/**
 * The scenarios that a client of MAVLink FTP has to survive, and where each is flown. All under a clock that tests move,
 * but for those in `tests/cli/autopilot_test.ts`, which run the whole program.
 *
 * | group                                         | flown by                                                           |
 * | --------------------------------------------- | ------------------------------------------------------------------ |
 * | 1 clean                                       | transfer_test "every awkward size"                                 |
 * | 2 loss 1 to 20 % each way                     | transfer_test "survives loss, doubling and another order"          |
 * | 3 loss in a row                               | here, "blackout"                                                   |
 * | 4 duplication, 5 reordering                   | transfer_test "survives loss, doubling and another order", fuzz    |
 * | 6 late packets of a burst, of the last file   | here, "late packets of the last file"                              |
 * | 7 exactly one packet lost                     | here, "exactly one"                                                |
 * | 8 restart, file same, other or gone           | card_scenarios_test "restart"; transfer_test; tests/cli            |
 * | 9 each NAK at each step                       | here, "any refusal"                                                |
 * | 10 growing, shrinking, deleted, estimated     | here, "grows"; card_scenarios_test "while it is read"; fuzz        |
 * | 11 another station holds, steals, resets      | session_test; transfer_test "ground station"; fuzz                 |
 * | 12 idle close during a slow burst             | transfer_test "keeps PX4's session alive"                          |
 * | 13 sequence numbers wrap and collide          | here, "numbers wrap"                                               |
 * | 14 armed at any moment, heartbeats stop       | flight_safety_test; tests/cli/autopilot_test                       |
 * | 15 burst_complete lies, odd sizes and offsets | here, "burst_complete", "lies about sizes"                         |
 * | 16 directories                                | here, "listing"; card_scenarios_test; parse_listing_test           |
 * | 17 sizes, zeros                               | transfer_test "awkward size", "zeros"; card_scenarios_test         |
 * | 18 checksum slow, wrong, unknown              | here, "checksum"                                                   |
 * | 19 MAVLink 1 only, signed, damaged lengths    | here, "MAVLink 1"; transfer_test "signed", "damaged stream"        |
 * | 20 FTP switched off                           | here, "switched off"                                               |
 * | 21 two vehicles                               | transfer_test "two vehicles"; tests/cli/autopilot_test             |
 * | 22 killed                                     | transfer_test "killed at any moment"; tests/cli/autopilot_test     |
 * | 23 disk full or slow                          | here, "full disk", "slow disk"                                     |
 */
import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import type { Fault, FaultKind } from "../../tests/support/autopilot/mod.ts";
import { MemoryLanding, seeded } from "../../tests/support/mavftp_bed.ts";
import { BOTH, content, fetchAll, flown, rootOf, ROOTS } from "../../tests/support/mavftp_flight.ts";
import { Directories } from "./directory.ts";

const encoder = new TextEncoder();

Deno.test("a blackout of 200 ms to 2.5 s in the middle costs time and no byte", async () => {
  for (const personality of BOTH) {
    for (const forMs of [200, 1000, 2500]) {
      const whole = content(200_000);
      const blackouts = [{ fromMs: 1300, toMs: 1300 + forMs }];
      const way = { bytesPerSecond: 400_000, latencyMs: 8, blackouts };
      const { bed, path } = await flown(personality, whole, { link: { down: way, up: way } });
      await fetchAll(bed, path, whole, `${personality}, ${forMs} ms`);
    }
  }
});

Deno.test("exactly one packet that is lost, late or doubled, of each kind, does no harm", async () => {
  const kinds: FaultKind[] = [
    "ack:OpenFileRO",
    "last-data",
    "burst-complete",
    "eof-nak",
    "ack:TerminateSession",
    "ack:CalcFileCRC32",
    "request:BurstReadFile",
    "request:ReadFile",
    "data",
  ];
  for (const personality of BOTH) {
    for (const on of kinds) {
      for (const act of ["lose", { delayMs: 700 }, { copies: 3 }] as const) {
        const whole = content(60_000);
        const faults: Fault[] = [{ on, nth: 1, act }];
        const { bed, path } = await flown(personality, whole, { faults });
        assert.deepEqual(await fetchAll(bed, path, whole, `${personality}, ${on}`), []);
      }
    }
  }
});

Deno.test("late packets of the last file never land in the next one", async () => {
  for (const personality of BOTH) {
    const whole = content(60_000);
    const { bed, path } = await flown(personality, whole, {
      faults: [{ on: "data", every: 17, act: { delayMs: 900 } }],
    });
    await fetchAll(bed, `${rootOf(personality)}/b.ulg`, content(90_000, 77), personality);
    await fetchAll(bed, path, whole, personality);
  }
});

Deno.test("any refusal at any step ends with the file or with a reason, never with a hang or another file", async () => {
  const steps: FaultKind[] = [
    "request:OpenFileRO",
    "request:BurstReadFile",
    "request:ReadFile",
    "request:CalcFileCRC32",
    "request:TerminateSession",
  ];
  for (const personality of BOTH) {
    for (const on of steps) {
      for (const nak of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99, 255]) {
        const whole = content(30_000);
        const { bed, path } = await flown(personality, whole, {
          faults: [{ on, nth: 1, act: nak === 2 ? { nak, errno: 5 } : { nak } }],
        });
        await fetchAll(bed, path, whole, `${personality}, ${on}, NAK ${nak}`);
      }
    }
  }
});

Deno.test("a server that refuses for ever is given up with a reason", async () => {
  for (const personality of BOTH) {
    for (const on of ["request:OpenFileRO", "request:BurstReadFile", "request:ReadFile"] as const) {
      for (const nak of [1, 4, 6, 10, 200]) {
        const { bed, path } = await flown(personality, content(30_000), { faults: [{ on, act: { nak } }] });
        const outcome = await bed.fetch(path).then(({ bytes }) => bytes.length, (error) => error);
        // Where only reads are refused, bursts and the checksum may do without them.
        if (outcome !== 30_000) assert.ok(outcome instanceof DriverError, `${on} ${nak}: ${outcome}`);
      }
    }
  }
});

Deno.test("a server that lies about sizes, offsets, sessions and numbers never hangs us or lands a wrong byte", async () => {
  const lies: [string, Fault["act"] & object][] = [
    ["a size of 255", { rewrite: (packet) => void (packet.size = 255) }],
    ["a size of 0", { rewrite: (packet) => void (packet.size = 0) }],
    ["an offset beyond the file", { rewrite: (packet) => void (packet.offset += 50_000_000) }],
    ["session 255", { rewrite: (packet) => void (packet.session = 255) }],
    ["a number from long ago", { rewrite: (packet) => void (packet.seq = (packet.seq + 40_000) & 0xffff) }],
    ["another opcode", { rewrite: (packet) => void (packet.reqOpcode = 14) }],
  ];
  for (const personality of BOTH) {
    for (const [what, act] of lies) {
      const whole = content(60_000);
      const { bed, path } = await flown(personality, whole, { faults: [{ on: "data", every: 9, act }] });
      // On PX4 a packet from beyond the file is a sign that the session is another's: it is given up with that reason.
      const isTheft = what.startsWith("an offset") && personality === "px4-main";
      if (isTheft) await assert.rejects(bed.fetch(path), { code: "held" });
      else await fetchAll(bed, path, whole, `${personality}, ${what}`);
      const always = await flown(personality, whole, { faults: [{ on: "data", act }] });
      const outcome = await always.bed.fetch(always.path).then(({ bytes }) => bytes, (error) => error);
      if (outcome instanceof Uint8Array) assert.deepEqual(outcome, whole, what);
      else assert.ok(outcome instanceof DriverError, `${what}: ${outcome}`);
    }
  }
});

Deno.test("burst_complete that never comes, always comes or is garbage is a hint and no more", async () => {
  for (const personality of BOTH) {
    for (const burstComplete of ["never", "always", "garbage"] as const) {
      const whole = content(150_000);
      const { bed, path } = await flown(personality, whole, { traits: { burstComplete } });
      assert.deepEqual(await fetchAll(bed, path, whole, `${personality}, ${burstComplete}`), []);
    }
  }
});

Deno.test("sequence numbers wrap within a file", async () => {
  for (const personality of BOTH) {
    for (const start of [65_300 / 65_535, 0.99999, 0]) {
      const whole = content(120_000);
      let isFirst = true;
      const random = seeded(3);
      const { bed, path } = await flown(personality, whole, {
        station: { random: () => isFirst ? (isFirst = false, start) : random() },
      });
      assert.deepEqual(await fetchAll(bed, path, whole, `${personality} from ${start}`), []);
    }
  }
});

Deno.test("a log that grows, or vanishes while it is read, is told so", async () => {
  for (const personality of BOTH) {
    const whole = content(200_000);
    const grown = await flown(personality, whole);
    grown.bed.virtual.setTimeout(() => grown.bed.core.vehicle.files.grow(grown.path, content(999)), 150);
    await assert.rejects(
      grown.bed.fetch(grown.path, { sizeBytes: 199_000 }),
      (error) => error instanceof DriverError && error.code === "changed",
    );
    const gone = await flown(personality, whole);
    gone.bed.core.vehicle.files.delete(gone.path);
    await assert.rejects(
      gone.bed.fetch(gone.path),
      (error) => error instanceof DriverError && error.code === "not_found",
    );
  }
});

Deno.test("a checksum that is wrong, unknown, lost or slow never lets a wrong file pass, nor holds a right one", async () => {
  for (const personality of BOTH) {
    const whole = content(60_000);
    const wrong = await flown(personality, whole, {
      faults: [{ on: "ack:CalcFileCRC32", times: 1, act: { rewrite: (packet) => void (packet.area[0]! ^= 1) } }],
    });
    assert.deepEqual(await fetchAll(wrong.bed, wrong.path, whole, "wrong"), ["corrupt"]);
    for (const act of ["lose", { nak: 7 }, { nak: 1 }] as const) {
      const none = await flown(personality, whole, { faults: [{ on: "request:CalcFileCRC32", act }] });
      const { bytes, result } = await none.bed.fetch(none.path);
      assert.deepEqual(bytes, whole);
      assert.equal(result.proof, "samples");
    }
    const slow = await flown(personality, whole, { traits: { crcBytesPerSecond: 20_000 } });
    assert.equal((await slow.bed.fetch(slow.path)).result.proof, "checksum");
  }
});

Deno.test("a server that speaks MAVLink 1 only is understood to say nothing, and one that hears MAVLink 2 answers", async () => {
  const whole = content(20_000);
  const old = await flown("px4-main", whole, { mavlink: "1-only" });
  await assert.rejects(
    old.bed.fetch(old.path),
    (error) => error instanceof DriverError && error.code === "unavailable",
  );
  const first = await flown("px4-main", whole, { mavlink: 1 });
  assert.deepEqual(await fetchAll(first.bed, first.path, whole, "MAVLink 1 answers"), []);
});

Deno.test("an autopilot whose FTP is switched off or says nothing is told, within a minute", async () => {
  for (const ftp of ["off", "disabled"] as const) {
    const { bed, path } = await flown("ardupilot-2026", content(1000), { ftp });
    const startMs = bed.clock.nowMs();
    await assert.rejects(bed.fetch(path), (error) => error instanceof DriverError && error.code === "unavailable");
    assert.ok(bed.clock.nowMs() - startMs < 60_000);
    assert.equal(bed.station.saysFtpDisabled, ftp === "disabled");
  }
});

Deno.test("a full disk ends the transfer at once with the disk's reason, and the session", async () => {
  for (const personality of BOTH) {
    const whole = content(100_000);
    const { bed, path } = await flown(personality, whole);
    const landing = new MemoryLanding();
    const full = new DriverError("no_space", "Cannot write to the spool: no space left");
    landing.onPush = (at) => {
      if (at > 40_000) throw full;
    };
    await assert.rejects(bed.fetch(path, { landing }), (error) => error === full);
    assert.ok(bed.core.vehicle.stats.count("TerminateSession") >= 1);
    assert.deepEqual(await fetchAll(bed, path, whole, "afterwards"), []);
  }
});

Deno.test("a slow disk makes the link wait, holds a bounded part in memory, and loses nothing", async () => {
  for (const personality of BOTH) {
    for (const pauseMs of [50, 2000, 45_000]) {
      const whole = content(400_000);
      const { bed, path } = await flown(personality, whole);
      const landing = new MemoryLanding();
      let poke = () => {};
      let untakenBytes = 0;
      let untakenMostBytes = 0;
      // Takes 64 kB, then nothing for a while; the longest pause outlasts every idle time of a session.
      landing.onPush = (_at, bytes) => {
        untakenBytes += bytes.length;
        untakenMostBytes = Math.max(untakenMostBytes, untakenBytes);
        if (untakenBytes < 64_000 || !landing.isReady) return;
        landing.isReady = false;
        bed.virtual.setTimeout(() => {
          untakenBytes = 0;
          landing.isReady = true;
          poke();
        }, pauseMs);
      };
      const { bytes } = await bed.fetch(path, { landing, onLandingReady: (listener) => poke = listener });
      assert.deepEqual(bytes, whole, `${personality}, ${pauseMs} ms`);
      // What was asked for comes: on PX4 a burst of 35 kB and its buffer, on ArduPilot up to 478 kB.
      const onItsWay = personality === "px4-main" ? 64_000 : 400_000;
      assert.ok(untakenMostBytes <= 64_000 + onItsWay, `${personality}, ${pauseMs} ms: ${untakenMostBytes} bytes`);
    }
  }
});

Deno.test("an endless, empty, odd or broken listing ends", async () => {
  const page = (bytes: Uint8Array): Fault[] => [{
    on: (passing) => passing.direction === "reply" && passing.opcode.toString().startsWith("ListDirectory"),
    act: {
      rewrite: (packet) => {
        packet.opcode = 128;
        packet.data = bytes;
      },
    },
  }];
  const list = async (bytes: Uint8Array) => {
    const { bed } = await flown("px4-main", content(10), { faults: page(bytes) });
    const names: string[] = [];
    const problems: string[] = [];
    const directories = new Directories(bed.station);
    const outcome = await bed.virtual.run(
      directories.list(encoder.encode(ROOTS.px4), {
        take: (listed) => {
          for (const { name, problem } of listed) {
            names.push(name);
            if (problem !== undefined) problems.push(problem);
          }
        },
        isEnough: () => names.length > 20_000,
      }).then(() => "ended", (error) => error instanceof DriverError ? error.code : String(error)),
    );
    return { outcome, names, problems };
  };
  assert.equal((await list(new Uint8Array(0))).outcome, "ended");
  assert.equal((await list(encoder.encode("S\0S\0S\0"))).outcome, "failed");
  assert.equal((await list(encoder.encode("Xwhat\0?\0"))).outcome, "failed");
  const odd = await list(encoder.encode("Fa\x01b\t5\0Fc\nd\t5\0F../up\t5\0F\t5\0Fbig\t99999999999999999999\0Dok\0"));
  assert.ok(odd.names.length > 0);
  assert.ok(odd.problems.length > 0, "names with control characters and slashes cannot be used");
});

Deno.test("a listing whose pages repeat for ever is given up", async () => {
  const { bed } = await flown("px4-main", content(10), {
    faults: [{
      on: (passing) => passing.direction === "reply" && passing.opcode.toString().startsWith("ListDirectory"),
      act: {
        rewrite: (packet) => {
          packet.opcode = 128;
          packet.data = encoder.encode("Fsame.ulg\t5\0");
        },
      },
    }],
  });
  const directories = new Directories(bed.station);
  let count = 0;
  const outcome = await bed.virtual.run(
    directories.list(encoder.encode(ROOTS.px4), { take: (names) => void (count += names.length) })
      .then(() => "ended", (error) => error instanceof DriverError ? error.code : String(error)),
  );
  assert.equal(outcome, "failed");
  assert.ok(count < 10, `${count} entries were believed`);
});
