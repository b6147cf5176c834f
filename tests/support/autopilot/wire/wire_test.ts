import assert from "node:assert/strict";
import { crc32 as zlibCrc32 } from "node:zlib";
import { frameCrc, ftpCrc32 } from "./crc.ts";
import { decodeFrame, encodeFrame, FrameReader, PacketCutter } from "./frame.ts";
import { FtpPacket } from "./ftp.ts";
import { MESSAGES } from "./messages.ts";
import { SignatureCheck, Signer } from "./signing.ts";

const text = (value: string) => new TextEncoder().encode(value);
const HEAD = { version: 2, seq: 7, systemId: 1, componentId: 1 } as const;

Deno.test("ftpCrc32() gives the values of PX4, ArduPilot and MAVSDK", () => {
  assert.equal(ftpCrc32(text("123456789")), 0x2dfd2d88);
  assert.equal(ftpCrc32(text("a")), 0x3ab551ce);
  assert.equal(ftpCrc32(new Uint8Array(1000)), 0, "zeros do not show");
  assert.equal(ftpCrc32(text("56789"), ftpCrc32(text("1234"))), 0x2dfd2d88, "in two pieces");
  assert.equal(ftpCrc32(text("abc")), (zlibCrc32(text("abc"), 0xffffffff) ^ 0xffffffff) >>> 0);
});

Deno.test("frameCrc() is CRC-16/MCRF4XX with the extra byte last", () => {
  // The catalogued check value of the algorithm: "12345678" and then "9" where MAVLink has CRC_EXTRA.
  assert.equal(frameCrc(text("12345678"), 0, 8, "9".charCodeAt(0)), 0x6f91);
});

Deno.test("encodeFrame() writes the heartbeat that pymavlink writes", () => {
  // pymavlink 2.4.50: MAVLink_heartbeat_message(2, 12, 0x51, 0, 3, 3).pack(seq 7, system 1, component 1)
  const payload = Uint8Array.of(0, 0, 0, 0, 2, 12, 0x51, 3, 3);
  const v2 = encodeFrame(HEAD, MESSAGES.HEARTBEAT, payload);
  const v1 = encodeFrame({ ...HEAD, version: 1 }, MESSAGES.HEARTBEAT, payload);
  assert.equal(v2.toHex(), "fd09000007010100000000000000020c5103035d4a");
  assert.equal(v1.toHex(), "fe090701010000000000020c510303034b");
});

Deno.test("encodeFrame() cuts trailing zeros in MAVLink 2 and decodeFrame() brings them back", () => {
  const payload = new Uint8Array(254);
  payload.set([0, 1, 1, 0x34, 0x12, 0, 128, 239, 15]);
  const frame = encodeFrame(HEAD, MESSAGES.FILE_TRANSFER_PROTOCOL, payload);
  assert.equal(frame.length, 10 + 9 + 2);
  const read = decodeFrame(frame)!;
  assert.deepEqual(read.payload, payload);
  assert.equal(new FtpPacket(read.payload.slice(3, 254)).size, 239);
  const old = encodeFrame({ ...HEAD, version: 1 }, MESSAGES.FILE_TRANSFER_PROTOCOL, payload);
  assert.equal(old.length, 262, "MAVLink 1 is never trimmed");
});

Deno.test("encodeFrame() leaves extensions out of MAVLink 1, and one byte in MAVLink 2", () => {
  const payload = new Uint8Array(78).fill(1);
  assert.equal(encodeFrame({ ...HEAD, version: 1 }, MESSAGES.AUTOPILOT_VERSION, payload).length, 8 + 60);
  assert.equal(encodeFrame(HEAD, MESSAGES.AUTOPILOT_VERSION, payload).length, 12 + 78);
  assert.equal(encodeFrame(HEAD, MESSAGES.AUTOPILOT_VERSION, new Uint8Array(78)).length, 12 + 1);
});

Deno.test("FrameReader finds every whole frame among junk, in any pieces", () => {
  const frames = Array.from({ length: 20 }, (_, n) => {
    const payload = new Uint8Array(9).fill(n + 1);
    return encodeFrame({ ...HEAD, version: n % 2 === 0 ? 1 : 2, seq: n }, MESSAGES.HEARTBEAT, payload);
  });
  const bytes: number[] = [];
  for (const frame of frames) bytes.push(...frame, 0xfd, 0x03, 13);
  bytes.push(...new Array(300).fill(0));
  for (const size of [1, 2, 3, 7, 64, bytes.length]) {
    const reader = new FrameReader();
    const seqs: number[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      seqs.push(...reader.push(Uint8Array.from(bytes.slice(at, at + size))).map(({ seq }) => seq));
    }
    assert.deepEqual(seqs, frames.map((_, n) => n), `pieces of ${size}`);
  }
});

Deno.test("FrameReader passes over a damaged frame and reads the next", () => {
  const good = encodeFrame(HEAD, MESSAGES.HEARTBEAT, new Uint8Array(9).fill(5));
  const bad = good.slice();
  bad[12]! ^= 0x40;
  const reader = new FrameReader();
  assert.equal(reader.push(Uint8Array.of(...bad, ...good)).length, 1);
  assert.equal(reader.junkBytes, bad.length);
});

Deno.test("PacketCutter cuts unknown messages too and gives what is between", () => {
  const known = encodeFrame(HEAD, MESSAGES.HEARTBEAT, new Uint8Array(9).fill(5));
  const unknown = known.slice();
  unknown.set([0x39, 0x30], 7);
  const cutter = new PacketCutter();
  const bytes = Uint8Array.of(13, 13, ...known, ...unknown, ...known.subarray(0, 5));
  assert.deepEqual(cutter.push(bytes).map(({ length }) => length), [2, known.length, known.length]);
  assert.equal(cutter.flush()[0]!.length, 5);
});

Deno.test("Signer never repeats a time, and SignatureCheck refuses replays, strangers and old streams", () => {
  const key = new Uint8Array(32).fill(9);
  let wallMs = Date.UTC(2026, 10, 25);
  const signer = new Signer(key, 3, () => wallMs);
  const check = new SignatureCheck(new Signer(key, 0, () => wallMs));
  const sign = () => decodeFrame(encodeFrame(HEAD, MESSAGES.HEARTBEAT, new Uint8Array(9).fill(1), signer))!;
  const [first, second] = [sign(), sign()];
  assert.equal(first.bytes.length, 12 + 9 + 13);
  assert.equal(first.isSigned, true);
  assert.equal(check.judge(second), "good");
  assert.equal(check.judge(first), "replayed");
  assert.equal(check.judge(second), "replayed");
  assert.equal(check.judge(sign()), "good");
  const stranger = new Signer(new Uint8Array(32), 3, () => wallMs);
  const forged = decodeFrame(encodeFrame(HEAD, MESSAGES.HEARTBEAT, new Uint8Array(9).fill(1), stranger))!;
  assert.equal(check.judge(forged), "wrong key");
  wallMs -= 61_000;
  const late = new Signer(key, 4, () => wallMs);
  assert.equal(
    check.judge(decodeFrame(encodeFrame(HEAD, MESSAGES.HEARTBEAT, new Uint8Array(9).fill(1), late))!),
    "stale",
  );
  const unsigned = decodeFrame(encodeFrame(HEAD, MESSAGES.HEARTBEAT, new Uint8Array(9).fill(1)))!;
  assert.equal(check.judge(unsigned), "unsigned");
});
