/** LOG_* of both stacks, message by message. */
import assert from "node:assert/strict";
import { type CoreOptions, Files, noise } from "./mod.ts";
import { Probe } from "./probe.ts";
import { MESSAGES } from "./wire/messages.ts";

function start(personality: "px4-main" | "ardupilot-4.5", more: CoreOptions = {}): Probe {
  const px4 = personality === "px4-main";
  const files = new Files();
  for (const [n, size] of [500, 90 * 20, 0].entries()) {
    const path = px4 ? `/fs/microsd/log/sess00${n}/log100.ulg` : `/APM/LOGS/0000000${n}.BIN`;
    files.add(path, noise(size, n), { modifiedS: 1_700_000_000 + n });
  }
  if (!px4) files.add("/APM/LOGS/LASTLOG.TXT", "2\r\n");
  const probe = new Probe({ personality, files, ...more });
  probe.heartbeat();
  return probe.pass(10);
}

function request(probe: Probe, start: number, end = 0xffff): void {
  const payload = new Uint8Array(6);
  const view = new DataView(payload.buffer);
  view.setUint16(0, start, true);
  view.setUint16(2, end, true);
  payload.set([1, 1], 4);
  probe.say(MESSAGES.LOG_REQUEST_LIST, payload);
  probe.pass(500);
}

function fetch(probe: Probe, id: number, offset: number, count: number): void {
  const payload = new Uint8Array(12);
  const view = new DataView(payload.buffer);
  view.setUint32(0, offset, true);
  view.setUint32(4, count, true);
  view.setUint16(8, id, true);
  payload.set([1, 1], 10);
  probe.say(MESSAGES.LOG_REQUEST_DATA, payload);
  probe.pass(500);
}

function entries(probe: Probe): number[][] {
  return probe.take(MESSAGES.LOG_ENTRY).map(({ payload }) => {
    const view = new DataView(payload.buffer);
    const u16 = (at: number) => view.getUint16(at, true);
    return [u16(8), u16(10), u16(12), view.getUint32(4, true), view.getUint32(0, true)];
  });
}

function data(probe: Probe): { offset: number; bytes: Uint8Array }[] {
  return probe.take(MESSAGES.LOG_DATA).map(({ payload }) => ({
    offset: new DataView(payload.buffer).getUint32(0, true),
    bytes: payload.slice(7, 7 + payload[6]!),
  }));
}

Deno.test("PX4 numbers logs from 0, ArduPilot from 1; a range gives a part", () => {
  const px4 = start("px4-main");
  request(px4, 0);
  const all = entries(px4);
  assert.deepEqual(all.map(([id, count, last]) => [id, count, last]), [[0, 3, 2], [1, 3, 2], [2, 3, 2]]);
  assert.deepEqual(all[1]?.slice(3), [1800, 1_700_000_001]);
  request(px4, 1, 1);
  assert.deepEqual(entries(px4).map(([id]) => id), [1]);
  const ardupilot = start("ardupilot-4.5");
  request(ardupilot, 0);
  assert.deepEqual(entries(ardupilot).map(([id, , last]) => [id, last]), [[1, 3], [2, 3], [3, 3]]);
});

Deno.test("Data comes in 90 bytes up to the end of the range or a short packet; a new request replaces the old", () => {
  const probe = start("px4-main");
  fetch(probe, 0, 0, 500);
  assert.deepEqual(data(probe), [], "PX4 wants the list first");
  request(probe, 0);
  entries(probe);
  fetch(probe, 0, 0, 0xffffffff);
  const packets = data(probe);
  assert.deepEqual(packets.map(({ offset }) => offset), [0, 90, 180, 270, 360, 450]);
  assert.equal(packets.at(-1)?.bytes.length, 50);
  const joined = Uint8Array.from(packets.flatMap(({ bytes }) => [...bytes]));
  const wanted = new Uint8Array(500);
  noise(500, 0).read(0, wanted);
  assert.deepEqual(joined, wanted);
  fetch(probe, 1, 180, 100);
  assert.deepEqual(data(probe).map(({ offset, bytes }) => [offset, bytes.length]), [[180, 90], [270, 10]]);
  assert.equal(probe.core.vehicle.stats.logDataBytes, 600);
});

Deno.test("ArduPilot refuses while it is armed or another link downloads, PX4 does not", () => {
  const words = (probe: Probe) =>
    probe.take(MESSAGES.STATUSTEXT).map(({ payload }) =>
      new TextDecoder().decode(payload.slice(1, 51)).replace(/\0+$/, "")
    );
  const armed = start("ardupilot-4.5", { armed: true });
  request(armed, 0);
  assert.deepEqual(entries(armed), []);
  assert.deepEqual(words(armed), ["Disarm for log download"]);
  const held = start("ardupilot-4.5", { logsHeldElsewhere: true });
  fetch(held, 1, 0, 90);
  assert.deepEqual(words(held), ["Log download in progress"]);
  const px4 = start("px4-main", { armed: true });
  request(px4, 0);
  assert.equal(entries(px4).length, 3);
});

Deno.test("LOG_REQUEST_END stops a stream, and no logs is one entry that says so", () => {
  const probe = start("ardupilot-4.5", { traits: { txBufferBytes: 300 }, link: { down: { bytesPerSecond: 500 } } });
  request(probe, 0);
  probe.pass(2000);
  fetch(probe, 2, 0, 1800);
  probe.say(MESSAGES.LOG_REQUEST_END, Uint8Array.of(1, 1));
  probe.pass(30_000);
  assert.ok(data(probe).length < 20);
  const none = new Probe({ personality: "px4-main" });
  request(none, 0);
  assert.deepEqual(entries(none), [[0, 0, 0, 0, 0]]);
  const off = start("px4-main", { logs: false });
  request(off, 0);
  assert.deepEqual(entries(off), []);
});
