/** Scripted faults hit the packet that they are meant for, and only that one. */
import assert from "node:assert/strict";
import { type CoreOptions, type Fault, noise } from "./mod.ts";
import { Probe } from "./probe.ts";
import { ACK, ERRORS, NAK } from "./wire/ftp.ts";

const LOG = "/fs/microsd/log/a.ulg";

function start(faults: Fault[], more: CoreOptions = {}): Probe {
  const probe = new Probe({ personality: "px4-1.11", files: { [LOG]: noise(40_000) }, faults, ...more });
  probe.heartbeat();
  return probe.pass(10);
}

function burst(probe: Probe, offset: number) {
  probe.send("BurstReadFile", { offset });
  probe.pass(300);
  return probe.replies();
}

Deno.test("The n-th Open ACK, Terminate ACK or CRC ACK is lost, and the retry is answered", () => {
  for (const opcode of ["OpenFileRO", "TerminateSession", "CalcFileCRC32"] as const) {
    const probe = start([{ on: `ack:${opcode}`, nth: 1 }]);
    if (opcode === "TerminateSession") probe.ask("OpenFileRO", { path: LOG });
    const seq = probe.seq;
    assert.equal(probe.ask(opcode, { path: LOG, seq }, { waitMs: 100 }), undefined);
    assert.equal(probe.ask(opcode, { path: LOG, seq }, { waitMs: 100 })?.opcode, ACK);
  }
});

Deno.test("The last data packet, the burst_complete packet and the EOF NAK are lost alone", () => {
  const last = start([{ on: "last-data" }]);
  last.ask("OpenFileRO", { path: LOG });
  const end = burst(last, 39_000);
  assert.equal(end.at(-1)?.opcode, NAK);
  assert.ok(end.every(({ opcode, offset, size }) => opcode === NAK || offset + size < 40_000));
  const complete = start([{ on: "burst-complete" }]);
  complete.ask("OpenFileRO", { path: LOG });
  const cut = burst(complete, 0);
  assert.ok(cut.length > 100 && cut.every(({ burstComplete, opcode }) => opcode === ACK && burstComplete !== 1));
  const eof = start([{ on: "eof-nak", times: 1 }]);
  eof.ask("OpenFileRO", { path: LOG });
  assert.ok(burst(eof, 39_000).every(({ opcode }) => opcode === ACK));
  assert.equal(burst(eof, 39_000).at(-1)?.opcode, NAK, "the second one comes");
});

Deno.test("Every k-th request is lost, some come twice, some late", () => {
  const probe = start([{ on: "request", every: 3 }]);
  const answered = Array.from({ length: 9 }, (_, n) => probe.ask("None", { seq: 10 * n }) !== undefined);
  assert.deepEqual(answered, [true, true, false, true, true, false, true, true, false]);
  const twice = start([{ on: "request:None", nth: [2], act: { copies: 2 } }, {
    on: "ack:None",
    nth: 4,
    act: { delayMs: 50 },
  }]);
  assert.ok(twice.ask("None", { seq: 1 }));
  twice.send("None", { seq: 20 });
  twice.pass(20);
  assert.equal(twice.replies().length, 2);
  assert.equal(twice.ask("None", { seq: 40 }), undefined);
  twice.pass(50);
  assert.equal(twice.replies().length, 1);
});

Deno.test("Any NAK can be had for any request, with errno or as a wrong size; a reply can be changed", () => {
  const probe = start([
    { on: "request:OpenFileRO", nth: 1, act: { nak: ERRORS.FailErrno, errno: 13 } },
    { on: "request:OpenFileRO", nth: 2, act: { nak: 99 } },
    { on: "ack:OpenFileRO", nth: 1, act: { rewrite: (packet) => packet.size = 251 } },
    { on: "ack:ReadFile", nth: 1, act: { rewrite: (packet) => packet.offset = 1_000_000 } },
  ]);
  assert.deepEqual([...probe.ask("OpenFileRO", { path: LOG, seq: 10 })!.data], [2, 13]);
  assert.deepEqual([...probe.ask("OpenFileRO", { path: LOG, seq: 20 })!.data], [99]);
  assert.equal(probe.ask("OpenFileRO", { path: LOG, seq: 30 })?.size, 251);
  assert.equal(probe.ask("ReadFile", { size: 9, seq: 40 })?.offset, 1_000_000);
  assert.equal(probe.ask("ReadFile", { size: 9, seq: 50 })?.offset, 0);
});

Deno.test("A damaged length byte at the end of a burst swallows what comes next", () => {
  const mangle = (frame: Uint8Array) => {
    const bad = frame.slice();
    bad[1] = 255;
    return bad;
  };
  const probe = start([{ on: "eof-nak", act: { mangle } }]);
  probe.ask("OpenFileRO", { path: LOG });
  const packets = burst(probe, 39_000);
  assert.equal(packets.length, 5);
  assert.ok(packets.every(({ opcode }) => opcode === ACK));
});

Deno.test("burst_complete can be wrong on every packet, as a trait", () => {
  for (
    const [burstComplete, test] of [
      ["never", (values: number[]) => values.every((value) => value === 0)],
      ["always", (values: number[]) => values.every((value) => value === 1)],
      ["garbage", (values: number[]) => new Set(values).size > 20],
    ] as const
  ) {
    const probe = start([], { traits: { burstComplete } });
    probe.ask("OpenFileRO", { path: LOG });
    assert.ok(test(burst(probe, 0).map((packet) => packet.burstComplete)), burstComplete);
  }
});

Deno.test("Another station holds the session for a while, steals it, or resets it", () => {
  const files = { [LOG]: noise(40_000), "/fs/microsd/log/b.ulg": noise(70) };
  const held = start([], { files, others: [{ does: "hold", path: LOG, forMs: 15_000 }] });
  assert.equal(held.ask("OpenFileRO", { path: LOG, seq: 10 })?.area[0], ERRORS.NoSessionsAvailable);
  held.pass(13_000);
  assert.equal(held.ask("OpenFileRO", { path: LOG, seq: 20 })?.area[0], ERRORS.NoSessionsAvailable, "it keeps it open");
  held.pass(3000);
  assert.equal(held.ask("OpenFileRO", { path: LOG, seq: 30 })?.opcode, ACK);
  const reset = start([], { files, others: [{ does: "reset", atDataBytes: 100 }] });
  reset.ask("OpenFileRO", { path: LOG });
  assert.equal(reset.ask("ReadFile", { size: 239 })?.opcode, ACK);
  assert.equal(reset.ask("ReadFile", { size: 239 })?.area[0], ERRORS.InvalidSession);
  assert.deepEqual(reset.core.vehicle.stats.of("ResetSessions").map(({ from }) => from.systemId), [255]);
});

Deno.test("A station with our own ids has its replies on our link too, another one has not", () => {
  for (const [systemId, componentId, seen] of [[245, 191, true], [255, 190, false]] as const) {
    const probe = start([]);
    probe.core.station(systemId, componentId).request("None");
    probe.pass(20);
    assert.equal(probe.replies().length > 0, seen);
    assert.equal(probe.core.station(systemId, componentId).replies.length, 1);
  }
});
