/** What a vehicle says and understands beside FTP. */
import assert from "node:assert/strict";
import { noise } from "./mod.ts";
import { Probe } from "./probe.ts";
import type { Frame } from "./wire/frame.ts";
import { MESSAGES } from "./wire/messages.ts";
import { Signer } from "./wire/signing.ts";

const LOG = "/fs/microsd/log/a.ulg";
const FILES = { [LOG]: noise(5000) };
const KEY = new Uint8Array(32).fill(0x42);

function view(frame: Frame): DataView {
  return new DataView(frame.payload.buffer, frame.payload.byteOffset);
}

function command(probe: Probe, id: number, first: number): void {
  const payload = new Uint8Array(33);
  const bytes = new DataView(payload.buffer);
  bytes.setFloat32(0, first, true);
  bytes.setUint16(28, id, true);
  payload.set([1, 1], 30);
  probe.say(MESSAGES.COMMAND_LONG, payload);
}

Deno.test("A heartbeat a second tells the autopilot, and whether it is armed or stands by", () => {
  const probe = new Probe({ personality: "ardupilot-2026" });
  probe.pass(3100);
  const beats = probe.take(MESSAGES.HEARTBEAT);
  assert.equal(beats.length, 4);
  assert.deepEqual([beats[0]?.payload[5], beats[0]!.payload[6]! & 128, beats[0]?.payload[7]], [3, 0, 3]);
  const vehicle = probe.core.vehicle;
  vehicle.arm();
  probe.pass(100);
  assert.deepEqual(probe.take(MESSAGES.HEARTBEAT), [], "not before the next second");
  probe.pass(1000);
  const [armed] = probe.take(MESSAGES.HEARTBEAT);
  assert.deepEqual([armed!.payload[6]! & 128, armed?.payload[7]], [128, 4]);
  assert.equal(vehicle.stats.armedHeartbeatMs, 4001);
  vehicle.setHeartbeats(false);
  probe.pass(5000);
  assert.deepEqual(probe.take(MESSAGES.HEARTBEAT), []);
});

Deno.test("SYS_STATUS tells in its logging bit whether the logger runs", () => {
  for (const [options, wanted] of [[{}, false], [{ armed: true }, true], [{ logging: true }, true]] as const) {
    const probe = new Probe(options);
    probe.pass(1100);
    const [status] = probe.take(MESSAGES.SYS_STATUS);
    assert.equal((view(status!).getUint32(4, true) & 0x1000000) !== 0, wanted);
  }
});

Deno.test("AUTOPILOT_VERSION comes when it is asked for, with capabilities and both uids", () => {
  for (const ftp of ["on", "off"] as const) {
    const uid2 = Uint8Array.from({ length: 18 }, (_, n) => n + 1);
    const probe = new Probe({ ftp, uid: 0xdeadbeefn, uid2 });
    probe.heartbeat();
    command(probe, 512, 148);
    probe.pass(10);
    const [version] = probe.take(MESSAGES.AUTOPILOT_VERSION);
    assert.equal((Number(view(version!).getBigUint64(0, true)) & 32) !== 0, ftp === "on");
    assert.equal(view(version!).getBigUint64(8, true), 0xdeadbeefn);
    assert.deepEqual(version!.payload.slice(60, 78), uid2);
    const [ack] = probe.take(MESSAGES.COMMAND_ACK);
    assert.deepEqual([view(ack!).getUint16(0, true), ack!.payload[2]], [512, 0]);
    command(probe, 511, 30);
    probe.pass(10);
    assert.equal(probe.take(MESSAGES.COMMAND_ACK)[0]?.payload[2], 3, "what it does not know is unsupported");
  }
});

Deno.test("PX4 speaks MAVLink 1 until it hears MAVLink 2; ArduPilot speaks 2; one that knows 1 only hears no 2", () => {
  const px4 = new Probe({ personality: "px4-1.11" }, { version: 1 });
  px4.heartbeat();
  px4.pass(1500);
  assert.deepEqual(px4.take(MESSAGES.HEARTBEAT).map(({ version }) => version), [1, 1]);
  px4.heartbeat({ version: 2 });
  px4.pass(1000);
  assert.deepEqual(px4.take(MESSAGES.HEARTBEAT).map(({ version }) => version), [2]);
  const ardupilot = new Probe({ personality: "ardupilot-4.5" });
  ardupilot.pass(100);
  assert.equal(ardupilot.take(MESSAGES.HEARTBEAT)[0]?.version, 2);
  const old = new Probe({ mavlink: "1-only", files: FILES });
  assert.equal(old.ask("OpenFileRO", { path: LOG }), undefined);
  const reply = old.ask("OpenFileRO", { path: LOG }, { as: { version: 1 } });
  assert.equal(reply?.getU32(), 5000);
});

Deno.test("PX4 on USB says nothing until it hears a heartbeat, and three returns end in its shell", () => {
  const probe = new Probe({ silentUntilHeartbeat: true });
  probe.pass(5000);
  assert.equal(probe.frames.length, 0);
  probe.heartbeat();
  probe.pass(1500);
  assert.ok(probe.frames.length > 0);
  const shell = new Probe({ silentUntilHeartbeat: true }, { kind: "stream" });
  shell.core.receive(Uint8Array.of(13, 13, 13));
  shell.pass(10);
  shell.heartbeat();
  shell.pass(5000);
  assert.equal(shell.frames.length, 0);
  assert.ok(shell.core.vehicle.stats.happened("shell"));
  shell.core.vehicle.down();
  shell.core.vehicle.up();
  shell.heartbeat();
  shell.pass(1500);
  assert.ok(shell.frames.length > 0, "a boot mends it");
});

Deno.test("FTP that is disabled says so in a STATUSTEXT only, FTP that is off says nothing", () => {
  const disabled = new Probe({ personality: "ardupilot-4.5", ftp: "disabled" });
  assert.equal(disabled.ask("None"), undefined);
  const [text] = disabled.take(MESSAGES.STATUSTEXT);
  assert.equal(new TextDecoder().decode(text!.payload.subarray(1, 13)), "FTP disabled");
  const off = new Probe({ ftp: "off" });
  assert.equal(off.ask("None"), undefined);
  assert.deepEqual(off.take(MESSAGES.STATUSTEXT), []);
});

Deno.test("A signing vehicle signs, and takes neither unsigned packets nor one that it has seen", () => {
  let wallMs = Date.UTC(2026, 10, 25);
  const signer = new Signer(KEY, 1, () => wallMs);
  const probe = new Probe({ files: FILES, signing: { key: KEY }, wallMs: () => wallMs }, { signer });
  const sent: Uint8Array[] = [];
  const receive = probe.core.receive.bind(probe.core);
  probe.core.receive = (bytes) => (sent.push(bytes), receive(bytes));
  assert.equal(probe.ask("OpenFileRO", { path: LOG })?.getU32(), 5000);
  receive(sent[0]!);
  probe.pass(20);
  const { stats } = probe.core.vehicle;
  assert.deepEqual(stats.refused, { replayed: 1 });
  assert.equal(stats.count("OpenFileRO"), 1);
  assert.ok(probe.take(MESSAGES.HEARTBEAT).every(({ isSigned, version }) => isSigned && version === 2));
  const stranger = new Probe({ files: FILES, signing: { key: KEY } });
  assert.equal(stranger.ask("OpenFileRO", { path: LOG }), undefined);
  assert.deepEqual(stranger.core.vehicle.stats.refused, { unsigned: 1 });
  wallMs += 1;
});

Deno.test("What is addressed to another vehicle is not answered, what is addressed to all is", () => {
  const probe = new Probe({ files: FILES });
  assert.equal(probe.ask("OpenFileRO", { path: LOG, to: 2 }), undefined);
  assert.equal(probe.ask("None", { to: 0 })?.opcode, 128);
});

Deno.test("Two vehicles on one link have their own sessions, numbers and cards", () => {
  const probe = new Probe({
    vehicles: [
      { systemId: 1, files: FILES, traffic: { attitude: 0, position: 0 } },
      { systemId: 2, personality: "ardupilot-2026", files: { "/APM/LOGS/1.BIN": noise(9) } },
    ],
  });
  probe.heartbeat();
  probe.pass(1100);
  assert.deepEqual(new Set(probe.take(MESSAGES.HEARTBEAT).map(({ systemId }) => systemId)), new Set([1, 2]));
  assert.equal(probe.ask("OpenFileRO", { path: LOG, to: 1 })?.getU32(), 5000);
  assert.equal(probe.ask("OpenFileRO", { path: "/APM/LOGS/1.BIN", to: 2 })?.getU32(), 9);
});

Deno.test("A reboot forgets sessions and replies, is silent, and starts anew with what changed on the card", () => {
  const probe = new Probe({ files: FILES, armed: true });
  probe.heartbeat();
  probe.ask("OpenFileRO", { path: LOG, seq: 70 });
  const { vehicle } = probe.core;
  vehicle.down();
  probe.frames.length = 0;
  assert.equal(probe.ask("None"), undefined);
  probe.pass(5000);
  assert.equal(probe.frames.length, 0);
  vehicle.files.shrink(LOG, 10);
  vehicle.up();
  assert.equal(vehicle.isArmed, false);
  assert.equal(probe.ask("ReadFile", { size: 9, seq: 70 })?.area[0], 4, "not the reply to Open with that number");
  assert.equal(probe.ask("OpenFileRO", { path: LOG })?.getU32(), 10);
});

Deno.test("Arming comes at the byte where it is wanted", () => {
  const probe = new Probe({ files: FILES, armAtDataBytes: 1000 });
  probe.ask("OpenFileRO", { path: LOG });
  for (let n = 0; n < 4; n++) probe.ask("ReadFile", { offset: n * 239, size: 239 });
  assert.equal(probe.core.vehicle.isArmed, false);
  probe.ask("ReadFile", { offset: 4 * 239, size: 239 });
  assert.equal(probe.core.vehicle.isArmed, true);
});
