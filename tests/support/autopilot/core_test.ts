/**
 * The whole simulator in one process and in virtual time: a plain client fetches files through bad links, and what it
 * gets is right, the same for the same seed, and cheap.
 */
import assert from "node:assert/strict";
import { AutopilotCore, type CoreOptions, noise, type PersonalityName, VirtualClock } from "./mod.ts";
import { encodeFrame, FrameReader } from "./wire/frame.ts";
import { ACK, ERRORS, fromLatin1, type FtpFields, FtpPacket, NAK, OPCODES } from "./wire/ftp.ts";
import { MESSAGES } from "./wire/messages.ts";

const LOG = "/log.ulg";
const RETRY_MS = 200;

/** Fetches a file by one ReadFile after the other; the slowest client there is, and one that is never wrong. */
class LockStep {
  #seq = 700;
  #frameSeq = 0;
  #wait: ((packet: FtpPacket | undefined) => void) | undefined;
  #timer: number | undefined;
  requests = 0;

  constructor(readonly clock: VirtualClock, readonly core: AutopilotCore) {
    const reader = new FrameReader();
    core.onOutput = (bytes) => {
      for (const { messageId, payload } of reader.push(bytes)) {
        if (messageId !== MESSAGES.FILE_TRANSFER_PROTOCOL.id) continue;
        const packet = new FtpPacket(payload.slice(3, 254));
        if (packet.seq !== ((this.#seq + 1) & 0xffff)) continue;
        this.#answer(packet);
      }
    };
  }

  #answer(packet: FtpPacket | undefined): void {
    this.clock.clearTimeout(this.#timer);
    const wait = this.#wait;
    this.#wait = undefined;
    wait?.(packet);
  }

  async ask(opcode: keyof typeof OPCODES, fields: Partial<FtpFields>): Promise<FtpPacket> {
    while (true) {
      this.#seq = (this.#seq + 2) & 0xffff;
      const payload = new Uint8Array(254);
      payload.set([0, 1, 1]);
      payload.set(FtpPacket.of({ seq: this.#seq, opcode: OPCODES[opcode], ...fields }).bytes, 3);
      const head = { version: 2, seq: this.#frameSeq++ & 0xff, systemId: 245, componentId: 191 } as const;
      this.requests++;
      const answer = new Promise<FtpPacket | undefined>((resolve) => this.#wait = resolve);
      this.#timer = this.clock.setTimeout(() => this.#answer(undefined), RETRY_MS);
      this.core.receive(encodeFrame(head, MESSAGES.FILE_TRANSFER_PROTOCOL, payload));
      const packet = await answer;
      if (packet?.reqOpcode === OPCODES[opcode]) return packet;
    }
  }

  async fetch(): Promise<Uint8Array> {
    let open: FtpPacket;
    do {
      await this.ask("ResetSessions", {});
      open = await this.ask("OpenFileRO", { data: fromLatin1(LOG) });
    } while (open.opcode === NAK);
    const { session } = open;
    const bytes = new Uint8Array(open.getU32());
    for (let at = 0; at < bytes.length;) {
      const size = Math.min(239, bytes.length - at);
      const packet = await this.ask("ReadFile", { session, offset: at, size });
      if (packet.opcode !== ACK) throw new Error(`NAK ${packet.area[0]} at ${at}`);
      assert.equal(packet.offset, at);
      bytes.set(packet.data.subarray(0, size), at);
      at += Math.min(size, packet.size);
    }
    await this.ask("TerminateSession", { session });
    return bytes;
  }
}

async function run(options: CoreOptions, kind: "datagrams" | "stream" = "datagrams") {
  const clock = new VirtualClock();
  const core = new AutopilotCore({ files: { [LOG]: noise(20_000) }, ...options }, clock.scheduler, kind);
  const client = new LockStep(clock, core);
  const bytes = await clock.run(client.fetch());
  return { bytes, atMs: clock.now(), requests: client.requests, counts: core.down.counts, core };
}

const BAD = { bytesPerSecond: 200_000, latencyMs: 8, jitterMs: 4, loss: 0.05, duplicate: 0.05, corrupt: 0.01 };
const NAMES: PersonalityName[] = [
  "px4-1.11",
  "px4-main",
  "ardupilot-4.0",
  "ardupilot-4.5",
  "ardupilot-2026",
  "mavsdk-3",
];

Deno.test("A plain client fetches the right bytes from every personality over a bad link", async () => {
  for (const personality of NAMES) {
    for (const kind of ["datagrams", "stream"] as const) {
      const link = { up: BAD, down: BAD, segment: { min: 1, max: 300 }, pack: { packets: 3, withinMs: 2 } };
      const { bytes, core } = await run({ personality, link, seed: 11 }, kind);
      assert.deepEqual(bytes, core.vehicle.files.bytes(LOG), `${personality} by ${kind}`);
      assert.ok(core.down.counts.lost > 0 && core.up.counts.lost > 0);
    }
  }
});

Deno.test("A run is repeated by its seed to the microsecond, and differs for another one", async () => {
  const shown = async (seed: number) => {
    const { atMs, requests, counts } = await run({ link: { up: BAD, down: BAD }, seed });
    return JSON.stringify([atMs, requests, counts]);
  };
  assert.equal(await shown(5), await shown(5));
  assert.notEqual(await shown(5), await shown(6));
});

Deno.test("A hundred runs, a third of them with a reset by another station, end right or with the NAK that it causes", async () => {
  let refused = 0;
  for (let seed = 1; seed <= 100; seed++) {
    const others = seed % 3 === 0 ? [{ does: "reset", atDataBytes: 9000 }] as const : [];
    try {
      const { bytes, core } = await run({ link: { up: BAD, down: BAD }, seed, others: [...others] });
      assert.deepEqual(bytes, core.vehicle.files.bytes(LOG));
    } catch (error) {
      assert.equal((error as Error).message.slice(0, 6), `NAK ${ERRORS.InvalidSession} `);
      refused++;
    }
  }
  assert.equal(refused, 33);
});

Deno.test("VirtualClock.run() fails when time stands still or is over, and passes on what the work throws", async () => {
  const clock = new VirtualClock();
  await assert.rejects(clock.run(new Promise(() => {})), /Time stands still/);
  clock.scheduler.every(1000, () => {});
  await assert.rejects(clock.run(new Promise(() => {}), 5000), /has not settled after 5000 ms/);
  await assert.rejects(clock.run(Promise.reject(new Error("mine"))), /mine/);
  const before = clock.now();
  await clock.pass(250);
  assert.equal(clock.now(), before + 250);
});
