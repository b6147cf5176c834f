/** Manners on a link that others use too: whose session is ended, when, and what is left behind on every way out. */
import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import type { PersonalityName } from "../../tests/support/autopilot/mod.ts";
import { ACK } from "../../tests/support/autopilot/wire/ftp.ts";
import { type Bed, MemoryLanding } from "../../tests/support/mavftp_bed.ts";
import { BOTH, content, fetchAll, flown, rootOf } from "../../tests/support/mavftp_flight.ts";
import type { TransferOptions } from "./transfer.ts";

/** Servers with one session: what is left open on them locks everybody out. */
const SINGLE: readonly PersonalityName[] = ["px4-1.11", "px4-main", "ardupilot-4.0", "ardupilot-4.5"];

const codeOf = (work: Promise<unknown>) =>
  work.then(() => "none", (error) => error instanceof DriverError ? error.code : String(error));

/** Whether another station could open a file now. */
async function isFree(bed: Bed, path: string): Promise<boolean> {
  const other = bed.core.station();
  other.request("OpenFileRO", { path });
  await bed.virtual.pass(100);
  const isOpen = other.replies.at(-1)?.opcode === ACK;
  if (isOpen) other.request("TerminateSession", { session: other.replies.at(-1)!.session });
  return isOpen;
}

/** Ways out of a transfer of 400 kB, each with the code that it ends with. */
const EXITS: [
  what: string,
  code: string,
  harm: (bed: Bed, path: string) => Partial<TransferOptions>,
][] = [
  ["delivered", "none", () => ({})],
  ["cancelled in the middle", "cancelled", (bed) => {
    const abort = new AbortController();
    bed.virtual.setTimeout(() => abort.abort(new DriverError("cancelled", "Call is cancelled")), 400);
    return { signal: abort.signal };
  }],
  ["another size than was listed", "changed", () => ({ sizeBytes: 5 })],
  ["no room in the spool", "no_space", () => {
    const landing = new MemoryLanding();
    landing.onPush = (at) => {
      if (at > 50_000) throw new DriverError("no_space", "Cannot write to the spool: no space left");
    };
    return { landing };
  }],
  ["a checksum of other bytes", "corrupt", (bed) => {
    bed.core.vehicle.faults.add({
      on: "ack:CalcFileCRC32",
      act: { rewrite: (packet) => void (packet.area[0]! ^= 1) },
    });
    return {};
  }],
  ["armed in the middle", "held", (bed) => {
    bed.virtual.setTimeout(() => bed.core.vehicle.arm(), 400);
    return {};
  }],
];

for (const [what, code, harm] of EXITS) {
  Deno.test(`transfer() leaves no session open when it ends: ${what}`, async () => {
    for (const personality of SINGLE) {
      const { bed, path } = await flown(personality, content(400_000), { heartbeatOnArm: true });
      assert.equal(await codeOf(bed.fetch(path, harm(bed, path))), code, personality);
      // ArduPilot's burst ends by itself before it hears that its session is over.
      await bed.virtual.pass(personality.startsWith("px4") ? 300 : 2500);
      assert.ok(await isFree(bed, path), `${personality}: locked out`);
    }
  });
}

Deno.test("transfer() gives up on a session that another ground station keeps, with words, and never ends it", async () => {
  for (const personality of ["px4-1.11", "ardupilot-4.5"] as const) {
    const { bed, path } = await flown(personality, content(50_000));
    bed.core.station().run({ does: "hold", path: `${rootOf(personality)}/b.ulg`, atMs: bed.clock.nowMs() });
    await bed.virtual.pass(100);
    await assert.rejects(
      bed.fetch(path),
      (error) =>
        error instanceof DriverError && error.code === "held" && /Another ground station/.test(error.message) &&
        /"takeover"/.test(error.details.hint ?? ""),
    );
    const { stats } = bed.core.vehicle;
    const ours = [...stats.of("ResetSessions"), ...stats.of("TerminateSession")]
      .filter(({ from }) => from.systemId === 245);
    assert.deepEqual(ours, [], personality);
  }
});

Deno.test('transfer() with "takeover" ends a session that is kept too long, and fetches', async () => {
  for (const personality of ["px4-1.11", "px4-main"] as const) {
    const whole = content(50_000);
    const { bed, path } = await flown(personality, whole);
    bed.core.station().run({ does: "hold", path: `${rootOf(personality)}/b.ulg`, atMs: bed.clock.nowMs() });
    await bed.virtual.pass(100);
    const { bytes, tookMs } = await bed.fetch(path, { takeover: true });
    assert.deepEqual(bytes, whole);
    const resets = bed.core.vehicle.stats.of("ResetSessions").filter(({ from }) => from.systemId === 245);
    assert.equal(resets.length, 1, personality);
    assert.ok(tookMs > 30_000, "it was waited for first");
  }
});

Deno.test("transfer() goes on after another ground station has reset all sessions", async () => {
  for (const personality of BOTH) {
    for (const atDataBytes of [1, 50_000, 190_000]) {
      const whole = content(200_000);
      const { bed, path } = await flown(personality, whole);
      bed.core.station().run({ does: "reset", atDataBytes });
      assert.deepEqual(await fetchAll(bed, path, whole, personality), []);
    }
  }
});

Deno.test("transfer() never takes the answers to a station with our own ids for its own", async () => {
  for (const componentId of [190, 191]) {
    for (let seed = 1; seed <= 8; seed++) {
      const whole = content(200_000, seed);
      const { bed, path } = await flown("px4-main", whole, { seed });
      const twin = bed.core.station(245, componentId);
      twin.run({ does: "steal", path: `${rootOf("px4-main")}/b.ulg`, atDataBytes: seed * 24_000 });
      await fetchAll(bed, path, whole, `component ${componentId}, seed ${seed}`);
    }
  }
});
