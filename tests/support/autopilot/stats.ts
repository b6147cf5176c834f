/** What happened in the simulator, for the assertions of tests. */
import type { Address } from "./ftp/server.ts";
import type { FtpPacket, opcodeName } from "./wire/ftp.ts";

export interface SeenRequest {
  atMs: number;
  opcode: ReturnType<typeof opcodeName>;
  seq: number;
  session: number;
  offset: number;
  size: number;
  from: Address;
  /** For opcodes that carry one. */
  path: string;
}

/** A packet other than a heartbeat that reached a vehicle which was armed, or had not said whether it is. */
export interface Intrusion {
  atMs: number;
  /** The message, or the file transfer request. */
  what: string;
  isArmed: boolean;
  /** Heartbeats that said "armed" since it was armed. */
  armedHeartbeats: number;
  /** Whether it has said anything in the last 3 s. */
  isKnown: boolean;
}

export interface SimulatorEvent {
  atMs: number;
  /** `armed`, `disarmed`, `reboot`, `booted`, `idle-close`, `queue-full`, `blocked-close`, `tx-full`, `shell`, … */
  name: string;
  detail: string;
}

/** More are counted and not kept. */
const KEPT_MAX = 200_000;

export class Stats {
  /** All FTP requests that reached the vehicle, in order. */
  readonly requests: SeenRequest[] = [];
  readonly events: SimulatorEvent[] = [];
  readonly requestCounts: Record<string, number> = {};
  /** File bytes that left the vehicle in FTP data packets, repeated ones too. */
  dataBytes = 0;
  dataPackets = 0;
  /** FTP replies that found no room and were lost. */
  lostForRoom = 0;
  /** Time of the last FTP data packet that left. */
  lastDataMs: number | undefined;
  /** Time of the first heartbeat that said "armed", of the last arming. */
  armedHeartbeatMs: number | undefined;
  /** Heartbeats that said "armed", since the last arming. */
  armedHeartbeats = 0;
  /** What was asked of a vehicle that must be left alone: see {@linkcode Intrusion}. */
  readonly intrusions: Intrusion[] = [];
  /** Heartbeats heard from each node, `system/component`. */
  readonly heartbeats: Record<string, number> = {};
  /** Frames that the vehicle refused: `wrong key`, `replayed`, `unsigned`, `stale`. */
  readonly refused: Record<string, number> = {};
  /** Bytes of LOG_DATA. */
  logDataBytes = 0;

  /** Requests of one kind. */
  count(opcode: SeenRequest["opcode"]): number {
    return this.requestCounts[opcode] ?? 0;
  }

  of(opcode: SeenRequest["opcode"]): SeenRequest[] {
    return this.requests.filter((request) => request.opcode === opcode);
  }

  saw(atMs: number, packet: FtpPacket, opcode: SeenRequest["opcode"], from: Address): void {
    this.requestCounts[opcode] = (this.requestCounts[opcode] ?? 0) + 1;
    if (this.requests.length >= KEPT_MAX) return;
    const { seq, session, offset, size } = packet;
    const hasPath = opcode !== "ReadFile" && opcode !== "BurstReadFile" && opcode !== "WriteFile";
    this.requests.push({ atMs, opcode, seq, session, offset, size, from, path: hasPath ? packet.path : "" });
  }

  data(atMs: number, count: number): void {
    this.dataBytes += count;
    this.dataPackets++;
    this.lastDataMs = atMs;
  }

  heartbeat({ systemId, componentId }: Address): void {
    const node = `${systemId}/${componentId}`;
    this.heartbeats[node] = (this.heartbeats[node] ?? 0) + 1;
  }

  event(atMs: number, name: string, detail = ""): void {
    if (this.events.length < KEPT_MAX) this.events.push({ atMs, name, detail });
  }

  happened(name: string): boolean {
    return this.events.some((event) => event.name === name);
  }
}
