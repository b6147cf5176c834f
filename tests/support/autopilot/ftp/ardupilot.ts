/**
 * ArduPilot's FTP server: one worker that takes requests from a short queue, one at a time. A burst is one piece of its
 * work that nothing interrupts; a reply waits for room, and an operation that waits too long loses its session.
 */
import { ACK, DATA_MAX, ERRORS, FtpPacket, opcodeName, OPCODES } from "../wire/ftp.ts";
import { ArduPilotSessions, type Session } from "./ardupilot_sessions.ts";
import { type Answer, workOfArduPilot } from "./ardupilot_work.ts";
import { type Address, burstCompleteOf, type FtpHost, type FtpServer, setNak } from "./server.ts";

const QUEUE_MAX = 5;
/** The worker looks for requests and for room this often. */
const POLL_MS = 2;
/** An operation that finds no room for so long is given up (a USB cable that was pulled). */
const BLOCKED_MS = 3000;

interface Request {
  packet: FtpPacket;
  from: Address;
}

export class ArduPilotFtp implements FtpServer {
  #queue: Request[] = [];
  #isBusy = false;
  #last: { packet: FtpPacket; to: Address } | undefined;
  /** Counts restarts: what was waiting before one does not go on after it. */
  #life = 0;
  readonly #sessions: ArduPilotSessions;

  constructor(readonly host: FtpHost) {
    this.#sessions = new ArduPilotSessions(host);
  }

  restart(): void {
    this.#life++;
    this.#queue = [];
    this.#isBusy = false;
    this.#last = undefined;
    this.#sessions.clear();
  }

  receive(packet: FtpPacket, from: Address): void {
    if (this.#queue.length >= QUEUE_MAX) return this.host.event("queue-full", opcodeName(packet.opcode));
    this.#queue.push({ packet, from });
    if (!this.#isBusy) this.#next(1);
  }

  #next(delayMs: number): void {
    this.#isBusy = true;
    this.#later(delayMs, () => {
      const request = this.#queue.shift();
      if (request === undefined) this.#isBusy = false;
      else this.#serve(request);
    });
  }

  #later(delayMs: number, run: () => void): void {
    const life = this.#life;
    this.host.scheduler.after(delayMs, () => {
      if (life === this.#life) run();
    });
  }

  #serve({ packet: request, from }: Request): void {
    const asker = { ...from };
    const last = this.#last;
    const reply = FtpPacket.of({ session: request.session, seq: request.seq + 1, reqOpcode: request.opcode });
    if (last !== undefined && last.to.systemId === asker.systemId) {
      // The old server assigns where it means to compare.
      if (this.host.traits.isOld) asker.componentId = last.to.componentId;
      const isSame = last.to.componentId === asker.componentId && last.packet.session === request.session &&
        last.packet.seq === reply.seq;
      if (isSame) return this.#send(last.packet.copy(), asker, undefined);
    }
    this.#sessions.closeIdle();
    if (this.host.traits.allocatesSessions && request.opcode === OPCODES.ResetSessions) {
      this.#sessions.reset(asker);
      reply.opcode = ACK;
      return this.#send(reply, asker, undefined);
    }
    const found = this.#sessions.of(request, asker);
    if (!("slot" in found)) {
      if (found.answer === "ack") reply.opcode = ACK;
      else setNak(reply, found.answer);
      // No memory of a refusal for want of a session: the next try may find one.
      return this.#send(reply, asker, undefined, found.answer !== ERRORS.NoSessionsAvailable);
    }
    const session = found.slot;
    const idleMs = this.host.scheduler.nowMs - session.lastMs;
    session.lastMs = this.host.scheduler.nowMs;
    reply.session = session.id;
    if (opcodeName(request.opcode) === "BurstReadFile") return this.#burst(request, asker, session);
    const answer = workOfArduPilot(request, session, this.host, this.#sessions, idleMs);
    const finish = () => {
      write(reply, answer);
      this.#send(reply, asker, session);
    };
    if (answer.afterMs === undefined) finish();
    else this.#later(answer.afterMs, finish);
  }

  /** Sends when there is room, then takes the next request. */
  #send(reply: FtpPacket, to: Address, session: Session | undefined, isKept = true): void {
    if (isKept) this.#last = { packet: reply, to };
    this.#whenRoom(session, () => {
      this.host.send(reply, to);
      this.#next(0);
    });
  }

  #whenRoom(session: Session | undefined, run: () => void, waitedMs = 0): void {
    const { host } = this;
    if (host.freeBytes >= host.packetBytes && !host.isRadioFull) return run();
    if (waitedMs > BLOCKED_MS) {
      host.event("blocked-close");
      if (session !== undefined) this.#sessions.close(session);
      return this.#next(0);
    }
    this.#later(POLL_MS, () => this.#whenRoom(session, run, waitedMs + POLL_MS));
  }

  #burst(request: FtpPacket, to: Address, session: Session): void {
    const { host } = this;
    const { burstPackets, flowControl, readBytesPerSecond } = host.traits;
    const chunk = request.size === 0 ? DATA_MAX : Math.min(request.size, DATA_MAX);
    const refuse = (code: number) => {
      const reply = FtpPacket.of({ session: session.id, seq: request.seq + 1, reqOpcode: request.opcode });
      this.#send(setNak(reply, code), to, session);
    };
    if (session.open === undefined) return refuse(ERRORS.FileNotFound);
    if (session.open.isWriting) return refuse(ERRORS.Fail);
    const packetBytes = host.packetBytes - DATA_MAX + chunk;
    const gapMs = flowControl || host.portBytesPerSecond === undefined
      ? chunk * 1000 / readBytesPerSecond
      : 3000 * packetBytes / host.portBytesPerSecond;
    let offset = request.offset;
    let count = 0;
    const step = () => {
      count++;
      const packet = FtpPacket.of({ session: session.id, seq: request.seq + count, reqOpcode: request.opcode });
      packet.offset = offset;
      const target = new Uint8Array(chunk);
      const got = session.open?.node.content.read(offset, target) ?? 0;
      const isEnd = got === 0;
      if (isEnd) {
        setNak(packet, ERRORS.Eof);
        packet.burstComplete = host.traits.eofCompletesBurst ? 1 : 0;
      } else {
        packet.opcode = ACK;
        packet.data = target.subarray(0, got);
        offset += got;
        const isLastData = host.traits.lastDataCompletesBurst && got < chunk;
        packet.burstComplete = count === burstPackets || isLastData ? 1 : 0;
      }
      packet.burstComplete = burstCompleteOf(packet.burstComplete, host);
      session.lastMs = host.scheduler.nowMs;
      this.#last = { packet, to };
      this.#whenRoom(session, () => {
        host.send(packet, to);
        if (!isEnd) this.#last = { packet: movedOn(packet, offset), to };
        if (isEnd || count === burstPackets) this.#next(0);
        else this.#later(gapMs, step);
      });
    };
    step();
  }
}

/**
 * After each packet of a burst the worker moves number and offset on in the reply that it remembers, and leaves the data:
 * who asks with the number of the last packet is given its bytes at the offset behind them.
 */
function movedOn(packet: FtpPacket, offset: number): FtpPacket {
  return Object.assign(packet.copy(), { seq: packet.seq + 1, offset });
}

function write(reply: FtpPacket, answer: Answer): void {
  if (answer.code !== undefined) {
    setNak(reply, answer.code, answer.errno);
    return;
  }
  reply.opcode = ACK;
  reply.offset = answer.offset ?? 0;
  reply.data = answer.data ?? new Uint8Array(0);
}
