/**
 * PX4's FTP server: one session with the id 0 for a link, requests answered at once by the receiver, bursts sent by the
 * sender's loop as the buffer has room, and the last small reply kept for whoever asks with its number.
 */
import { ERRNO } from "../files.ts";
import type { Due } from "../scheduler.ts";
import { ACK, DATA_MAX, ERRORS, FtpPacket, NAK, OPCODES } from "../wire/ftp.ts";
import { type Answer, Px4Work } from "./px4_work.ts";
import { type Address, burstCompleteOf, type FtpHost, type FtpServer } from "./server.ts";

const CACHED_BYTES_MAX = 4;
/** How often a burst_complete that nobody wrote is not 0. */
const STRAY = 1 / 8;

interface Stream {
  to: Address;
  seq: number;
  offset: number;
  sentBytes: number;
}

export class Px4Ftp implements FtpServer {
  readonly #work: Px4Work;
  #stream: Stream | undefined;
  #cached: { packet: FtpPacket; to: Address } | undefined;
  /** The last errno of a file operation; nothing ever clears it. */
  #errno = 0;
  #lastRequestMs = 0;
  #idle: Due | undefined;
  #tick: Due | undefined;
  /** Counts restarts: what was being worked on before one has no answer after it. */
  #life = 0;

  constructor(readonly host: FtpHost) {
    this.#work = new Px4Work(host, () => this.#watchIdle(), () => this.#stopStream());
  }

  restart(): void {
    this.#life++;
    this.#work.close();
    this.#cached = undefined;
    this.#errno = 0;
    this.#idle?.cancel();
    this.#idle = undefined;
  }

  receive(request: FtpPacket, from: Address): void {
    const { scheduler } = this.host;
    this.#lastRequestMs = scheduler.nowMs;
    if (request.size > DATA_MAX) return this.#answer(request, from, { code: ERRORS.InvalidDataSize });
    // By the number alone: not session, opcode or sender. Compared as an int, so 65535 has no repetition.
    if (this.#cached !== undefined && request.seq + 1 === this.#cached.packet.seq) {
      this.host.send(this.#cached.packet, this.#cached.to);
      return;
    }
    const answer = this.#work.answer(request);
    if ("bursts" in answer) {
      this.#stream = { to: from, seq: (request.seq + 1) & 0xffff, offset: request.offset, sentBytes: 0 };
      return this.#watchTick();
    }
    if (!("afterMs" in answer) || answer.afterMs === undefined) return this.#answer(request, from, answer);
    const life = this.#life;
    scheduler.after(answer.afterMs, () => life === this.#life && this.#answer(request, from, answer));
  }

  /** The reply is the request's buffer with the answer written over it: what is behind `size` stays as it was. */
  #answer(request: FtpPacket, to: Address, answer: Answer): void {
    const reply = request.copy();
    reply.seq = request.seq + 1;
    reply.reqOpcode = request.opcode;
    if ("code" in answer) this.#writeNak(reply, answer.code, answer.errno);
    else {
      reply.opcode = ACK;
      if ("data" in answer) reply.data = answer.data;
    }
    this.#reply(reply, to);
  }

  #writeNak(reply: FtpPacket, code: number, errno?: number): void {
    if (errno !== undefined) this.#errno = errno;
    const isSticky = this.host.traits.stickyErrno && this.#errno === ERRNO.exists;
    const said = isSticky ? ERRORS.FileExists : code;
    reply.opcode = NAK;
    reply.data = said === ERRORS.FailErrno && errno !== undefined ? Uint8Array.of(said, errno) : Uint8Array.of(said);
  }

  /** Small replies are kept; larger ones neither are nor make an older one forgotten. */
  #reply(reply: FtpPacket, to: Address): void {
    if (reply.size <= CACHED_BYTES_MAX) this.#cached = { packet: reply.copy(), to };
    this.host.send(reply, to);
  }

  #watchTick(): void {
    if (this.#tick !== undefined) return;
    const { scheduler, traits } = this.host;
    const next = (Math.floor(scheduler.nowMs / traits.tickMs) + 1) * traits.tickMs;
    this.#tick = scheduler.at(next, () => {
      this.#tick = undefined;
      this.#sendStream();
      if (this.#stream !== undefined) this.#watchTick();
    });
  }

  /** One turn of the sender: data until the buffer has no room for two packets, or the end. */
  #sendStream(): void {
    const { host } = this;
    let room = host.freeBytes;
    const stack = this.#stackOfTurn();
    while (this.#stream !== undefined && this.#work.open !== undefined && room >= host.packetBytes) {
      const stream: Stream = this.#stream;
      const isLastOfTurn = room < 2 * host.packetBytes;
      const packet = this.#nextOf(stack, stream, isLastOfTurn);
      room = isLastOfTurn ? 0 : room - host.packetBytes;
      stack.bytes.set(packet.bytes);
      packet.burstComplete = burstCompleteOf(packet.burstComplete, host);
      this.#reply(packet, stream.to);
    }
  }

  /**
   * The packet lives on the stack and is never cleared: in a turn each packet has behind its data what the one before
   * had there, the first has whatever the stack held. burst_complete, where it is not written, as well: mostly 0.
   */
  #stackOfTurn(): FtpPacket {
    const { random } = this.host;
    const packet = new FtpPacket();
    random.fill(packet.bytes);
    packet.burstComplete = random.chance(STRAY) ? random.between(1, 2) : 0;
    return packet;
  }

  #nextOf(stack: FtpPacket, stream: Stream, isLastOfTurn: boolean): FtpPacket {
    const { sizeBytes } = this.#work.open!;
    const packet = stack.copy();
    packet.seq = stream.seq;
    packet.session = 0;
    packet.reqOpcode = OPCODES.BurstReadFile;
    packet.offset = stream.offset;
    stream.seq = (stream.seq + 1) & 0xffff;
    if (stream.offset >= sizeBytes) {
      this.#writeNak(packet, ERRORS.Eof);
      this.#stream = undefined;
      return packet;
    }
    packet.opcode = ACK;
    // A file that was cut below its size gives empty packets until somebody ends it.
    packet.data = this.#work.bytesAt(this.#work.open!, stream.offset, DATA_MAX);
    stream.offset += packet.size;
    stream.sentBytes += packet.size;
    if (!isLastOfTurn) packet.burstComplete = 0;
    else if (stream.sentBytes > this.host.traits.burstBytes) {
      packet.burstComplete = 1;
      this.#stream = undefined;
    }
    return packet;
  }

  /** Closes what is idle: only requests count, a burst that runs does not. */
  #watchIdle(): void {
    const { scheduler, traits } = this.host;
    if (this.#idle !== undefined || traits.idleCloseMs === Infinity) return;
    this.#idle = scheduler.at(this.#lastRequestMs + traits.idleCloseMs, () => {
      this.#idle = undefined;
      if (this.#work.open === undefined) return;
      // The same sum as above: a difference may be a rounding short of the limit, for ever.
      if (scheduler.nowMs < this.#lastRequestMs + traits.idleCloseMs) return this.#watchIdle();
      this.host.event("idle-close", this.#work.open.path);
      this.#work.close();
    });
  }

  #stopStream(): void {
    this.#stream = undefined;
    this.#tick?.cancel();
    this.#tick = undefined;
  }
}
