/**
 * One vehicle: its heartbeats and other traffic, its rules of speaking (MAVLink 1 or 2, signing, silence), its FTP and
 * LOG_* servers. It knows time by its scheduler and the world by frames only.
 */
import { FaultScript } from "./faults.ts";
import { Files } from "./files.ts";
import { ArduPilotFtp } from "./ftp/ardupilot.ts";
import { MavsdkFtp } from "./ftp/mavsdk.ts";
import { Px4Ftp } from "./ftp/px4.ts";
import type { Address, FtpHost, FtpServer } from "./ftp/server.ts";
import { LogServer } from "./log_server.ts";
import type { VehicleOptions } from "./options.ts";
import { PERSONALITIES, type Traits } from "./personality.ts";
import type { Random } from "./random.ts";
import type { Due, Scheduler } from "./scheduler.ts";
import { Stats } from "./stats.ts";
import * as messages from "./vehicle_messages.ts";
import { encodeFrame, type Frame } from "./wire/frame.ts";
import { FtpPacket, opcodeName } from "./wire/ftp.ts";
import { type MessageKind, MESSAGES } from "./wire/messages.ts";
import { SignatureCheck, Signer } from "./wire/signing.ts";

/** How a packet leaves. */
export interface Sending {
  isLost?: boolean;
  delayMs?: number;
  copies?: number;
}

/** The wire as a vehicle sees it. */
export interface Wire {
  readonly backlogBytes: number;
  readonly bytesPerSecond: number | undefined;
  send(frame: Uint8Array, how: Sending): void;
  /** FTP replies for a node that is no peer of the link. */
  divert(packet: FtpPacket, to: Address): "only" | "too" | "not";
}

/** Commands: MAV_CMD_REQUEST_MESSAGE, MAV_CMD_REQUEST_AUTOPILOT_CAPABILITIES, MAV_CMD_COMPONENT_ARM_DISARM. */
const COMMAND = { requestMessage: 512, requestCapabilities: 520, armDisarm: 400 };
const RESULT = { accepted: 0, unsupported: 3 };
/** Bytes of an MAVLink 2 frame with a full FTP packet. */
const FTP_FRAME_BYTES = 266;
const RADIO_FULL = 33;

export class Vehicle implements FtpHost {
  readonly systemId: number;
  readonly componentId: number;
  readonly traits: Traits;
  readonly files: Files;
  readonly stats = new Stats();
  readonly faults: FaultScript;
  #isArmed: boolean;
  #isUp = true;
  #isAwake: boolean;
  #hasShell = false;
  #returns = 0;
  #version: 1 | 2;
  #seq = 0;
  #bootMs = 0;
  #deafUntilMs = 0;
  #waiting: Frame[] = [];
  #waitingBytes = 0;
  #radioTxbuf = 100;
  #periodic: Due[] = [];
  readonly #signer: Signer | undefined;
  readonly #signatures: SignatureCheck | undefined;
  readonly #ftp: FtpServer;
  readonly #logs: LogServer;
  #whenSent: { dataBytes: number; act: () => void }[] = [];

  constructor(
    readonly options: VehicleOptions,
    readonly scheduler: Scheduler,
    readonly random: Random,
    readonly wire: Wire,
    wallMs: () => number,
  ) {
    this.traits = { ...PERSONALITIES[options.personality ?? "px4-main"], ...options.traits };
    this.systemId = options.systemId ?? 1;
    this.componentId = options.componentId ?? 1;
    this.files = options.files instanceof Files ? options.files : new Files(options.files);
    this.files.mkdirs(this.traits.logRoot);
    this.faults = new FaultScript(options.faults);
    this.#isArmed = options.armed ?? false;
    if (options.armAtDataBytes !== undefined) this.whenSent(options.armAtDataBytes, () => this.arm());
    this.#isAwake = !(options.silentUntilHeartbeat ?? false);
    this.#version = this.#firstVersion();
    if (options.signing !== undefined) {
      this.#signer = new Signer(options.signing.key, options.signing.linkId ?? 0, wallMs);
      this.#signatures = new SignatureCheck(this.#signer);
    }
    this.#ftp = this.traits.stack === "px4"
      ? new Px4Ftp(this)
      : this.traits.stack === "ardupilot"
      ? new ArduPilotFtp(this)
      : new MavsdkFtp(this);
    const vehicle = this as Vehicle;
    this.#logs = new LogServer({
      scheduler,
      files: this.files,
      traits: this.traits,
      get freeBytes() {
        return vehicle.freeBytes;
      },
      get isArmed() {
        return vehicle.isArmed;
      },
      logsHeldElsewhere: options.logsHeldElsewhere ?? false,
      say: (said) => this.say(said),
      event: (name, detail) => this.event(name, detail),
      sentLogData: (count) => void (this.stats.logDataBytes += count),
    });
    this.#startTraffic();
  }

  get isArmed(): boolean {
    return this.#isArmed;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get freeBytes(): number {
    return Math.max(0, this.traits.txBufferBytes - this.wire.backlogBytes);
  }

  get portBytesPerSecond(): number | undefined {
    return this.wire.bytesPerSecond;
  }

  get isRadioFull(): boolean {
    return this.#radioTxbuf <= RADIO_FULL;
  }

  get packetBytes(): number {
    return FTP_FRAME_BYTES + (this.#signer === undefined ? 0 : 13);
  }

  event(name: string, detail?: string): void {
    this.stats.event(this.scheduler.nowMs, name, detail);
  }

  arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    this.stats.armedHeartbeatMs = undefined;
    this.event("armed");
    if (this.options.heartbeatOnArm ?? false) this.#heartbeat();
  }

  disarm(): void {
    if (!this.#isArmed) return;
    this.#isArmed = false;
    this.event("disarmed");
    if (this.options.heartbeatOnArm ?? false) this.#heartbeat();
  }

  /** Stops or starts heartbeats; everything else goes on. */
  setHeartbeats(on: boolean): void {
    this.options.heartbeats = on;
  }

  /** Goes down: sessions and queues are forgotten, nothing is said or heard until {@linkcode up}. */
  down(): void {
    this.#isUp = false;
    this.event("reboot");
    for (const due of this.#periodic) due.cancel();
    this.#periodic = [];
    this.#ftp.restart();
    this.#logs.restart();
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#deafUntilMs = 0;
  }

  up(): void {
    if (this.#isUp) return;
    this.#isUp = true;
    this.#isArmed = false;
    this.#hasShell = false;
    this.#bootMs = this.scheduler.nowMs;
    this.#seq = 0;
    this.#version = this.#firstVersion();
    this.#isAwake = !(this.options.silentUntilHeartbeat ?? false);
    this.event("booted");
    this.#startTraffic();
  }

  deafen(durationMs: number): void {
    this.#deafUntilMs = this.scheduler.nowMs + durationMs;
  }

  /** A byte that was part of no frame: PX4 on USB takes three returns for somebody who wants a shell. */
  junk(byte: number): void {
    this.#returns = byte === 13 ? this.#returns + 1 : 0;
    if (this.#returns === 3 && this.options.silentUntilHeartbeat === true && !this.#isAwake) {
      this.#hasShell = true;
      this.event("shell");
    }
  }

  receive(frame: Frame): void {
    if (!this.#isUp || this.#hasShell) return;
    if (frame.version === 2 && this.options.mavlink === "1-only") return;
    if (this.scheduler.nowMs < this.#deafUntilMs || this.#waiting.length > 0) return this.#wait(frame);
    this.#take(frame);
  }

  #wait(frame: Frame): void {
    const roomBytes = this.options.rxBufferBytes ?? 2048;
    if (this.#waitingBytes + frame.bytes.length > roomBytes) return this.event("rx-overflow");
    if (this.#waiting.length === 0) this.scheduler.at(this.#deafUntilMs, () => this.#catchUp());
    this.#waiting.push(frame);
    this.#waitingBytes += frame.bytes.length;
  }

  #catchUp(): void {
    while (this.#waiting.length > 0) {
      if (this.scheduler.nowMs < this.#deafUntilMs) {
        this.scheduler.at(this.#deafUntilMs, () => this.#catchUp());
        return;
      }
      const frame = this.#waiting.shift()!;
      this.#waitingBytes -= frame.bytes.length;
      this.#take(frame);
    }
  }

  #take(frame: Frame): void {
    const { messageId, payload, systemId, componentId } = frame;
    const verdict = messageId === MESSAGES.RADIO_STATUS.id ? "good" : this.#signatures?.judge(frame) ?? "good";
    if (verdict !== "good") {
      this.stats.refused[verdict] = (this.stats.refused[verdict] ?? 0) + 1;
      return;
    }
    if (frame.version === 2 && this.options.mavlink === undefined) this.#version = 2;
    const at = (index: number) => payload[index]!;
    const isMine = (system: number, component: number) =>
      (system === 0 || system === this.systemId) && (component === 0 || component === this.componentId);
    switch (messageId) {
      case MESSAGES.HEARTBEAT.id: {
        const node = `${systemId}/${componentId}`;
        this.stats.heartbeats[node] = (this.stats.heartbeats[node] ?? 0) + 1;
        this.#isAwake = true;
        return;
      }
      case MESSAGES.RADIO_STATUS.id:
        this.#radioTxbuf = at(6);
        return;
      case MESSAGES.COMMAND_LONG.id:
        if (isMine(at(30), at(31))) this.#command(payload, { systemId, componentId });
        return;
      case MESSAGES.FILE_TRANSFER_PROTOCOL.id:
        if (isMine(at(1), at(2))) this.ftp(new FtpPacket(payload.slice(3, 254)), { systemId, componentId });
        return;
      case MESSAGES.LOG_REQUEST_LIST.id:
        if (isMine(at(4), at(5))) this.#log(frame);
        return;
      case MESSAGES.LOG_REQUEST_DATA.id:
        if (isMine(at(10), at(11))) this.#log(frame);
        return;
      case MESSAGES.LOG_REQUEST_END.id:
      case MESSAGES.LOG_ERASE.id:
        if (isMine(at(0), at(1))) this.#log(frame);
    }
  }

  #log(frame: Frame): void {
    if (this.options.logs ?? true) this.#logs.receive(frame);
  }

  #command(payload: Uint8Array, from: Address): void {
    const view = new DataView(payload.buffer, payload.byteOffset);
    const command = view.getUint16(28, true);
    const first = view.getFloat32(0, true);
    const asksVersion = command === COMMAND.requestCapabilities ||
      (command === COMMAND.requestMessage && first === MESSAGES.AUTOPILOT_VERSION.id);
    const knows = asksVersion || command === COMMAND.armDisarm;
    this.say(messages.commandAck(command, knows ? RESULT.accepted : RESULT.unsupported, from));
    if (command === COMMAND.armDisarm) first === 1 ? this.arm() : this.disarm();
    if (asksVersion) {
      this.say(messages.autopilotVersion({
        hasFtp: (this.options.ftp ?? "on") === "on",
        version: this.traits.version,
        uid: this.options.uid ?? 0x1122334455667788n,
        uid2: this.options.uid2 ?? new Uint8Array(18),
      }));
    }
  }

  /** An FTP request, off the link or from a station that is simulated too. */
  ftp(packet: FtpPacket, from: Address): void {
    if (!this.#isUp) return;
    const { nowMs } = this.scheduler;
    this.stats.saw(nowMs, packet, opcodeName(packet.opcode), from);
    const mode = this.options.ftp ?? "on";
    if (mode === "disabled") this.say(messages.statusText("FTP disabled"));
    if (mode !== "on") return;
    let copies = 1;
    for (const act of this.faults.meet("request", packet, nowMs)) {
      if (act === "lose") copies = 0;
      else if ("nak" in act) {
        const data = act.errno === undefined ? [act.nak] : [act.nak, act.errno];
        const { seq, opcode, session, offset } = packet;
        const reply = FtpPacket.of({ seq: seq + 1, opcode: 129, reqOpcode: opcode, session, offset });
        reply.data = Uint8Array.from(data);
        this.send(reply, from);
        copies = 0;
      } else if ("delayMs" in act) {
        copies = 0;
        this.scheduler.after(act.delayMs, () => this.#ftp.receive(packet, from));
      } else if ("copies" in act) copies = act.copies;
      else if ("rewrite" in act) act.rewrite(packet);
      else if ("then" in act) act.then();
    }
    for (; copies > 0; copies--) this.#ftp.receive(packet.copy(), from);
  }

  /** An FTP reply. */
  send(reply: FtpPacket, to: Address): boolean {
    if (!this.#isUp) return false;
    const packet = reply.copy();
    const nowMs = this.scheduler.nowMs;
    const how: Sending = {};
    let mangle: ((frame: Uint8Array) => Uint8Array) | undefined;
    for (const act of this.faults.meet("reply", packet, nowMs)) {
      if (act === "lose") how.isLost = true;
      else if ("delayMs" in act) how.delayMs = act.delayMs;
      else if ("copies" in act) how.copies = act.copies;
      else if ("rewrite" in act) act.rewrite(packet);
      else if ("mangle" in act) mangle = act.mangle;
      else if ("then" in act) act.then();
    }
    const diverted = how.isLost === true ? "not" : this.wire.divert(packet, to);
    if (diverted === "only") return true;
    const payload = new Uint8Array(254);
    payload[1] = to.systemId;
    payload[2] = to.componentId;
    payload.set(packet.bytes, 3);
    const isSent = this.#frame(MESSAGES.FILE_TRANSFER_PROTOCOL, payload, how, mangle);
    if (!isSent) {
      this.stats.lostForRoom++;
      return false;
    }
    if (packet.opcode === 128 && (packet.reqOpcode === 15 || packet.reqOpcode === 5)) this.#sentData(packet.size);
    return true;
  }

  #sentData(count: number): void {
    this.stats.dataBytes += count;
    this.stats.dataPackets++;
    this.stats.lastDataMs = this.scheduler.nowMs;
    if (this.#whenSent.length === 0) return;
    const due = this.#whenSent.filter(({ dataBytes }) => this.stats.dataBytes >= dataBytes);
    this.#whenSent = this.#whenSent.filter((entry) => !due.includes(entry));
    for (const { act } of due) act();
  }

  /** Calls `act` once, when so many file bytes were sent. */
  whenSent(dataBytes: number, act: () => void): void {
    this.#whenSent.push({ dataBytes, act });
  }

  say({ message, payload }: messages.Said): boolean {
    return this.#frame(message, payload);
  }

  #frame(
    message: MessageKind,
    payload: Uint8Array,
    how?: Sending,
    mangle?: (frame: Uint8Array) => Uint8Array,
  ): boolean {
    if (!this.#isUp || !this.#isAwake || this.#hasShell) return false;
    const version = this.#signer === undefined ? this.#version : 2;
    const head = { version, seq: this.#seq, systemId: this.systemId, componentId: this.componentId };
    const frame = encodeFrame(head, message, payload, this.#signer);
    if (this.freeBytes < frame.length) {
      this.event("tx-full");
      return false;
    }
    this.#seq = (this.#seq + 1) & 0xff;
    this.wire.send(mangle === undefined ? frame : mangle(frame), how ?? {});
    return true;
  }

  #firstVersion(): 1 | 2 {
    const { mavlink } = this.options;
    if (mavlink !== undefined) return mavlink === 2 ? 2 : 1;
    return this.traits.startsInV1 ? 1 : 2;
  }

  #heartbeat(): void {
    if (this.options.heartbeats === false) return;
    const isSent = this.say(messages.heartbeat(this.traits.autopilot, this.#isArmed));
    if (isSent && this.#isArmed) this.stats.armedHeartbeatMs ??= this.scheduler.nowMs;
  }

  #startTraffic(): void {
    const { scheduler, options } = this;
    const every = (hz: number, say: () => void) => {
      if (hz > 0) this.#periodic.push(scheduler.every(1000 / hz, say, this.random.next() * 1000 / hz));
    };
    const boot = () => scheduler.nowMs - this.#bootMs;
    const traffic = { attitude: 10, position: 5, imu: 0, ...options.traffic };
    this.#periodic.push(scheduler.every(1000, () => this.#heartbeat(), 1));
    every(1, () => this.say(messages.sysStatus(options.logging ?? this.#isArmed)));
    every(traffic.attitude, () => this.say(messages.attitude(boot())));
    every(traffic.position, () => this.say(messages.globalPosition(boot())));
    every(traffic.imu, () => this.say(messages.highresImu(boot())));
  }
}
