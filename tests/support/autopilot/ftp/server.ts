/** What every FTP server of the simulator is given, and what they do alike. */
import { type FileFault, type FileNode, type Files } from "../files.ts";
import type { Traits } from "../personality.ts";
import type { Random } from "../random.ts";
import type { Scheduler } from "../scheduler.ts";
import { ACK, FtpPacket, latin1, NAK } from "../wire/ftp.ts";

/** A MAVLink node that asks. */
export interface Address {
  systemId: number;
  componentId: number;
}

export interface FtpHost {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly files: Files;
  readonly traits: Traits;
  /** Bytes that the port takes now. */
  readonly freeBytes: number;
  /** Bytes a second of the port, where it is known. */
  readonly portBytesPerSecond: number | undefined;
  /** Whether a radio has asked for less (RADIO_STATUS.txbuf). */
  readonly isRadioFull: boolean;
  /** Bytes of a full data packet on the wire. */
  readonly packetBytes: number;
  /** Sends, or loses the packet when the port has no room. */
  send(packet: FtpPacket, to: Address): boolean;
  /** The link's receiver does nothing else for so long. */
  deafen(durationMs: number): void;
  event(name: string, detail?: string): void;
}

export interface FtpServer {
  receive(request: FtpPacket, from: Address): void;
  /** The vehicle restarts: everything is forgotten. */
  restart(): void;
}

/** An open file. */
export interface OpenFile {
  node: FileNode;
  path: string;
  isWriting: boolean;
  /** The size when it was opened. */
  sizeBytes: number;
}

export function setAck(reply: FtpPacket, data: Uint8Array = new Uint8Array(0)): FtpPacket {
  reply.opcode = ACK;
  reply.data = data;
  return reply;
}

export function setNak(reply: FtpPacket, code: number, errno?: number): FtpPacket {
  reply.opcode = NAK;
  reply.data = errno === undefined ? Uint8Array.of(code) : Uint8Array.of(code, errno);
  return reply;
}

/** The two paths of a Rename. */
export function renamePaths(request: FtpPacket): [string, string] {
  const [from = "", to = ""] = latin1(request.data).split("\0");
  return [from, to];
}

/** How long reading a file takes. */
export function readMs(sizeBytes: number, bytesPerSecond: number): number {
  return sizeBytes * 1000 / bytesPerSecond;
}

/** The burst_complete that a knob demands instead of the right one. */
export function burstCompleteOf(right: number, host: FtpHost): number {
  switch (host.traits.burstComplete) {
    case "normal":
      return right;
    case "never":
      return 0;
    case "always":
      return 1;
    case "garbage":
      return host.random.between(0, 255);
  }
}

export function isFault(value: unknown): value is FileFault {
  return typeof value === "string";
}
