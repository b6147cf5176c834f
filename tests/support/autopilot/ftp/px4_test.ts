/** Each habit of PX4's FTP server, by a direct exchange of packets. */
import assert from "node:assert/strict";
import { cut, Files, ftpCrc32, noise } from "../mod.ts";
import { Probe } from "../probe.ts";
import { ACK, ERRORS, FtpPacket, latin1, NAK } from "../wire/ftp.ts";

const ROOT = "/fs/microsd/log";
const LOG = `${ROOT}/2026-11-21/09_14_07.ulg`;

function px4(name: "px4-1.11" | "px4-main" = "px4-1.11", more: object = {}): Probe {
  const probe = new Probe({ personality: name, files: { [LOG]: noise(100_000) }, ...more });
  probe.heartbeat();
  return probe.pass(10);
}

function nakCode(reply: FtpPacket | undefined): number {
  assert.equal(reply?.opcode, NAK);
  return reply!.area[0]!;
}

/** Opens the file and gives its size. */
function open(probe: Probe, path = LOG): number {
  const reply = probe.ask("OpenFileRO", { path }, { waitMs: 200 });
  assert.equal(reply?.opcode, ACK);
  assert.equal(reply?.session, 0);
  return reply!.getU32();
}

Deno.test("PX4 has one session with the id 0, and a second open is NoSessionsAvailable", () => {
  const probe = px4();
  assert.equal(open(probe), 100_000);
  assert.equal(nakCode(probe.ask("OpenFileRO", { path: LOG })), ERRORS.NoSessionsAvailable);
  assert.equal(nakCode(probe.ask("ReadFile", { session: 1, size: 10 })), ERRORS.InvalidSession);
  assert.equal(probe.ask("TerminateSession")?.opcode, ACK);
  assert.equal(nakCode(probe.ask("TerminateSession")), ERRORS.InvalidSession);
  assert.equal(probe.ask("ResetSessions")?.opcode, ACK);
  assert.equal(nakCode(probe.ask("ReadFile", { size: 10 })), ERRORS.InvalidSession);
});

Deno.test("PX4 takes a burst with a foreign session id when a file is open", () => {
  const probe = px4();
  open(probe);
  probe.send("BurstReadFile", { session: 9, size: 239 });
  probe.pass(100);
  assert.equal(probe.replies()[0]?.opcode, ACK);
});

Deno.test("ReadFile of 1.11 ignores the size, of main honours it; the end is EOF", () => {
  for (const [name, wanted] of [["px4-1.11", 239], ["px4-main", 20]] as const) {
    const probe = px4(name);
    open(probe);
    const reply = probe.ask("ReadFile", { offset: 1000, size: 20 })!;
    assert.equal(reply.size, wanted);
    assert.equal(reply.offset, 1000);
    const data = new Uint8Array(wanted);
    noise(100_000).read(1000, data);
    assert.deepEqual(reply.data, data);
    assert.equal(probe.ask("ReadFile", { offset: 99_990, size: 239 })?.size, 10);
    assert.equal(nakCode(probe.ask("ReadFile", { offset: 100_000, size: 239 })), ERRORS.Eof);
  }
});

Deno.test("A burst of PX4 runs to the first full buffer behind 35,000 bytes and comes in clumps", () => {
  const probe = px4("px4-1.11", { link: { down: { bytesPerSecond: 500_000 } } });
  open(probe);
  const times: number[] = [];
  const inner = probe.core.onOutput;
  probe.core.onOutput = (bytes) => {
    if (bytes.length > 200) times.push(probe.nowMs);
    inner(bytes);
  };
  probe.send("BurstReadFile", { size: 80 });
  const first = probe.seq;
  probe.pass(1000);
  const packets = probe.replies();
  assert.ok(packets.every(({ size }) => size === 239), "the size that was asked for is ignored");
  packets.forEach((packet, n) => {
    assert.equal(packet.offset, n * 239);
    assert.equal(packet.seq, first + n);
  });
  const sent = packets.length * 239;
  assert.ok(sent > 35_000 && sent < 35_000 + 30 * 239, `${sent} B`);
  assert.equal(packets.at(-1)?.burstComplete, 1);
  assert.equal(Math.floor((times.at(-1)! - times[0]!) / 10) > 3, true, "in several turns");
});

Deno.test("A burst that reaches the end has the EOF NAK behind it, numbered on, and data in burst_complete that is no sign", () => {
  const probe = px4();
  open(probe);
  probe.send("BurstReadFile", { offset: 99_000, size: 239 });
  const first = probe.seq;
  probe.pass(100);
  const packets = probe.replies();
  assert.equal(packets.length, 6);
  const end = packets.at(-1)!;
  assert.equal(nakCode(end), ERRORS.Eof);
  assert.equal(end.seq, first + 5);
  assert.equal(end.offset, 100_000);
  assert.equal(packets.at(-2)?.size, 1000 - 4 * 239);
  assert.notEqual(packets.at(-2)?.burstComplete, 1);
});

Deno.test("PX4 leaves rubbish behind the data, and now and then in a burst_complete that it does not write", () => {
  const seen = new Map<number, number>();
  // So slow that each turn of the sender has one packet, which is its last.
  const link = { down: { bytesPerSecond: 20_000 } };
  const probe = px4("px4-1.11", { link, traits: { txBufferBytes: 500 } });
  open(probe);
  probe.send("BurstReadFile", { offset: 90_000 });
  probe.pass(2000);
  const packets = probe.replies();
  for (const { burstComplete } of packets) seen.set(burstComplete, (seen.get(burstComplete) ?? 0) + 1);
  assert.ok(packets.length > 40 && seen.get(0)! > packets.length / 2 && seen.size > 1, JSON.stringify([...seen]));
  const short = packets.find(({ size, opcode }) => opcode === ACK && size < 239)!;
  assert.ok(short.area.subarray(short.size).some((byte) => byte !== 0));
});

Deno.test("The last small reply of PX4 comes again for its number, whatever is asked and by whom", () => {
  const probe = px4();
  open(probe);
  probe.send("BurstReadFile", { offset: 99_000 });
  probe.pass(100);
  const end = probe.replies().at(-1)!;
  probe.seq = (end.seq - 1) & 0xffff;
  const answer = probe.ask("OpenFileRO", { path: LOG }, { as: { systemId: 99 } })!;
  assert.equal(answer.reqOpcode, 15);
  assert.equal(nakCode(answer), ERRORS.Eof);
  probe.seq = (end.seq - 1) & 0xffff;
  assert.equal(probe.ask("None")?.reqOpcode, 15, "a retry with the same number never recovers");
  probe.seq = end.seq + 1;
  assert.equal(probe.ask("None")?.reqOpcode, 0);
});

Deno.test("PX4 does not see that 65535 is a repetition, and repeats what it was asked to do", () => {
  const probe = px4();
  assert.equal(probe.ask("CreateDirectory", { path: `${ROOT}/a`, seq: 65535 })?.opcode, ACK);
  assert.equal(nakCode(probe.ask("CreateDirectory", { path: `${ROOT}/a`, seq: 65535 })), ERRORS.FileExists);
  assert.equal(probe.ask("CreateDirectory", { path: `${ROOT}/b`, seq: 20 })?.opcode, ACK);
  assert.equal(probe.ask("CreateDirectory", { path: `${ROOT}/b`, seq: 20 })?.opcode, ACK, "from its memory");
});

Deno.test("PX4 closes what is idle for 10 s (30 s on main), even in the middle of a burst; None keeps it open", () => {
  for (const [name, idleMs] of [["px4-1.11", 10_000], ["px4-main", 30_000]] as const) {
    const slow = { link: { down: { bytesPerSecond: 800 } }, traits: { txBufferBytes: 800 } };
    const probe = px4(name, slow);
    open(probe);
    probe.send("BurstReadFile", {});
    probe.pass(idleMs - 100);
    assert.equal(probe.core.vehicle.stats.happened("idle-close"), false);
    probe.pass(500);
    assert.equal(probe.core.vehicle.stats.happened("idle-close"), true);
    probe.pass(2000).replies();
    probe.pass(5000);
    assert.deepEqual(probe.replies(), [], "the stream has ended without a word");

    const kept = px4(name, slow);
    open(kept);
    kept.send("BurstReadFile", {});
    for (let n = 0; n < 12; n++) {
      kept.send("None", { seq: 40_000 + n * 2 });
      kept.pass(3000);
    }
    assert.equal(kept.core.vehicle.stats.happened("idle-close"), false);
  }
});

Deno.test("Terminate and Reset stop a stream at once, ReadFile and None leave it alone, a new burst replaces it", () => {
  const probe = px4("px4-1.11", { link: { down: { bytesPerSecond: 100_000 } } });
  open(probe);
  probe.send("BurstReadFile", {});
  // Between two turns of the sender: right behind one the buffer is full, and a reply would be lost.
  probe.pass(109).replies();
  probe.send("ReadFile", { offset: 5000, size: 239, seq: 30_000 });
  probe.send("None", { seq: 31_000 });
  probe.pass(100);
  const mixed = probe.replies();
  assert.ok(mixed.some(({ reqOpcode, offset }) => reqOpcode === 5 && offset === 5000));
  assert.ok(mixed.some(({ reqOpcode, opcode }) => reqOpcode === 0 && opcode === ACK));
  assert.ok(mixed.some(({ reqOpcode }) => reqOpcode === 15));
  probe.send("BurstReadFile", { offset: 60_000, seq: 32_000 });
  probe.pass(200);
  assert.equal(probe.replies().at(-1)!.offset > 60_000, true);
  probe.send("TerminateSession", { seq: 33_000 });
  probe.pass(200).replies();
  probe.pass(500);
  assert.deepEqual(probe.replies(), []);
});

Deno.test("The size is taken when a file is opened: what grows is not seen, what shrinks gives empty packets", () => {
  const probe = px4();
  open(probe);
  const { files } = probe.core.vehicle;
  files.grow(LOG, new Uint8Array(1000));
  assert.equal(nakCode(probe.ask("ReadFile", { offset: 100_000, size: 239 })), ERRORS.Eof);
  files.shrink(LOG, 50_000);
  assert.equal(probe.ask("ReadFile", { offset: 60_000, size: 239 })?.size, 0);
  probe.ask("TerminateSession");
  assert.equal(open(probe), 50_000);
});

Deno.test("A stolen session goes on without an error, with the bytes of the other file", () => {
  const other = `${ROOT}/other.ulg`;
  const files = { [LOG]: noise(50_000, 1), [other]: noise(60_000, 2) };
  const probe = px4("px4-main", { files, others: [{ does: "steal", path: other, atDataBytes: 200 }] });
  open(probe);
  const before = probe.ask("ReadFile", { offset: 0, size: 239 })!;
  const after = probe.ask("ReadFile", { offset: 0, size: 239 })!;
  assert.equal(after.opcode, ACK);
  assert.notDeepEqual(after.data, before.data);
  assert.deepEqual(after.data, probe.core.vehicle.files.bytes(other).subarray(0, 239));
});

Deno.test("An empty directory is an ACK with nothing in it; a full one ends with EOF", () => {
  const files = new Files({ [LOG]: noise(10) });
  files.mkdirs(`${ROOT}/empty`);
  const probe = px4("px4-main", { files });
  assert.deepEqual(probe.ask("ListDirectory", { path: `${ROOT}/empty` })?.size, 0);
  assert.equal(probe.ask("ListDirectory", { path: `${ROOT}/empty` })?.opcode, ACK, "again and again");
  assert.equal(latin1(probe.ask("ListDirectory", { path: ROOT })!.data), "D2026-11-21\0Dempty\0");
  assert.equal(nakCode(probe.ask("ListDirectory", { path: ROOT, offset: 2 })), ERRORS.Eof);
  assert.equal(nakCode(probe.ask("ListDirectory", { path: `${ROOT}/absent` })), ERRORS.FileNotFound);
});

Deno.test("`.` and `..` are S records that count, and a card that fails gives S for ever", () => {
  const files = new Files({ [`${ROOT}/a.ulg`]: noise(7), [`${ROOT}/b.ulg`]: noise(8) });
  const probe = px4("px4-1.11", { files });
  assert.equal(
    latin1(probe.ask("ListDirectory", { path: ROOT })!.data),
    "S\0S\0Fa.ulg\x007\0Fb.ulg\x008\0".replaceAll("\x007", "\t7").replaceAll("\x008", "\t8"),
  );
  assert.equal(latin1(probe.ask("ListDirectory", { path: ROOT, offset: 3 })!.data), "Fb.ulg\t8\0");
  files.mkdirs(ROOT).brokenAfter = 1;
  assert.equal(latin1(probe.ask("ListDirectory", { path: ROOT })!.data), "S\0S\0Fa.ulg\t7\0S\0");
  for (const offset of [3, 4, 5, 100]) {
    assert.equal(latin1(probe.ask("ListDirectory", { path: ROOT, offset })!.data), "S\0");
  }
});

Deno.test("A page ends before a record that does not fit, and a name that no page holds is cut", () => {
  const names = Array.from({ length: 5 }, (_, n) => `${n}${"x".repeat(100)}`);
  const files = new Files(Object.fromEntries(names.map((name) => [`${ROOT}/${name}`, noise(1)])));
  files.add(`${ROOT}/z${"y".repeat(300)}`, noise(1));
  const probe = px4("px4-main", { files });
  let offset = 0;
  const seen: string[] = [];
  while (true) {
    const reply = probe.ask("ListDirectory", { path: ROOT, offset })!;
    if (reply.opcode === NAK) break;
    const records = latin1(reply.data).split("\0").filter((record) => record !== "");
    seen.push(...records);
    offset += records.length;
  }
  assert.deepEqual(seen.slice(0, 5), names.map((name) => `F${name}\t1`));
  assert.equal(seen[5]?.length, 238);
});

Deno.test("CRC-32 keeps the receiver busy: the link is deaf, and what does not fit its buffer is lost", () => {
  const probe = px4("px4-main", { files: { [LOG]: noise(2_000_000) }, rxBufferBytes: 100 });
  probe.send("CalcFileCRC32", { path: LOG });
  probe.pass(1000);
  for (let n = 0; n < 10; n++) probe.send("None", { seq: 5000 + 2 * n });
  probe.pass(900);
  assert.deepEqual(probe.replies(), []);
  probe.pass(300);
  const replies = probe.replies();
  assert.equal(replies[0]?.reqOpcode, 14);
  assert.equal(replies[0]?.getU32(), ftpCrc32(probe.core.vehicle.files.bytes(LOG)));
  assert.ok(replies.length > 1 && replies.length < 11, `${replies.length} replies`);
  assert.ok(probe.core.vehicle.stats.happened("rx-overflow"));
  assert.ok(probe.take({ id: 0, crcExtra: 50, length: 9, lengthMax: 9 }).length >= 2, "its own heartbeats go on");
});

Deno.test("A CRC that is asked for again with its number comes from memory", () => {
  const probe = px4("px4-main", { files: { [LOG]: noise(1_000_000) } });
  const first = probe.ask("CalcFileCRC32", { path: LOG, seq: 500 }, { waitMs: 1500 })!;
  const again = probe.ask("CalcFileCRC32", { path: LOG, seq: 500 }, { waitMs: 20 })!;
  assert.equal(again.getU32(), first.getU32());
});

Deno.test("Main writes below /fs/microsd only, knows @MAV_LOG, and repeats EEXIST for ever", () => {
  const probe = px4("px4-main");
  assert.equal(latin1(probe.ask("ListDirectory", { path: "@MAV_LOG" })!.data), "D2026-11-21\0");
  assert.equal(nakCode(probe.ask("CreateDirectory", { path: "/etc/x" })), ERRORS.FileProtected);
  assert.equal(nakCode(probe.ask("RemoveFile", { path: "/fs/microsd/../x" })), ERRORS.FileProtected);
  assert.equal(nakCode(probe.ask("CreateDirectory", { path: ROOT })), ERRORS.FileExists);
  assert.equal(nakCode(probe.ask("TerminateSession")), ERRORS.FileExists, "no truth in it");
  assert.equal(nakCode(probe.ask("RemoveFile", { path: `${ROOT}/no` })), ERRORS.FileNotFound);
  assert.equal(nakCode(probe.ask("TerminateSession")), ERRORS.InvalidSession);
});

Deno.test("PX4 writes, cuts, renames and removes files", () => {
  const probe = px4();
  const path = `${ROOT}/new.bin`;
  const { files } = probe.core.vehicle;
  assert.equal(probe.ask("CreateFile", { path })?.getU32(), 0);
  const reply = probe.ask("WriteFile", { offset: 0, data: new Uint8Array(100).fill(7) })!;
  assert.equal(reply.size, 4);
  assert.equal(reply.getU32(), 100);
  probe.ask("TerminateSession");
  assert.deepEqual(files.bytes(path), new Uint8Array(100).fill(7));
  assert.equal(probe.ask("TruncateFile", { path, offset: 40 })?.opcode, ACK);
  assert.equal(files.bytes(path).length, 40);
  assert.equal(probe.ask("Rename", { path: `${path}\0${ROOT}/b.bin` })?.opcode, ACK);
  assert.equal(probe.ask("RemoveFile", { path: `${ROOT}/b.bin`, seq: 100 })?.opcode, ACK);
  assert.equal(nakCode(probe.ask("RemoveFile", { path: `${ROOT}/b.bin`, seq: 200 })), ERRORS.FileNotFound);
  const full = probe.ask("RemoveDirectory", { path: ROOT })!;
  assert.deepEqual([...full.data], [ERRORS.FailErrno, 39]);
  assert.equal(nakCode(probe.ask("ListDirectoryWithTime", { path: ROOT })), ERRORS.UnknownCommand);
  assert.equal(nakCode(probe.ask(77)), ERRORS.UnknownCommand);
});

Deno.test("A size over 239 is InvalidDataSize, and a file that a listing knew may be gone", () => {
  const probe = px4();
  assert.equal(nakCode(probe.ask("ReadFile", { size: 250 })), ERRORS.InvalidDataSize);
  probe.core.vehicle.files.delete(LOG);
  assert.equal(nakCode(probe.ask("OpenFileRO", { path: LOG })), ERRORS.FileNotFound);
  assert.deepEqual([...probe.ask("OpenFileRO", { path: ROOT })!.data], [ERRORS.FailErrno, 21]);
});

Deno.test("A reply that finds the buffer full is lost", () => {
  const probe = px4("px4-1.11", { link: { down: { bytesPerSecond: 2000 } }, traits: { txBufferBytes: 600 } });
  open(probe);
  probe.pass(2000);
  for (let n = 0; n < 6; n++) probe.send("ReadFile", { offset: n * 239, size: 239, seq: 2000 + 2 * n });
  probe.pass(3000);
  assert.equal(probe.replies().length, 2);
  assert.equal(probe.core.vehicle.stats.lostForRoom, 4);
});

Deno.test("Sizes over 2 GiB and offsets whose last byte counts are read right", () => {
  const size = 3_000_000_123;
  const probe = px4("px4-main", { files: { [LOG]: noise(size, 3) } });
  assert.equal(open(probe), size);
  for (const offset of [0xff_ffff, 0x100_0000, 2_999_999_900]) {
    const reply = probe.ask("ReadFile", { offset, size: 239 })!;
    const wanted = new Uint8Array(reply.size);
    noise(size, 3).read(offset, wanted);
    assert.equal(reply.offset, offset);
    assert.deepEqual(reply.data, wanted);
  }
  assert.equal(cut(noise(10), 4).sizeBytes, 4);
});
