/** The simulator's codec of MAVLink against pymavlink's: both read what the other writes. */
import assert from "node:assert/strict";
import { askPymavlinkCodec, hasPython } from "../support/autopilot/clients/clients.ts";
import * as say from "../support/autopilot/vehicle_messages.ts";
import { decodeFrame, encodeFrame } from "../support/autopilot/wire/frame.ts";
import { MESSAGES } from "../support/autopilot/wire/messages.ts";
import { SignatureCheck, Signer } from "../support/autopilot/wire/signing.ts";
import { testNeeding } from "../support/needs.ts";

const KEY = Uint8Array.from({ length: 32 }, (_, n) => n * 7 & 0xff);
/** pymavlink 2.4.50 has TIMESYNC without its extension of two bytes. */
const SHORTER: Record<string, number> = { TIMESYNC: 16 };

testNeeding(
  "pymavlink",
  "pymavlink reads what encodeFrame() writes, signed and unsigned, and the other way round",
  async () => {
    const signer = new Signer(KEY, 1, () => Date.UTC(2026, 10, 25));
    const head = { version: 2, seq: 9, systemId: 1, componentId: 1 } as const;
    const uid2 = Uint8Array.from({ length: 18 }, (_, n) => n + 1);
    const said = [
      say.heartbeat(12, true),
      say.sysStatus(true),
      say.autopilotVersion({ hasFtp: true, version: 0x01020304, uid: 0xabcdefn, uid2 }),
      say.statusText("FTP disabled"),
      say.commandAck(512, 3, { systemId: 245, componentId: 191 }),
      say.radioStatus(77),
      say.attitude(1000),
      say.globalPosition(1000),
      say.highresImu(1000),
      say.logEntry({ id: 3, count: 9, last: 11, sizeBytes: 70_000, utcS: 1_700_000_000 }),
      say.logData(3, 180, Uint8Array.of(1, 2, 3)),
    ];
    const frames = said.map(({ message, payload }) => encodeFrame(head, message, payload).toHex());
    frames.push(encodeFrame(head, say.heartbeat(3, false).message, say.heartbeat(3, false).payload, signer).toHex());
    const answer = await askPymavlinkCodec({ names: Object.keys(MESSAGES), frames, key: KEY.toHex() });
    for (const [name, { id, crcExtra, lengthMax }] of Object.entries(MESSAGES)) {
      assert.deepEqual(answer.messages[name], [id, crcExtra, SHORTER[name] ?? lengthMax], name);
    }
    const read = (name: string) => answer.read.filter(({ mavpackettype }) => mavpackettype === name);
    assert.equal(answer.read.length, frames.length);
    const [armed, signed] = read("HEARTBEAT");
    assert.deepEqual([armed!.autopilot, Number(armed!.base_mode) & 128, armed!.system_status], [12, 128, 4]);
    assert.deepEqual([signed!.autopilot, Number(signed!.base_mode) & 128, signed!.signed], [3, 0, true]);
    assert.equal(Number(read("SYS_STATUS")[0]!.onboard_control_sensors_enabled) & 0x1000000, 0x1000000);
    assert.equal(read("SYS_STATUS")[0]!.battery_remaining, 87);
    const [version] = read("AUTOPILOT_VERSION");
    assert.deepEqual([version!.uid, version!.uid2, version!.flight_sw_version], [0xabcdef, [...uid2], 0x01020304]);
    assert.equal(Number(version!.capabilities) & 32, 32);
    assert.equal(read("STATUSTEXT")[0]!.text, "FTP disabled");
    assert.deepEqual([read("COMMAND_ACK")[0]!.command, read("COMMAND_ACK")[0]!.result], [512, 3]);
    assert.equal(read("RADIO_STATUS")[0]!.txbuf, 77);
    const [entry] = read("LOG_ENTRY");
    assert.deepEqual([entry!.id, entry!.num_logs, entry!.last_log_num, entry!.size], [3, 9, 11, 70_000]);
    const [data] = read("LOG_DATA");
    assert.deepEqual([data!.id, data!.ofs, data!.count, (data!.data as number[]).slice(0, 4)], [3, 180, 3, [
      1,
      2,
      3,
      0,
    ]]);
    const theirs = decodeFrame(Uint8Array.fromHex(answer.signed))!;
    assert.deepEqual([theirs.systemId, theirs.componentId, theirs.isSigned], [7, 8, true]);
    const check = new SignatureCheck(new Signer(KEY, 0, () => Date.UTC(2026, 8, 1)));
    assert.equal(check.judge(theirs), "good");
  },
  hasPython("pymavlink"),
);
