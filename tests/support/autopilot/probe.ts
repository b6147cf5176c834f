/**
 * A bare MAVLink node for the simulator's own tests: it speaks packet by packet, in the simulator's virtual time, and
 * has no opinion on what it is told.
 */
import { AutopilotCore } from "./core.ts";
import type { CoreOptions } from "./options.ts";
import { Scheduler } from "./scheduler.ts";
import { encodeFrame, type Frame, FrameReader } from "./wire/frame.ts";
import { fromLatin1, type FtpFields, FtpPacket, type OpcodeName, OPCODES } from "./wire/ftp.ts";
import { type MessageKind, MESSAGES } from "./wire/messages.ts";
import type { Signer } from "./wire/signing.ts";

export interface ProbeOptions {
  systemId?: number;
  componentId?: number;
  version?: 1 | 2;
  kind?: "datagrams" | "stream";
  signer?: Signer;
}

export class Probe {
  readonly scheduler = new Scheduler();
  readonly core: AutopilotCore;
  readonly frames: Frame[] = [];
  /** Every chunk as it came. */
  readonly chunks: Uint8Array[] = [];
  seq = 1000;
  readonly #reader = new FrameReader();
  #frameSeq = 0;

  constructor(options: CoreOptions, readonly as: ProbeOptions = {}) {
    const quiet = { attitude: 0, position: 0, imu: 0 };
    this.core = new AutopilotCore({ traffic: quiet, ...options }, this.scheduler, as.kind ?? "datagrams");
    this.core.onOutput = (bytes) => {
      this.chunks.push(bytes);
      this.frames.push(...this.#reader.push(bytes));
    };
  }

  get nowMs(): number {
    return this.scheduler.nowMs;
  }

  /** Lets time pass. */
  pass(ms: number): this {
    this.scheduler.runUntil(this.scheduler.nowMs + ms);
    return this;
  }

  say(message: MessageKind, payload: Uint8Array, as: ProbeOptions = this.as): void {
    const head = {
      version: as.version ?? 2,
      seq: this.#frameSeq,
      systemId: as.systemId ?? 245,
      componentId: as.componentId ?? 191,
    };
    this.#frameSeq = (this.#frameSeq + 1) & 0xff;
    this.core.receive(encodeFrame(head, message, payload, as.signer ?? this.as.signer));
  }

  heartbeat(as: ProbeOptions = this.as): void {
    const payload = new Uint8Array(9);
    payload.set([0, 0, 0, 0, 18, 8, 0, 4, 3]);
    this.say(MESSAGES.HEARTBEAT, payload, as);
  }

  /** Sends an FTP request and does not wait. */
  send(
    opcode: OpcodeName | number,
    fields: Partial<FtpFields> & { path?: string; to?: number } = {},
    as: ProbeOptions = this.as,
  ): void {
    const { path, to = 1, ...rest } = fields;
    const packet = FtpPacket.of({ seq: this.seq, opcode: typeof opcode === "number" ? opcode : OPCODES[opcode] });
    if (path !== undefined) packet.data = fromLatin1(path);
    Object.assign(packet, rest);
    this.seq = (packet.seq + 1) & 0xffff;
    const payload = new Uint8Array(254);
    payload.set([0, to, 1]);
    payload.set(packet.bytes, 3);
    this.say(MESSAGES.FILE_TRANSFER_PROTOCOL, payload, as);
  }

  /** FTP packets that came since the last call. */
  replies(): FtpPacket[] {
    return this.take(MESSAGES.FILE_TRANSFER_PROTOCOL).map(({ payload }) => new FtpPacket(payload.slice(3, 254)));
  }

  /** Frames of one message since the last call; others stay. */
  take(message: MessageKind): Frame[] {
    const found = this.frames.filter(({ messageId }) => messageId === message.id);
    const rest = this.frames.filter(({ messageId }) => messageId !== message.id);
    this.frames.length = 0;
    this.frames.push(...rest);
    return found;
  }

  /** One request and the one reply that comes within `waitMs`; `undefined` when none does. */
  ask(
    opcode: OpcodeName | number,
    fields: Partial<FtpFields> & { path?: string; to?: number } = {},
    { waitMs = 20, as = this.as }: { waitMs?: number; as?: ProbeOptions } = {},
  ): FtpPacket | undefined {
    this.replies();
    this.send(opcode, fields, as);
    this.pass(waitMs);
    const replies = this.replies();
    if (replies.length > 1) throw new Error(`${replies.length} replies came where one was awaited`);
    if (replies[0] !== undefined) this.seq = (replies[0].seq + 1) & 0xffff;
    return replies[0];
  }
}
