/** Each habit of MAVSDK's FTP server before 4.0, by a direct exchange of packets. */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { noise } from "../mod.ts";
import { Probe } from "../probe.ts";
import { ACK, ERRORS, type FtpPacket, latin1, NAK } from "../wire/ftp.ts";

const LOG = "/log.ulg";

function mavsdk(more: object = {}): Probe {
  const probe = new Probe({ personality: "mavsdk-3", files: { [LOG]: noise(10_000) }, ...more });
  probe.heartbeat();
  return probe.pass(10);
}

function nakCode(reply: FtpPacket | undefined): number {
  assert.equal(reply?.opcode, NAK);
  return reply!.area[0]!;
}

Deno.test("A read across the end is Fail and poisons the stream: every later read fails until the file is opened again", () => {
  const probe = mavsdk();
  assert.equal(probe.ask("OpenFileRO", { path: LOG })?.getU32(), 10_000);
  assert.equal(probe.ask("ReadFile", { offset: 9_900, size: 100 })?.size, 100, "exactly to the end");
  assert.equal(nakCode(probe.ask("ReadFile", { offset: 9_900, size: 239 })), ERRORS.Fail);
  assert.equal(nakCode(probe.ask("ReadFile", { offset: 0, size: 10 })), ERRORS.Fail);
  assert.equal(nakCode(probe.ask("ReadFile", { offset: 10_000, size: 10 })), ERRORS.Eof);
  assert.equal(probe.ask("OpenFileRO", { path: LOG })?.opcode, ACK, "an open file is no hindrance");
  assert.equal(probe.ask("ReadFile", { offset: 0, size: 10 })?.opcode, ACK);
});

Deno.test("A burst goes to the end with burst_complete on its last packet, and no EOF NAK behind it", () => {
  const probe = mavsdk();
  probe.ask("OpenFileRO", { path: LOG });
  probe.send("BurstReadFile", { size: 200 });
  probe.pass(1000);
  const packets = probe.replies();
  assert.equal(packets.length, 50);
  assert.deepEqual(packets.map(({ burstComplete }) => burstComplete), packets.map((_, n) => n === 49 ? 1 : 0));
  assert.ok(packets.every(({ opcode }) => opcode === ACK));
});

Deno.test("A read in the middle of a burst moves the burst: its packets have the wrong bytes", () => {
  const probe = mavsdk({ files: { [LOG]: noise(100_000) } });
  probe.ask("OpenFileRO", { path: LOG });
  probe.send("BurstReadFile", { size: 239 });
  probe.pass(3);
  probe.send("ReadFile", { offset: 50_000, size: 239, seq: 30_000 });
  probe.pass(1000);
  const wrong = probe.replies().filter((packet) => {
    const wanted = new Uint8Array(packet.size);
    noise(100_000).read(packet.offset, wanted);
    return packet.opcode === ACK && Buffer.compare(packet.data, wanted) !== 0;
  });
  assert.ok(wrong.length > 100, `${wrong.length} packets`);
  assert.ok(wrong.every(({ reqOpcode }) => reqOpcode === 15));
});

Deno.test("None and unknown opcodes have no answer at all", () => {
  const probe = mavsdk();
  assert.equal(probe.ask("None"), undefined);
  assert.equal(probe.ask("ListDirectoryWithTime", { path: "/" }), undefined);
  assert.equal(probe.ask("TruncateFile", { path: LOG }), undefined);
});

Deno.test("Terminate and Reset always end everything; no memory of replies; lists end with EOF", () => {
  const probe = mavsdk();
  assert.equal(probe.ask("TerminateSession")?.opcode, ACK);
  probe.ask("OpenFileRO", { path: LOG });
  assert.equal(probe.ask("ResetSessions", { session: 8 })?.opcode, ACK);
  assert.equal(nakCode(probe.ask("ReadFile", { offset: 0, size: 10 })), ERRORS.Fail);
  assert.equal(probe.ask("CreateDirectory", { path: "/d", seq: 5 })?.opcode, ACK);
  assert.equal(nakCode(probe.ask("CreateDirectory", { path: "/d", seq: 5 })), ERRORS.FileExists);
  assert.equal(latin1(probe.ask("ListDirectory", { path: "/" })!.data), "Flog.ulg\t10000\0Dd\0");
  assert.equal(nakCode(probe.ask("ListDirectory", { path: "/", offset: 2 })), ERRORS.Eof);
  assert.equal(nakCode(probe.ask("ListDirectory", { path: "/d" })), ERRORS.Eof, "an empty directory too");
});
