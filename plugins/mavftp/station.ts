/**
 * Our end of a link with one vehicle: our heartbeat, the vehicle's heartbeats and identity, and the one place through
 * which requests leave. Promises that nothing but our own heartbeat is sent while the vehicle is armed or not known to
 * be disarmed, and that another vehicle's messages change nothing.
 */
import { DriverError } from "../../lib/driver/mod.ts";
import { FtpChannel } from "./channel.ts";
import { type Clock, sleep } from "./clock.ts";
import { encodeFrame, type Frame, FrameReader, MESSAGE } from "./frame_codec.ts";
import { encodeRequest, OPCODE } from "./ftp_codec.ts";
import { FlightGate, type GateState, SILENCE_MS } from "./gate.ts";
import {
  AUTOPILOT,
  type AutopilotVersion,
  COMMAND,
  encodeCommand,
  encodeHeartbeat,
  encodeParamRequest,
  isAutopilot,
  parseAutopilotVersion,
  parseHeartbeat,
  parseIsLogging,
  parseParamValue,
  parseStatusText,
  type Target,
} from "./messages.ts";
import type { Signer } from "./signing.ts";

/** Our component: an onboard computer (`MAV_COMP_ID_ONBOARD_COMPUTER`). */
const OWN_COMPONENT = 191;
const HEARTBEAT_MS = 1000;
/** After arming, the end of our session may still be sent for so long, milliseconds. */
const FAREWELL_MS = 200;
const FAREWELL_REPEAT_MS = 100;
/** A stream with half a frame that stays silent for so long has lost the rest, milliseconds. */
const IDLE_FLUSH_MS = 30;
/** How often and how long is asked for the autopilot's identity. */
const IDENTITY_TRIES = 5;
const IDENTITY_WAIT_MS = 700;
/** It says once a second or more often how it is; a link may lose one of those, milliseconds. */
const SYS_STATUS_WAIT_MS = 2500;

/** The wire, as far as a station sees it. */
export interface Port {
  /** What is sent arrives in this order or not at all: serial and TCP. */
  readonly isOrdered: boolean;
  /** Whether each piece that is received holds whole frames. */
  readonly isDatagram: boolean;
  /** @param systemId the vehicle it is for; all that were heard, when it is absent */
  send(frame: Uint8Array, systemId?: number): void;
}

export interface Vehicle extends Target {
  /** `MAV_AUTOPILOT`. */
  autopilot: number;
}

export interface StationOptions {
  clock: Clock;
  random: () => number;
  port: Port;
  ownSystemId: number;
  /** The vehicle; the first autopilot that is heard, when absent. */
  systemId?: number | undefined;
  settleMs?: number | undefined;
  signer?: Signer | undefined;
  /** Called at each change of the gate, after all requests have been stopped. */
  onGate?: (state: GateState, station: Station) => void;
}

type Listener = (frame: Frame) => void;

export class Station {
  readonly gate: FlightGate;
  readonly channel: FtpChannel;
  readonly clock: Clock;
  readonly port: Port;
  readonly #options: StationOptions;
  readonly #reader: FrameReader;
  readonly #listeners = new Map<number, Set<Listener>>();
  readonly #gateListeners = new Set<(state: GateState) => void>();
  #vehicle: Vehicle | undefined;
  /** When each of the vehicle's autopilots last said that it is armed. */
  readonly #armedMs = new Map<number, number>();
  #version: AutopilotVersion | undefined;
  #askedVersion = false;
  #seq = 0;
  #closed: DriverError | undefined;
  #cancelHeartbeat: () => void = () => {};
  #cancelFlush: () => void = () => {};
  /** The request that ends our session, while one is open. */
  #farewell: Uint8Array | undefined;
  #cancelFarewell: () => void = () => {};
  /** Whether a radio reports on this link. */
  hasRadio = false;
  /** Whether the autopilot says that its logger runs; `undefined` until it said anything. */
  #isLogging: boolean | undefined;
  /** Whether it said that FTP is switched off. */
  saysFtpDisabled = false;
  /** Systems heard with an autopilot. */
  readonly systems = new Set<number>();
  /** Frames of requests sent, for tests of the gate. */
  requestCount = 0;

  constructor(options: StationOptions) {
    const { clock, random } = options;
    this.#options = options;
    this.clock = clock;
    this.port = options.port;
    this.#reader = new FrameReader((frame) => this.#onFrame(frame));
    this.gate = new FlightGate({ clock, settleMs: options.settleMs, onChange: (state) => this.#onGate(state) });
    this.channel = new FtpChannel({
      clock,
      random,
      send: (request) => {
        const vehicle = this.#requireOpen();
        this.#sendFrame(MESSAGE.FILE_TRANSFER_PROTOCOL, encodeRequest(vehicle, request));
      },
    });
  }

  /** Sends our heartbeat now and each second from now on. */
  start(): void {
    const beat = () => {
      this.#transmit(MESSAGE.HEARTBEAT, encodeHeartbeat());
      this.#cancelHeartbeat = this.clock.after(HEARTBEAT_MS, beat);
    };
    beat();
  }

  /** The link is gone, or we go: everything that waits fails with `error`. */
  stop(error: DriverError): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    this.#cancelHeartbeat();
    this.#cancelFlush();
    this.#cancelFarewell();
    this.channel.abort(error);
    this.gate.shut();
  }

  get isStopped(): boolean {
    return this.#closed !== undefined;
  }

  /** The vehicle, once it was heard. */
  get vehicle(): Vehicle | undefined {
    return this.#vehicle;
  }

  /** What the autopilot says of itself, once it was asked. */
  get version(): AutopilotVersion | undefined {
    return this.#version;
  }

  /** Takes what came from the port. */
  receive(bytes: Uint8Array): void {
    if (this.#closed !== undefined) return;
    if (this.port.isDatagram) return this.#reader.pushDatagram(bytes);
    this.#cancelFlush();
    this.#reader.push(bytes);
    if (this.#reader.isWaiting) this.#cancelFlush = this.clock.after(IDLE_FLUSH_MS, () => this.#reader.flush());
  }

  /** Listens to the vehicle's messages of one kind. @returns what ends it */
  on(messageId: number, listener: Listener): () => void {
    const listeners = this.#listeners.get(messageId) ?? new Set();
    this.#listeners.set(messageId, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Listens to the gate, after what was asked has been stopped. @returns what ends it */
  onGate(listener: (state: GateState) => void): () => void {
    this.#gateListeners.add(listener);
    return () => this.#gateListeners.delete(listener);
  }

  /** Sends a request other than of file transfer. @throws {DriverError} when the gate is shut */
  request(messageId: number, encode: (target: Target) => Uint8Array): void {
    this.#sendFrame(messageId, encode(this.#requireOpen()));
  }

  /** A session is open: what ends it, sent should the vehicle be armed. `undefined` when there is none. */
  setFarewell(session: number | undefined): void {
    this.#farewell = session === undefined || this.#vehicle === undefined
      ? undefined
      : encodeRequest(this.#vehicle, { opcode: OPCODE.TERMINATE, session, seq: 0 });
  }

  /** Why nothing may be asked now. */
  get reason(): DriverError {
    if (this.#closed !== undefined) return this.#closed;
    const { gate } = this;
    const vehicle = this.#vehicle;
    if (vehicle === undefined || gate.isSilent) {
      return new DriverError("unavailable", vehicle === undefined ? "No autopilot is heard" : "Autopilot fell silent", {
        hint: "Check power and cable, and that this link's MAVLink is switched on at the autopilot",
      });
    }
    if (gate.state === "armed") {
      return new DriverError("held", "Vehicle is armed", { retryAfterMs: 5000 });
    }
    const waitMs = gate.opensInMs ?? 0;
    const seconds = Math.ceil(waitMs / 1000);
    return new DriverError("held", `Vehicle was disarmed a moment ago: waits ${seconds} s`, { retryAfterMs: waitMs });
  }

  #requireOpen(): Vehicle {
    if (this.#closed !== undefined || !this.gate.isOpen || this.#vehicle === undefined) throw this.reason;
    return this.#vehicle;
  }

  /** Resolves when the vehicle is there and may be asked. @throws {DriverError} `unavailable`, `held` */
  async ready(options: { heardMs: number; settleMs: number; signal?: AbortSignal | undefined }): Promise<Vehicle> {
    const { clock, gate } = this;
    const startMs = clock.nowMs();
    for (;;) {
      options.signal?.throwIfAborted();
      if (this.#closed !== undefined) throw this.#closed;
      if (gate.isOpen && this.#vehicle !== undefined) return this.#vehicle;
      const waitedMs = clock.nowMs() - startMs;
      const limitMs = gate.state === "silent" ? options.heardMs : options.settleMs;
      if (gate.state === "armed" || waitedMs >= limitMs) throw this.reason;
      if ((gate.opensInMs ?? 0) > limitMs - waitedMs) throw this.reason;
      await this.#gateChange(limitMs - waitedMs, options.signal);
    }
  }

  async #gateChange(limitMs: number, signal: AbortSignal | undefined): Promise<void> {
    const ended = new AbortController();
    const off = this.onGate(() => ended.abort());
    const onAbort = () => ended.abort();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await sleep(this.clock, limitMs, ended.signal);
    } catch {
      // The gate moved, or the caller gave up: both are looked at by the caller.
    } finally {
      signal?.removeEventListener("abort", onAbort);
      off();
    }
  }

  /** Asks who the autopilot is, once a connection. `undefined` when it does not say. */
  async identify(signal?: AbortSignal): Promise<AutopilotVersion | undefined> {
    for (let index = 0; index < IDENTITY_TRIES && this.#version === undefined && !this.#askedVersion; index++) {
      const old = index % 2 === 1;
      const command = old ? COMMAND.REQUEST_AUTOPILOT_CAPABILITIES : COMMAND.REQUEST_MESSAGE;
      const parameter = old ? 1 : MESSAGE.AUTOPILOT_VERSION;
      this.request(MESSAGE.COMMAND_LONG, (target) => encodeCommand(target, command, parameter));
      await this.#waitFor(MESSAGE.AUTOPILOT_VERSION, IDENTITY_WAIT_MS, () => true, signal);
    }
    this.#askedVersion = true;
    return this.#version;
  }

  /** Whether PX4 says that its logger runs. One that was only just met has a moment to say it. */
  async isLogging(signal?: AbortSignal): Promise<boolean> {
    if (this.#isLogging === undefined) {
      await this.#waitFor(MESSAGE.SYS_STATUS, SYS_STATUS_WAIT_MS, () => this.#isLogging !== undefined, signal);
    }
    return this.#isLogging ??= false;
  }

  /** A parameter of the autopilot's, `undefined` when it does not answer. */
  async parameter(name: string, signal?: AbortSignal): Promise<number | undefined> {
    for (let index = 0; index < 3; index++) {
      this.request(MESSAGE.PARAM_REQUEST_READ, (target) => encodeParamRequest(target, name));
      const frame = await this.#waitFor(
        MESSAGE.PARAM_VALUE,
        IDENTITY_WAIT_MS,
        (frame) => parseParamValue(frame).name === name,
        signal,
      );
      if (frame !== undefined) return parseParamValue(frame).value;
    }
    return undefined;
  }

  async #waitFor(
    messageId: number,
    waitMs: number,
    isWanted: (frame: Frame) => boolean,
    signal: AbortSignal | undefined,
  ): Promise<Frame | undefined> {
    let found: Frame | undefined;
    const ended = new AbortController();
    const off = this.on(messageId, (frame) => {
      if (!isWanted(frame)) return;
      found = frame;
      ended.abort();
    });
    const offGate = this.onGate(() => ended.abort());
    const onAbort = () => ended.abort();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await sleep(this.clock, waitMs, ended.signal);
    } catch {
      // Found, shut or cancelled; told below.
    } finally {
      off();
      offGate();
      signal?.removeEventListener("abort", onAbort);
    }
    signal?.throwIfAborted();
    if (found === undefined && !this.gate.isOpen) throw this.reason;
    return found;
  }

  #onFrame(frame: Frame): void {
    const { signer, systemId: wanted } = this.#options;
    if (signer !== undefined && !signer.accepts(frame)) return;
    if (frame.messageId === MESSAGE.RADIO_STATUS) {
      // Radios speak for the link, under a system id of their own.
      this.hasRadio = true;
      this.channel.rtt.expectRadio();
      return;
    }
    if (frame.messageId === MESSAGE.HEARTBEAT) this.#onHeartbeat(frame, wanted);
    const vehicle = this.#vehicle;
    if (vehicle === undefined || frame.systemId !== vehicle.systemId) return;
    switch (frame.messageId) {
      case MESSAGE.FILE_TRANSFER_PROTOCOL:
        if (frame.componentId === vehicle.componentId && this.#isForUs(frame.payload)) {
          this.channel.receive(frame.payload);
        }
        return;
      case MESSAGE.SYS_STATUS:
        if (frame.componentId === vehicle.componentId) this.#isLogging = parseIsLogging(frame);
        break;
      case MESSAGE.STATUSTEXT:
        if (/\bFTP\b.*disabled/i.test(parseStatusText(frame))) this.saysFtpDisabled = true;
        break;
      case MESSAGE.AUTOPILOT_VERSION:
        if (frame.componentId === vehicle.componentId) this.#version = parseAutopilotVersion(frame);
        break;
    }
    if (frame.componentId !== vehicle.componentId) return;
    for (const listener of [...this.#listeners.get(frame.messageId) ?? []]) listener(frame);
  }

  /** Addressed to us, or to everybody. */
  #isForUs(message: Uint8Array): boolean {
    const system = message[1]!;
    const component = message[2]!;
    return (system === 0 || system === this.#options.ownSystemId) && (component === 0 || component === OWN_COMPONENT);
  }

  #onHeartbeat(frame: Frame, wanted: number | undefined): void {
    const heartbeat = parseHeartbeat(frame);
    if (heartbeat.autopilot === AUTOPILOT.INVALID || frame.systemId === this.#options.ownSystemId) return;
    this.systems.add(frame.systemId);
    if (wanted !== undefined && frame.systemId !== wanted) return;
    if (this.#vehicle === undefined && isAutopilot(frame.componentId, heartbeat)) {
      this.#vehicle = {
        systemId: frame.systemId,
        componentId: frame.componentId,
        autopilot: heartbeat.autopilot,
      };
    }
    if (frame.systemId !== this.#vehicle?.systemId) return;
    // A second autopilot of the same vehicle that is armed is reason enough.
    const nowMs = this.clock.nowMs();
    if (heartbeat.isArmed) this.#armedMs.set(frame.componentId, nowMs);
    else this.#armedMs.delete(frame.componentId);
    const isArmed = [...this.#armedMs.values()].some((atMs) => nowMs - atMs <= SILENCE_MS);
    const isMain = frame.componentId === this.#vehicle.componentId;
    if (isMain) this.#vehicle.autopilot = heartbeat.autopilot;
    if (isMain || isArmed) this.gate.hear({ ...heartbeat, isArmed });
  }

  #onGate(state: GateState): void {
    if (state !== "open") {
      const error = this.reason;
      if (state === "armed") this.#sayFarewell();
      this.channel.abort(error);
    }
    if (state === "silent") {
      this.#askedVersion = false;
      // It may have started anew, and with it its logger.
      this.#isLogging = undefined;
      // Nobody knows when the vehicle was armed, should it be so when it is heard again.
      this.#farewell = undefined;
    }
    for (const listener of [...this.#gateListeners]) listener(state);
    this.#options.onGate?.(state, this);
  }

  /** The one exception of the gate: the end of our session, at once and once more, within 200 ms of the arm edge. */
  #sayFarewell(): void {
    const farewell = this.#farewell;
    this.#farewell = undefined;
    if (farewell === undefined) return;
    const armedMs = this.clock.nowMs();
    const say = () => {
      const seq = this.channel.takeSeq();
      farewell[3] = seq & 0xff;
      farewell[4] = seq >>> 8;
      this.#transmit(MESSAGE.FILE_TRANSFER_PROTOCOL, farewell);
    };
    say();
    this.#cancelFarewell = this.clock.after(FAREWELL_REPEAT_MS, () => {
      // A busy machine may come late: then it stays silent.
      if (this.clock.nowMs() - armedMs < FAREWELL_MS && this.gate.state === "armed") say();
    });
  }

  #sendFrame(messageId: number, payload: Uint8Array): void {
    this.requestCount++;
    this.#transmit(messageId, payload);
  }

  #transmit(messageId: number, payload: Uint8Array): void {
    const { signer, ownSystemId, port } = this.#options;
    const head = { seq: this.#seq, systemId: ownSystemId, componentId: OWN_COMPONENT };
    this.#seq = (this.#seq + 1) & 0xff;
    const frame = encodeFrame(
      head,
      messageId,
      payload,
      signer === undefined ? undefined : (bytes) => signer.sign(bytes),
    );
    port.send(frame, messageId === MESSAGE.HEARTBEAT ? undefined : this.#vehicle?.systemId);
  }
}
