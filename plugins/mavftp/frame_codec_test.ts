import assert from "node:assert/strict";
import { encodeFrame as encodeElsewhere } from "../../tests/support/autopilot/wire/frame.ts";
import { MESSAGES as MESSAGES_ELSEWHERE } from "../../tests/support/autopilot/wire/messages.ts";
import { encodeFrame, type Frame, FrameReader, KNOWN_MESSAGES, MESSAGE } from "./frame_codec.ts";
import { encodeHeartbeat } from "./messages.ts";

const HEAD = { seq: 7, systemId: 245, componentId: 191 };

function read(work: (reader: FrameReader) => void): Frame[] {
  const frames: Frame[] = [];
  work(new FrameReader((frame) => frames.push(frame)));
  return frames;
}

Deno.test("encodeFrame() writes the heartbeat that pymavlink 2.4 writes", () => {
  const frame = encodeFrame({ seq: 0, systemId: 1, componentId: 1 }, MESSAGE.HEARTBEAT, encodeHeartbeat());
  // MAVLink_heartbeat_message(type=18, autopilot=8, base_mode=0, custom_mode=0, system_status=4, mavlink_version=3)
  assert.equal(frame.toHex(), "fd09000000010100000000000000120800040316d2");
});

Deno.test("KNOWN_MESSAGES have the lengths and the CRC_EXTRA of another table", () => {
  for (const kind of Object.values(MESSAGES_ELSEWHERE)) {
    const known = KNOWN_MESSAGES.get(kind.id);
    if (known === undefined) continue;
    assert.deepEqual(known, { crcExtra: kind.crcExtra, lengthV1: kind.length, lengthMax: kind.lengthMax });
  }
});

Deno.test("encodeFrame() cuts trailing zeros, and reading brings them back", () => {
  const payload = new Uint8Array(254);
  payload[3] = 9;
  const frame = encodeFrame(HEAD, MESSAGE.FILE_TRANSFER_PROTOCOL, payload);
  assert.equal(frame.length, 10 + 4 + 2);
  assert.deepEqual(read((reader) => reader.push(frame))[0]!.payload, payload);
});

Deno.test("FrameReader takes frames of both versions, cut anywhere", () => {
  const payload = Uint8Array.from({ length: 254 }, (_, index) => (index * 7 + 1) & 0xff);
  const message = MESSAGES_ELSEWHERE.FILE_TRANSFER_PROTOCOL;
  const stream = new Uint8Array([
    ...encodeElsewhere({ version: 1, ...HEAD }, message, payload),
    ...encodeElsewhere({ version: 2, ...HEAD }, message, payload),
  ]);
  for (let size = 1; size < 40; size++) {
    const frames = read((reader) => {
      for (let at = 0; at < stream.length; at += size) reader.push(stream.subarray(at, at + size));
    });
    assert.deepEqual(frames.map(({ version }) => version), [1, 2], `pieces of ${size}`);
    for (const frame of frames) assert.deepEqual(frame.payload, payload);
  }
});

Deno.test("FrameReader loses no good frame behind a false beginning that claims a length", () => {
  const good = encodeFrame(HEAD, MESSAGE.HEARTBEAT, encodeHeartbeat());
  // Of an unknown message, and of a known one with a plausible length.
  for (const junk of ["fdff000000010100ff00", "fd2000000001016e0000", "fe", "fd", "fdfd", "fefd09"]) {
    const frames = read((reader) => {
      reader.push(new Uint8Array([...Uint8Array.fromHex(junk), ...good]));
      reader.flush();
    });
    assert.equal(frames.length, 1, junk);
  }
});

Deno.test("FrameReader finds all frames that were not damaged", () => {
  const payload = new Uint8Array(254).fill(0xfd);
  const stream: number[] = [];
  let damaged = 0;
  for (let index = 0; index < 300; index++) {
    const frame = encodeFrame({ ...HEAD, seq: index & 0xff }, MESSAGE.FILE_TRANSFER_PROTOCOL, payload);
    if (index % 7 === 3) {
      frame[1 + (index * 31) % 250]! ^= 0x55;
      damaged++;
    }
    stream.push(...frame);
  }
  const frames = read((reader) => {
    reader.push(new Uint8Array(stream));
    reader.flush();
  });
  assert.equal(frames.length, 300 - damaged);
});

Deno.test("FrameReader.pushDatagram() keeps nothing for the next one", () => {
  const good = encodeFrame(HEAD, MESSAGE.HEARTBEAT, encodeHeartbeat());
  const frames = read((reader) => {
    reader.pushDatagram(good.subarray(0, 12));
    reader.pushDatagram(new Uint8Array([...good, ...good]));
    assert.equal(reader.isWaiting, false);
  });
  assert.equal(frames.length, 2);
});
