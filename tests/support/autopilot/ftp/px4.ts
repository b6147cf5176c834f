/**
 * PX4's FTP server: one session with the id 0 for a link, requests answered at once by the receiver, bursts sent by the
 * sender's loop as the buffer has room, and the last small reply kept for whoever asks with its number.
 */
import { ERRNO, type FileFault } from "../files.ts";
import type { Due } from "../scheduler.ts";
import { ftpCrc32 } from "../wire/crc.ts";
import { ACK, DATA_MAX, ERRORS, FtpPacket, NAK, opcodeName } from "../wire/ftp.ts";
import { listingPage } from "./listing.ts";
import {
  type Address,
  burstCompleteOf,
  type FtpHost,
  type FtpServer,
  isFault,
  type OpenFile,
  readMs,
  renamePaths,
} from "./server.ts";

const CACHED_BYTES_MAX = 4;
/** `null`: the answer comes later or as a stream. */
type Answer = { code: number; errno?: number } | { data: Uint8Array } | { isAsItWas: true } | null;

interface Stream {
  to: Address;
  seq: number;
  offset: number;
  sentBytes: number;
}

export class Px4Ftp implements FtpServer {
  #open: OpenFile | undefined;
  #stream: Stream | undefined;
  #cached: { packet: FtpPacket; to: Address } | undefined;
  #errno = 0;
  #lastRequestMs = 0;
  #idle: Due | undefined;
  #tick: Due | undefined;
  #restarts = 0;

  constructor(readonly host: FtpHost) {}

  restart(): void {
    this.#restarts++;
    this.#close();
    this.#cached = undefined;
    this.#errno = 0;
    this.#idle?.cancel();
    this.#idle = undefined;
  }

  receive(request: FtpPacket, from: Address): void {
    this.#lastRequestMs = this.host.scheduler.nowMs;
    if (request.size > DATA_MAX) return this.#answer(request, from, { code: ERRORS.InvalidDataSize });
    // By the number alone: not session, opcode or sender. Compared as an int, so 65535 has no repetition.
    if (this.#cached !== undefined && request.seq + 1 === this.#cached.packet.seq) {
      this.host.send(this.#cached.packet.copy(), this.#cached.to);
      return;
    }
    const answer = this.#work(request, from);
    if (answer !== null) this.#answer(request, from, answer);
  }

  /** The reply is the request's buffer with the answer written over it: what is behind `size` stays as it was. */
  #answer(request: FtpPacket, to: Address, answer: NonNullable<Answer>): void {
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
    let said = code;
    let saidErrno = errno;
    if (errno !== undefined) this.#errno = errno;
    if (this.host.traits.stickyErrno && this.#errno === ERRNO.exists) said = ERRORS.FileExists;
    if (said !== ERRORS.FailErrno) saidErrno = undefined;
    reply.opcode = NAK;
    reply.data = saidErrno === undefined ? Uint8Array.of(said) : Uint8Array.of(said, saidErrno);
  }

  #reply(reply: FtpPacket, to: Address): void {
    if (reply.size <= CACHED_BYTES_MAX) this.#cached = { packet: reply.copy(), to };
    this.host.send(reply, to);
  }

  #fault(fault: FileFault): Answer {
    if (fault === "absent") return { code: ERRORS.FileNotFound, errno: ERRNO.absent };
    if (fault === "exists") return { code: ERRORS.FileExists, errno: ERRNO.exists };
    return { code: ERRORS.FailErrno, errno: ERRNO[fault] };
  }

  #done(fault: FileFault | undefined): Answer {
    return fault === undefined ? { data: new Uint8Array(0) } : this.#fault(fault);
  }

  #path(said: string): string {
    const { mavLogAlias, logRoot } = this.host.traits;
    return mavLogAlias && /^@MAV_LOG(\/|$)/.test(said) ? logRoot + said.slice(8) : said;
  }

  #isProtected(path: string): boolean {
    return this.host.traits.protectsRoot && (!path.startsWith("/fs/microsd/") || path.includes("/../"));
  }

  #work(request: FtpPacket, from: Address): Answer {
    const { files } = this.host;
    const path = this.#path(request.path);
    const changes = ["CreateFile", "OpenFileWO", "RemoveFile", "CreateDirectory", "RemoveDirectory", "TruncateFile"];
    const name = opcodeName(request.opcode);
    if (changes.includes(name) && this.#isProtected(path)) return { code: ERRORS.FileProtected };
    switch (name) {
      case "None":
        return { isAsItWas: true };
      case "TerminateSession":
        if (request.session !== 0 || this.#open === undefined) return { code: ERRORS.InvalidSession };
        this.#close();
        return { data: new Uint8Array(0) };
      case "ResetSessions":
        this.#close();
        return { data: new Uint8Array(0) };
      case "ListDirectory":
        return this.#list(request, path, false);
      case "ListDirectoryWithTime":
        return this.host.traits.listWithTime ? this.#list(request, path, true) : { code: ERRORS.UnknownCommand };
      case "OpenFileRO":
        return this.#openFile(path, request, false);
      case "CreateFile":
        return this.#openFile(path, request, true, true);
      case "OpenFileWO":
        return this.#openFile(path, request, true);
      case "ReadFile":
        return this.#read(request);
      case "BurstReadFile":
        return this.#burst(request, from);
      case "WriteFile":
        return this.#write(request);
      case "RemoveFile":
        return this.#done(files.remove(path, "file"));
      case "RemoveDirectory":
        return this.#done(files.remove(path, "directory"));
      case "CreateDirectory":
        return this.#done(files.mkdir(path));
      case "TruncateFile":
        if (files.file(path) === undefined) return this.#fault("absent");
        files.shrink(path, request.offset);
        return { data: new Uint8Array(0) };
      case "Rename": {
        const [old, fresh] = renamePaths(request);
        if (this.#isProtected(old) || this.#isProtected(fresh)) return { code: ERRORS.FileProtected };
        return this.#done(files.rename(old, fresh));
      }
      case "CalcFileCRC32":
        return this.#crc(request, from, path);
      default:
        return { code: ERRORS.UnknownCommand };
    }
  }

  #list(request: FtpPacket, path: string, withTime: boolean): Answer {
    const node = this.host.files.node(path);
    if (node?.kind !== "directory") return { code: ERRORS.FileNotFound };
    const page = listingPage(node, request.offset, this.host.traits, withTime);
    // An empty directory is acknowledged with nothing in it.
    if (page.isPastEnd && request.offset > 0) return { code: ERRORS.Eof };
    return { data: page.records };
  }

  #openFile(path: string, request: FtpPacket, isWriting: boolean, create = false): Answer {
    if (this.#open !== undefined) return { code: ERRORS.NoSessionsAvailable };
    const { files } = this.host;
    const node = isWriting ? files.writable(path, { create: true, empty: create }) : files.node(path) ?? "absent";
    if (isFault(node)) return this.#fault(node);
    if (node.kind === "directory") return this.#fault("is directory");
    const sizeBytes = node.content.sizeBytes;
    this.#open = { node, path, isWriting, sizeBytes };
    this.#watchIdle();
    request.session = 0;
    const size = new Uint8Array(4);
    new DataView(size.buffer).setUint32(0, sizeBytes, true);
    return { data: size };
  }

  #read(request: FtpPacket): Answer {
    if (request.session !== 0 || this.#open === undefined) return { code: ERRORS.InvalidSession };
    if (request.offset >= this.#open.sizeBytes) return { code: ERRORS.Eof };
    const wanted = this.host.traits.readIgnoresSize ? DATA_MAX : request.size;
    return { data: this.#bytesAt(this.#open, request.offset, wanted) };
  }

  #bytesAt(open: OpenFile, offset: number, wanted: number): Uint8Array {
    const target = new Uint8Array(Math.min(wanted, DATA_MAX, open.sizeBytes - offset));
    return target.subarray(0, open.node.content.read(offset, target));
  }

  #write(request: FtpPacket): Answer {
    if (this.#open === undefined) return { code: ERRORS.InvalidSession };
    const fault = this.host.files.write(this.#open.node, request.offset, request.data);
    if (fault !== undefined) return this.#fault(fault);
    const count = new Uint8Array(4);
    count[0] = request.size;
    return { data: count };
  }

  #crc(request: FtpPacket, from: Address, path: string): Answer {
    const node = this.host.files.file(path);
    if (node === undefined) return this.#fault("absent");
    const durationMs = readMs(node.content.sizeBytes, this.host.traits.crcBytesPerSecond);
    this.host.deafen(durationMs);
    const restarts = this.#restarts;
    this.host.scheduler.after(durationMs, () => {
      if (restarts !== this.#restarts) return;
      let crc = 0;
      const buffer = new Uint8Array(65536);
      for (let at = 0, count = 1; count > 0; at += count) {
        count = node.content.read(at, buffer);
        crc = ftpCrc32(buffer.subarray(0, count), crc);
      }
      const data = new Uint8Array(4);
      new DataView(data.buffer).setUint32(0, crc, true);
      this.#answer(request, from, { data });
    });
    return null;
  }

  #burst(request: FtpPacket, from: Address): Answer {
    if (this.#open === undefined) return { code: ERRORS.InvalidSession };
    this.#stream = { to: from, seq: (request.seq + 1) & 0xffff, offset: request.offset, sentBytes: 0 };
    this.#watchTick();
    return null;
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
    while (this.#stream !== undefined && this.#open !== undefined && room >= host.packetBytes) {
      const stream: Stream = this.#stream;
      const packet = new FtpPacket();
      // The buffer is not cleared: what is not written is what was there before.
      host.random.fill(packet.bytes);
      packet.seq = stream.seq;
      packet.session = 0;
      packet.reqOpcode = 15;
      packet.offset = stream.offset;
      stream.seq = (stream.seq + 1) & 0xffff;
      if (stream.offset >= this.#open.sizeBytes) {
        this.#writeNak(packet, ERRORS.Eof);
        this.#stream = undefined;
      } else {
        packet.opcode = ACK;
        packet.data = this.#bytesAt(this.#open, stream.offset, DATA_MAX);
        stream.offset += packet.size;
        stream.sentBytes += packet.size;
        if (room >= 2 * host.packetBytes) packet.burstComplete = 0;
        else if (stream.sentBytes > host.traits.burstBytes) {
          packet.burstComplete = 1;
          this.#stream = undefined;
        }
        room = room >= 2 * host.packetBytes ? room - host.packetBytes : 0;
        // A file that was cut below its size gives empty packets until somebody ends it.
      }
      packet.burstComplete = burstCompleteOf(packet.burstComplete, host);
      this.#reply(packet, stream.to);
    }
  }

  /** Closes what is idle: only requests count, a burst that runs does not. */
  #watchIdle(): void {
    if (this.#idle !== undefined) return;
    const { scheduler, traits } = this.host;
    if (traits.idleCloseMs === Infinity) return;
    this.#idle = scheduler.at(this.#lastRequestMs + traits.idleCloseMs, () => {
      this.#idle = undefined;
      if (this.#open === undefined) return;
      if (scheduler.nowMs - this.#lastRequestMs < traits.idleCloseMs) return this.#watchIdle();
      this.host.event("idle-close", this.#open.path);
      this.#close();
    });
  }

  #close(): void {
    this.#open = undefined;
    this.#stream = undefined;
    this.#tick?.cancel();
    this.#tick = undefined;
  }
}
