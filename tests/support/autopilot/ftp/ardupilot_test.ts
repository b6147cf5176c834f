/** Each habit of ArduPilot's FTP server, by a direct exchange of packets. */
import assert from "node:assert/strict";
import { Files, ftpCrc32, noise, type PersonalityName, sparse } from "../mod.ts";
import { Probe } from "../probe.ts";
import { ACK, ERRORS, type FtpPacket, latin1, NAK } from "../wire/ftp.ts";
import { MESSAGES } from "../wire/messages.ts";

const ROOT = "/APM/LOGS";
const LOG = `${ROOT}/00000007.BIN`;
const OTHER = { systemId: 99, componentId: 50 };

function ardupilot(personality: PersonalityName, more: object = {}): Probe {
  const files = { [LOG]: noise(600_000), [`${ROOT}/LASTLOG.TXT`]: "7\r\n" };
  const probe = new Probe({ personality, files, ...more });
  probe.heartbeat();
  return probe.pass(10);
}

function nakCode(reply: FtpPacket | undefined): number {
  assert.equal(reply?.opcode, NAK);
  return reply!.area[0]!;
}

Deno.test("2026: session 0 has an id allocated, which reads have to use; foreign and lost ones are FileNotFound", () => {
  const probe = ardupilot("ardupilot-2026");
  const open = probe.ask("OpenFileRO", { path: LOG })!;
  assert.equal(open.getU32(), 600_000);
  assert.notEqual(open.session, 0);
  assert.equal(probe.ask("ReadFile", { session: open.session, size: 100 })?.size, 100);
  assert.equal(nakCode(probe.ask("ReadFile", { session: 77, size: 100 })), ERRORS.FileNotFound);
  assert.equal(nakCode(probe.ask("ReadFile", { session: open.session, size: 9 }, { as: OTHER })), ERRORS.FileNotFound);
});

Deno.test("2026: every opcode takes a slot: the sixth page with session 0 finds none for 3 s", () => {
  const probe = ardupilot("ardupilot-2026");
  for (let n = 0; n < 5; n++) assert.equal(probe.ask("ListDirectory", { path: ROOT })?.opcode, ACK);
  assert.equal(nakCode(probe.ask("ListDirectory", { path: ROOT })), ERRORS.NoSessionsAvailable);
  probe.pass(3100);
  const page = probe.ask("ListDirectory", { path: ROOT })!;
  assert.equal(page.opcode, ACK);
  for (let n = 0; n < 9; n++) {
    assert.equal(probe.ask("ListDirectory", { path: ROOT, session: page.session })?.opcode, ACK, "with the id again");
  }
});

Deno.test("2026: ResetSessions closes the asker's sessions only; the old ones ignore a foreign id", () => {
  const probe = ardupilot("ardupilot-2026");
  const open = probe.ask("OpenFileRO", { path: LOG })!;
  assert.equal(probe.ask("ResetSessions", { seq: 5 }, { as: OTHER })?.opcode, ACK);
  assert.equal(probe.ask("ReadFile", { session: open.session, size: 9 })?.opcode, ACK);
  assert.equal(probe.ask("ResetSessions", { seq: 9 })?.opcode, ACK);
  assert.equal(nakCode(probe.ask("ReadFile", { session: open.session, size: 9 })), ERRORS.FileNotFound);
  for (const name of ["ardupilot-4.0", "ardupilot-4.5"] as const) {
    const old = ardupilot(name);
    old.ask("OpenFileRO", { path: LOG, session: 3 });
    for (const opcode of ["ResetSessions", "TerminateSession"] as const) {
      assert.equal(old.ask(opcode, { session: 4 })?.opcode, ACK);
      assert.equal(old.ask("ReadFile", { session: 3, size: 9 })?.opcode, ACK, "it did nothing");
    }
    old.ask("ResetSessions", { session: 3 });
    assert.equal(nakCode(old.ask("ReadFile", { session: 3, size: 9 })), ERRORS.FileNotFound);
  }
});

Deno.test("Before 2025: another id while a file is open is InvalidSession for 3 s, then it takes the session", () => {
  const probe = ardupilot("ardupilot-4.5");
  assert.equal(probe.ask("OpenFileRO", { path: LOG, session: 3 })?.session, 3, "the id is echoed");
  assert.equal(nakCode(probe.ask("OpenFileRO", { path: LOG, session: 4 })), ERRORS.InvalidSession);
  assert.equal(nakCode(probe.ask("ListDirectory", { path: ROOT, session: 4 })), ERRORS.InvalidSession);
  probe.pass(3100);
  assert.equal(probe.ask("OpenFileRO", { path: LOG, session: 4 })?.opcode, ACK);
});

Deno.test("An open on a session with an open file is Fail until it was idle for 3 s; 20 s idle close it", () => {
  const probe = ardupilot("ardupilot-4.5");
  probe.ask("OpenFileRO", { path: LOG });
  assert.equal(nakCode(probe.ask("OpenFileRO", { path: LOG })), ERRORS.Fail);
  probe.pass(3100);
  assert.equal(probe.ask("OpenFileRO", { path: LOG })?.opcode, ACK);
  probe.pass(20_100);
  assert.equal(nakCode(probe.ask("ReadFile", { size: 9 })), ERRORS.FileNotFound);
  assert.ok(probe.core.vehicle.stats.happened("idle-close"));
});

Deno.test("A burst honours the size and is 100, 500 or 2000 packets long; streaming counts as activity", () => {
  for (const [name, packets] of [["ardupilot-4.0", 100], ["ardupilot-4.5", 500], ["ardupilot-2026", 2000]] as const) {
    const slow = { link: { down: { bytesPerSecond: 10_000 } } };
    const probe = ardupilot(name, slow);
    const open = probe.ask("OpenFileRO", { path: LOG }, { waitMs: 100 })!;
    probe.send("BurstReadFile", { session: open.session, size: 40 });
    const first = probe.seq;
    probe.pass(100_000);
    const got = probe.replies();
    assert.equal(got.length, packets);
    assert.ok(got.every(({ size, session }) => size === 40 && session === open.session));
    assert.deepEqual(got.map(({ seq }) => seq), got.map((_, n) => first + n));
    assert.deepEqual(got.map(({ burstComplete }) => burstComplete), got.map((_, n) => n === packets - 1 ? 1 : 0));
    assert.equal(probe.core.vehicle.stats.happened("idle-close"), false);
  }
});

Deno.test("Without flow control a burst takes a third of the port, with it all of it", () => {
  const spans = [false, true].map((flowControl) => {
    const probe = ardupilot("ardupilot-2026", { traits: { flowControl }, link: { down: { bytesPerSecond: 90_000 } } });
    const { session } = probe.ask("OpenFileRO", { path: LOG })!;
    const from = probe.nowMs;
    let last = from;
    probe.core.onOutput = (bytes) => bytes.length > 200 && (last = probe.nowMs);
    probe.send("BurstReadFile", { session, size: 239 });
    probe.pass(60_000);
    return 2000 * 266 / ((last - from) / 1000);
  });
  assert.ok(Math.abs(spans[0]! - 30_000) < 600, `${spans[0]} B/s`);
  assert.ok(spans[1]! > 85_000, `${spans[1]} B/s`);
});

Deno.test("At the end of the file a burst says EOF, since 2026 with burst_complete; some of 2025 with the last data", () => {
  for (
    const [name, lastDataCompletesBurst, data, nak] of [
      ["ardupilot-4.5", false, 0, 0],
      ["ardupilot-2026", false, 0, 1],
      ["ardupilot-2026", true, 1, 1],
    ] as const
  ) {
    const probe = ardupilot(name, { traits: { lastDataCompletesBurst } });
    const { session } = probe.ask("OpenFileRO", { path: LOG })!;
    probe.send("BurstReadFile", { session, offset: 599_900, size: 239 });
    probe.pass(100);
    const [last, end] = probe.replies();
    assert.deepEqual([last?.size, last?.burstComplete], [100, data]);
    assert.deepEqual([nakCode(end), end?.burstComplete], [ERRORS.Eof, nak]);
  }
});

Deno.test("Nothing interrupts a burst: requests wait behind it, five at most, the rest is dropped in silence", () => {
  const probe = ardupilot("ardupilot-2026", { link: { down: { bytesPerSecond: 100_000 } } });
  const { session } = probe.ask("OpenFileRO", { path: LOG })!;
  probe.send("BurstReadFile", { session, size: 239 });
  probe.pass(100);
  probe.send("TerminateSession", { session, seq: 20_000 });
  for (let n = 1; n < 8; n++) probe.send("None", { session, seq: 20_000 + 2 * n });
  probe.pass(60_000);
  const replies = probe.replies();
  const burst = replies.filter(({ reqOpcode }) => reqOpcode === 15);
  assert.equal(burst.length, 2000);
  assert.equal(replies.findIndex(({ reqOpcode }) => reqOpcode === 1), 2000, "Terminate waited");
  assert.equal(replies.length, 2005);
  assert.equal(probe.core.vehicle.stats.events.filter(({ name }) => name === "queue-full").length, 3);
});

Deno.test("A repeated request has its reply again, by system, component, session and number", () => {
  const probe = ardupilot("ardupilot-2026");
  const open = probe.ask("OpenFileRO", { path: LOG, seq: 300 })!;
  const other = probe.ask("OpenFileRO", { path: LOG, seq: 300 })!;
  assert.notEqual(
    other.session,
    open.session,
    "a lost Open ACK costs another slot: session 0 does not match the reply's",
  );
  const made = probe.ask("CreateDirectory", { path: `${ROOT}/x`, session: open.session, seq: 400 })!;
  assert.equal(made.opcode, ACK);
  assert.equal(probe.ask("CreateDirectory", { path: `${ROOT}/x`, session: open.session, seq: 400 })?.opcode, ACK);
  assert.equal(
    nakCode(probe.ask("CreateDirectory", { path: `${ROOT}/x`, session: open.session, seq: 402 })),
    ERRORS.FileExists,
  );
});

Deno.test("4.0 answers the component that asked before when two share a system id", () => {
  const probe = ardupilot("ardupilot-4.0");
  const to = () => probe.take(MESSAGES.FILE_TRANSFER_PROTOCOL).map(({ payload }) => payload[2]);
  probe.send("None", { seq: 10 }, { systemId: 245, componentId: 191 });
  probe.pass(20);
  assert.deepEqual(to(), [191]);
  probe.send("None", { seq: 20 }, { systemId: 245, componentId: 25 });
  probe.pass(20);
  assert.deepEqual(to(), [191]);
});

Deno.test("4.0 takes no NUL inside the size of a path, and refuses what it does not know with Fail", () => {
  const probe = ardupilot("ardupilot-4.0");
  assert.equal(nakCode(probe.ask("ListDirectory", { path: `${ROOT}\0` })), ERRORS.InvalidDataSize);
  assert.equal(nakCode(probe.ask("OpenFileRO", { path: `${LOG}\0` })), ERRORS.InvalidDataSize);
  assert.equal(nakCode(probe.ask("Rename", { path: `${LOG}\0${ROOT}/x` })), ERRORS.Fail);
  assert.equal(nakCode(probe.ask("TruncateFile", { path: LOG })), ERRORS.Fail);
  assert.equal(nakCode(probe.ask("OpenFileWO", { path: `${ROOT}/new` })), ERRORS.FileNotFound);
  const newer = ardupilot("ardupilot-2026");
  assert.equal(newer.ask("ListDirectory", { path: `${ROOT}\0` })?.opcode, ACK);
  assert.equal(nakCode(newer.ask("TruncateFile", { path: LOG })), ERRORS.UnknownCommand);
});

Deno.test("Before 2026 each record of a listing has a second NUL; a trailing slash is no matter; the end is EOF", () => {
  const files = () => new Files({ [`${ROOT}/1.BIN`]: noise(5), [`${ROOT}/2.BIN`]: noise(6) });
  const old = ardupilot("ardupilot-4.5", { files: files() });
  assert.equal(latin1(old.ask("ListDirectory", { path: `${ROOT}/` })!.data), "F1.BIN\t5\0\0F2.BIN\t6\0\0");
  assert.equal(latin1(old.ask("ListDirectory", { path: ROOT, offset: 1 })!.data), "F2.BIN\t6\0\0");
  assert.equal(nakCode(old.ask("ListDirectory", { path: ROOT, offset: 2 })), ERRORS.Eof);
  const empty = new Files();
  empty.mkdirs(ROOT);
  assert.equal(
    nakCode(ardupilot("ardupilot-2026", { files: empty }).ask("ListDirectory", { path: ROOT })),
    ERRORS.Eof,
    "an empty directory too",
  );
  const newer = ardupilot("ardupilot-2026", { files: files() });
  assert.equal(latin1(newer.ask("ListDirectory", { path: ROOT })!.data), "F1.BIN\t5\0F2.BIN\t6\0");
});

Deno.test("An entry that no packet holds is left out", () => {
  const files = new Files({ [`${ROOT}/${"x".repeat(250)}`]: noise(5), [`${ROOT}/2.BIN`]: noise(6) });
  const probe = ardupilot("ardupilot-2026", { files });
  assert.equal(latin1(probe.ask("ListDirectory", { path: ROOT })!.data), "F2.BIN\t6\0");
});

Deno.test("Reads go past the size at open when the file has grown; virtual files say 100000 and end earlier", () => {
  const files = new Files({ [LOG]: noise(1000) });
  files.add("/@SYS/threads.txt", "idle 99%\n", { listedBytes: 100_000 });
  const probe = ardupilot("ardupilot-4.5", { files });
  assert.equal(probe.ask("OpenFileRO", { path: LOG })?.getU32(), 1000);
  assert.equal(nakCode(probe.ask("ReadFile", { offset: 1000, size: 50 })), ERRORS.Eof);
  files.grow(LOG, new Uint8Array(30).fill(4));
  assert.equal(probe.ask("ReadFile", { offset: 1000, size: 50 })?.size, 30);
  probe.ask("TerminateSession");
  assert.equal(latin1(probe.ask("ListDirectory", { path: "@SYS" })!.data), "Fthreads.txt\t100000\0\0");
  assert.equal(probe.ask("OpenFileRO", { path: "@SYS/threads.txt" })?.getU32(), 100_000);
  assert.equal(probe.ask("ReadFile", { size: 239 })?.size, 9);
  assert.equal(nakCode(probe.ask("ReadFile", { offset: 9, size: 239 })), ERRORS.Eof);
});

Deno.test("Writing: WriteFile acknowledges its offset and no size, reading a file that is written is Fail, removal is unlink for both", () => {
  const probe = ardupilot("ardupilot-2026");
  const { session } = probe.ask("CreateFile", { path: `${ROOT}/n.txt` })!;
  const written = probe.ask("WriteFile", { session, offset: 50, data: new Uint8Array(50).fill(9) })!;
  assert.deepEqual([written.size, written.offset], [0, 50]);
  assert.equal(nakCode(probe.ask("ReadFile", { session, size: 9 })), ERRORS.Fail);
  probe.ask("TerminateSession", { session });
  assert.equal(probe.core.vehicle.files.bytes(`${ROOT}/n.txt`).length, 100);
  assert.equal(probe.ask("RemoveDirectory", { path: `${ROOT}/n.txt` })?.opcode, ACK);
  assert.equal(nakCode(probe.ask("RemoveFile", { path: `${ROOT}/n.txt` })), ERRORS.FileNotFound);
});

Deno.test("CRC-32 takes its time and blocks FTP alone", () => {
  const probe = ardupilot("ardupilot-2026");
  probe.send("CalcFileCRC32", { path: LOG });
  probe.send("None", { seq: 9000 });
  probe.pass(500);
  assert.deepEqual(probe.replies(), []);
  probe.pass(200);
  const [crc, none] = probe.replies();
  assert.equal(crc?.getU32(), ftpCrc32(probe.core.vehicle.files.bytes(LOG)));
  assert.equal(none?.reqOpcode, 0);
});

Deno.test("Replies wait for room and for the radio; after 3 s without any the session is closed", () => {
  const files = { [LOG]: sparse(100_000) };
  const probe = ardupilot("ardupilot-4.5", { files, link: { radio: { bufferBytes: 1000, txbuf: 20 } } });
  probe.ask("OpenFileRO", { path: LOG });
  probe.pass(1000).replies();
  probe.send("ReadFile", { size: 50 });
  probe.pass(2500);
  assert.deepEqual(probe.replies(), []);
  probe.pass(1000);
  assert.ok(probe.core.vehicle.stats.happened("blocked-close"));
});

Deno.test("Who asks with the number of a burst's last packet is given its bytes at a wrong offset", () => {
  const probe = ardupilot("ardupilot-4.0");
  probe.ask("OpenFileRO", { path: LOG });
  probe.send("BurstReadFile", { size: 100 });
  probe.pass(500);
  const last = probe.replies().at(-1)!;
  assert.equal(last.offset, 9900);
  const echo = probe.ask("ReadFile", { offset: 5, size: 100, seq: last.seq })!;
  assert.deepEqual([echo.reqOpcode, echo.opcode, echo.seq], [15, ACK, last.seq + 1]);
  assert.equal(echo.offset, 10_000);
  assert.deepEqual(echo.data, last.data);
  assert.equal(probe.ask("ReadFile", { offset: 5, size: 100, seq: last.seq + 1 })?.offset, 5);
});
