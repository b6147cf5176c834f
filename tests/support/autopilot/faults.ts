/**
 * Faults by script: lose, delay, repeat or change exactly the n-th packet of a kind. They sit at the door of the
 * vehicle's FTP server, so what they lose is lost for that one packet and for nothing else.
 */
import { ACK, type FtpPacket, NAK, type OpcodeName, opcodeName, OPCODES } from "./wire/ftp.ts";

/** An FTP packet on its way. */
export interface Passing {
  direction: "request" | "reply";
  packet: FtpPacket;
  /** The opcode of the request, in a reply too. */
  opcode: ReturnType<typeof opcodeName>;
  isNak: boolean;
  atMs: number;
  /** Size of the file that is open as the server said it last; 0 when none was opened. */
  openBytes: number;
}

/** The kinds that tests ask for most. */
export type FaultKind =
  | `request:${OpcodeName}`
  | `ack:${OpcodeName}`
  | `nak:${OpcodeName}`
  | "request"
  | "reply"
  | "data"
  | "last-data"
  | "burst-complete"
  | "eof-nak";

export interface Fault {
  on: FaultKind | ((passing: Passing) => boolean);
  /** The first is 1. Default: every one. */
  nth?: number | number[];
  /** Every k-th. */
  every?: number;
  /** At most so many times. */
  times?: number;
  /** What happens to it. Default: it is lost. */
  act?:
    | "lose"
    | { delayMs: number }
    | { copies: number }
    /** Answers a request in the server's place. */
    | { nak: number; errno?: number }
    /** Changes the packet on its way. */
    | { rewrite: (packet: FtpPacket) => void }
    /** Changes the frame's bytes; FTP replies only. */
    | { mangle: (frame: Uint8Array) => Uint8Array }
    /** Calls back and lets it pass. */
    | { then: () => void };
}

const FILE_DATA = new Set<string>(["ReadFile", "BurstReadFile"]);

function matches(on: Fault["on"], passing: Passing): boolean {
  if (typeof on === "function") return on(passing);
  const { direction, packet, opcode, isNak } = passing;
  const isData = direction === "reply" && !isNak && FILE_DATA.has(opcode);
  switch (on) {
    case "request":
    case "reply":
      return direction === on;
    case "data":
      return isData;
    case "last-data":
      return isData && packet.offset + packet.size === passing.openBytes;
    case "burst-complete":
      return isData && opcode === "BurstReadFile" && packet.burstComplete === 1;
    case "eof-nak":
      return isNak && direction === "reply" && packet.area[0] === 6;
  }
  const [what, name] = on.split(":") as [string, string];
  if (name !== opcode) return false;
  return what === "request" ? direction === "request" : direction === "reply" && isNak === (what === "nak");
}

export class FaultScript {
  #faults: { fault: Fault; seen: number; used: number }[] = [];
  #openBytes = 0;

  constructor(faults: Fault[] = []) {
    this.add(...faults);
  }

  add(...faults: Fault[]): void {
    for (const fault of faults) this.#faults.push({ fault, seen: 0, used: 0 });
  }

  clear(): void {
    this.#faults = [];
  }

  /** What shall happen to a packet; all faults that meet it, in order. */
  meet(direction: "request" | "reply", packet: FtpPacket, atMs: number): NonNullable<Fault["act"]>[] {
    const code = direction === "request" ? packet.opcode : packet.reqOpcode;
    const isNak = direction === "reply" && packet.opcode === NAK;
    const opcode = opcodeName(code);
    if (code === OPCODES.OpenFileRO && packet.opcode === ACK) this.#openBytes = packet.getU32();
    if (this.#faults.length === 0) return [];
    const passing: Passing = { direction, packet, opcode, isNak, atMs, openBytes: this.#openBytes };
    const acts: NonNullable<Fault["act"]>[] = [];
    for (const entry of this.#faults) {
      const { fault } = entry;
      if (!matches(fault.on, passing)) continue;
      entry.seen++;
      if (fault.nth !== undefined && ![fault.nth].flat().includes(entry.seen)) continue;
      if (fault.every !== undefined && entry.seen % fault.every !== 0) continue;
      if (fault.times !== undefined && entry.used >= fault.times) continue;
      entry.used++;
      acts.push(fault.act ?? "lose");
    }
    return acts;
  }
}
