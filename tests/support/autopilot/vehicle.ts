/**
 * One vehicle: its heartbeats and other traffic, what it understands, its FTP and LOG_* servers. It knows time by its
 * scheduler and the world by frames only.
 */
import { FaultScript } from "./faults.ts";
import { Files } from "./files.ts";
import { ArduPilotFtp } from "./ftp/ardupilot.ts";
import { MavsdkFtp } from "./ftp/mavsdk.ts";
import { Px4Ftp } from "./ftp/px4.ts";
import type { Address, FtpHost, FtpServer } from "./ftp/server.ts";
import { Inbox } from "./inbox.ts";
import { type LogHost, LogServer } from "./log_server.ts";
import type { VehicleOptions } from "./options.ts";
import { PERSONALITIES, type Traits } from "./personality.ts";
import type { Random } from "./random.ts";
import type { Due, Scheduler } from "./scheduler.ts";
import { Stats } from "./stats.ts";
import * as messages from "./vehicle_messages.ts";
import { Voice } from "./voice.ts";
import type { Frame } from "./wire/frame.ts";
import { FtpPacket, NAK, opcodeName, OPCODES } from "./wire/ftp.ts";
import { type MessageKind, MESSAGES } from "./wire/messages.ts";

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

/** Bytes of an MAVLink 2 frame with a full FTP packet, and what a signature adds. */
const FTP_FRAME_BYTES = 266;
const SIGNATURE_BYTES = 13;
/** ArduPilot holds back at this much free buffer of the radio, per cent. */
const RADIO_FULL = 33;
/** So long after a heartbeat a client may believe it; a packet may be under way for the rest. */
const KNOWN_MS = 3500;
const INTRUSIONS_MAX = 10_000;
/** MAV_CMD and MAV_RESULT. */
const COMMAND = { requestMessage: 512, requestCapabilities: 520, armDisarm: 400 };
const RESULT = { accepted: 0, unsupported: 3 };

type Mangle = (frame: Uint8Array) => Uint8Array;

export class Vehicle implements FtpHost, LogHost {
  readonly systemId: number;
  readonly componentId: number;
  readonly traits: Traits;
  readonly files: Files;
  readonly stats = new Stats();
  readonly faults: FaultScript;
  readonly logsHeldElsewhere: boolean;
  #isArmed: boolean;
  #isUp = true;
  #bootMs = 0;
  #radioTxbuf = 100;
  /** When it last said whether it is armed. */
  #heartbeatMs = -Infinity;
  #periodic: Due[] = [];
  #whenSent: { dataBytes: number; act: () => void }[] = [];
  readonly #voice: Voice;
  readonly #inbox: Inbox;
  readonly #ftp: FtpServer;
  readonly #logs: LogServer;

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
    this.logsHeldElsewhere = options.logsHeldElsewhere ?? false;
    this.#isArmed = options.armed ?? false;
    if (options.armAtDataBytes !== undefined) this.whenSent(options.armAtDataBytes, () => this.arm());
    this.#voice = new Voice(this, options, this.traits, wallMs);
    const roomBytes = options.rxBufferBytes ?? 2048;
    this.#inbox = new Inbox(scheduler, roomBytes, (frame) => this.#take(frame), () => this.event("rx-overflow"));
    const servers = { px4: Px4Ftp, ardupilot: ArduPilotFtp, mavsdk: MavsdkFtp };
    this.#ftp = new servers[this.traits.stack](this);
    this.#logs = new LogServer(this);
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
    return FTP_FRAME_BYTES + (this.#voice.isSigning ? SIGNATURE_BYTES : 0);
  }

  event(name: string, detail?: string): void {
    this.stats.event(this.scheduler.nowMs, name, detail);
  }

  arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    this.stats.armedHeartbeatMs = undefined;
    this.stats.armedHeartbeats = 0;
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

  /** Calls `act` once, when so many file bytes were sent. */
  whenSent(dataBytes: number, act: () => void): void {
    this.#whenSent.push({ dataBytes, act });
  }

  /** Goes down: sessions and queues are forgotten, nothing is said or heard until {@linkcode up}. */
  down(): void {
    this.#isUp = false;
    this.event("reboot");
    for (const due of this.#periodic.splice(0)) due.cancel();
    this.#ftp.restart();
    this.#logs.restart();
    this.#inbox.clear();
  }

  up(): void {
    if (this.#isUp) return;
    this.#isUp = true;
    this.#isArmed = false;
    this.#radioTxbuf = 100;
    this.#bootMs = this.scheduler.nowMs;
    this.#voice.boot();
    this.event("booted");
    this.#startTraffic();
  }

  deafen(durationMs: number): void {
    this.#inbox.deafen(durationMs);
  }

  junk(byte: number): void {
    if (this.#isUp && this.#voice.junk(byte)) this.event("shell");
  }

  receive(frame: Frame): void {
    if (this.#isUp && this.#voice.understands(frame)) this.#inbox.receive(frame);
  }

  #take(frame: Frame): void {
    const { messageId, payload, systemId, componentId } = frame;
    const verdict = this.#voice.hear(frame);
    if (verdict !== "good") {
      this.stats.refused[verdict] = (this.stats.refused[verdict] ?? 0) + 1;
      return;
    }
    const from = { systemId, componentId };
    this.#observe(frame);
    const isMine = (at: number) => {
      const [system, component] = [payload[at]!, payload[at + 1]!];
      return (system === 0 || system === this.systemId) && (component === 0 || component === this.componentId);
    };
    switch (messageId) {
      case MESSAGES.HEARTBEAT.id:
        this.stats.heartbeat(from);
        return;
      case MESSAGES.RADIO_STATUS.id:
        this.#radioTxbuf = payload[6]!;
        return;
      case MESSAGES.COMMAND_LONG.id:
        if (isMine(30)) this.#command(payload, from);
        return;
      case MESSAGES.PARAM_REQUEST_READ.id:
        if (isMine(2)) this.#parameter(payload);
        return;
      case MESSAGES.FILE_TRANSFER_PROTOCOL.id:
        if (isMine(1)) this.ftp(new FtpPacket(payload.slice(3, 254)), from);
        return;
      case MESSAGES.LOG_REQUEST_LIST.id:
        if (isMine(4)) this.#log(frame);
        return;
      case MESSAGES.LOG_REQUEST_DATA.id:
        if (isMine(10)) this.#log(frame);
        return;
      case MESSAGES.LOG_REQUEST_END.id:
      case MESSAGES.LOG_ERASE.id:
        if (isMine(0)) this.#log(frame);
    }
  }

  /** What must not be asked now, whoever it is for. */
  #observe({ messageId, payload }: Frame): void {
    if (messageId === MESSAGES.HEARTBEAT.id || messageId === MESSAGES.RADIO_STATUS.id) return;
    const { nowMs } = this.scheduler;
    const isKnown = nowMs - this.#heartbeatMs <= KNOWN_MS;
    if (!this.#isArmed && isKnown) return;
    const isFtp = messageId === MESSAGES.FILE_TRANSFER_PROTOCOL.id;
    const what = isFtp ? opcodeName(payload[6]!) : `message ${messageId}`;
    const { intrusions, armedHeartbeats } = this.stats;
    if (intrusions.length >= INTRUSIONS_MAX) return;
    intrusions.push({ atMs: nowMs, what: String(what), isArmed: this.#isArmed, armedHeartbeats, isKnown });
  }

  #log(frame: Frame): void {
    if (this.options.logs ?? true) this.#logs.receive(frame);
  }

  #parameter(payload: Uint8Array): void {
    const name = new TextDecoder().decode(payload.subarray(4, 20)).replace(/\0.*$/s, "");
    const { parameters = {} } = this.options;
    const value = parameters[name];
    if (value !== undefined) this.say(messages.paramValue(name, value, Object.keys(parameters).length));
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
    if (!asksVersion) return;
    this.say(messages.autopilotVersion({
      hasFtp: (this.options.ftp ?? "on") === "on",
      version: this.traits.version,
      uid: this.options.uid ?? 0x1122334455667788n,
      uid2: this.options.uid2 ?? new Uint8Array(18),
    }));
  }

  /** An FTP request, off the link or from a station that is simulated too. */
  ftp(request: FtpPacket, from: Address): void {
    if (!this.#isUp) return;
    const { nowMs } = this.scheduler;
    const packet = request.copy();
    this.stats.saw(nowMs, packet, opcodeName(packet.opcode), from);
    const mode = this.options.ftp ?? "on";
    if (mode === "disabled") this.say(messages.statusText("FTP disabled"));
    if (mode !== "on") return;
    let copies = 1;
    for (const act of this.faults.meet("request", packet, nowMs)) {
      if (act === "lose") copies = 0;
      else if ("nak" in act) {
        this.send(nakFor(packet, act.nak, act.errno), from);
        copies = 0;
      } else if ("delayMs" in act) {
        copies = 0;
        this.scheduler.after(act.delayMs, () => this.#isUp && this.#ftp.receive(packet, from));
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
    const how: Sending = {};
    let mangle: Mangle | undefined;
    for (const act of this.faults.meet("reply", packet, this.scheduler.nowMs)) {
      if (act === "lose") how.isLost = true;
      else if ("delayMs" in act) how.delayMs = act.delayMs;
      else if ("copies" in act) how.copies = act.copies;
      else if ("rewrite" in act) act.rewrite(packet);
      else if ("mangle" in act) mangle = act.mangle;
      else if ("then" in act) act.then();
    }
    if (how.isLost !== true && this.wire.divert(packet, to) === "only") return true;
    const payload = new Uint8Array(254);
    payload[1] = to.systemId;
    payload[2] = to.componentId;
    payload.set(packet.bytes, 3);
    if (!this.#send(MESSAGES.FILE_TRANSFER_PROTOCOL, payload, how, mangle)) {
      this.stats.lostForRoom++;
      return false;
    }
    const { BurstReadFile, ReadFile } = OPCODES;
    const isData = packet.opcode !== NAK && (packet.reqOpcode === BurstReadFile || packet.reqOpcode === ReadFile);
    if (isData) this.#sentData(packet.size);
    return true;
  }

  #sentData(count: number): void {
    this.stats.data(this.scheduler.nowMs, count);
    if (this.#whenSent.length === 0) return;
    const due = this.#whenSent.filter(({ dataBytes }) => this.stats.dataBytes >= dataBytes);
    this.#whenSent = this.#whenSent.filter((entry) => !due.includes(entry));
    for (const { act } of due) act();
  }

  say({ message, payload }: messages.Said): boolean {
    return this.#send(message, payload, {});
  }

  sentLogData(count: number): void {
    this.stats.logDataBytes += count;
  }

  #send(message: MessageKind, payload: Uint8Array, how: Sending, mangle?: Mangle): boolean {
    const frame = this.#isUp ? this.#voice.frame(message, payload) : undefined;
    if (frame === undefined) return false;
    if (this.freeBytes < frame.length) {
      this.event("tx-full");
      return false;
    }
    this.#voice.sent();
    this.wire.send(mangle === undefined ? frame : mangle(frame), how);
    return true;
  }

  #heartbeat(): void {
    if (this.options.heartbeats === false) return;
    const isSent = this.say(messages.heartbeat(this.traits.autopilot, this.#isArmed));
    if (!isSent) return;
    this.#heartbeatMs = this.scheduler.nowMs;
    if (!this.#isArmed) return;
    this.stats.armedHeartbeatMs ??= this.#heartbeatMs;
    this.stats.armedHeartbeats++;
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

function nakFor(request: FtpPacket, code: number, errno?: number): FtpPacket {
  const { seq, opcode, session, offset } = request;
  const reply = FtpPacket.of({ seq: seq + 1, opcode: NAK, reqOpcode: opcode, session, offset });
  reply.data = Uint8Array.from(errno === undefined ? [code] : [code, errno]);
  return reply;
}
