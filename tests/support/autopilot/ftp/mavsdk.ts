/**
 * MAVSDK's FTP server before 4.0: a file stream of the standard library with one position for bursts and reads, no memory
 * of replies, no closing of what is idle, silence for opcodes that it does not know (None among them).
 */
import { ERRNO, type FileFault } from "../files.ts";
import type { Due } from "../scheduler.ts";
import { ftpCrc32 } from "../wire/crc.ts";
import { DATA_MAX, ERRORS, FtpPacket, opcodeName } from "../wire/ftp.ts";
import { listingPage } from "./listing.ts";
import {
  type Address,
  burstCompleteOf,
  type FtpHost,
  type FtpServer,
  isFault,
  type OpenFile,
  renamePaths,
  setAck,
  setNak,
} from "./server.ts";

interface Burst {
  to: Address;
  seq: number;
  offset: number;
  chunk: number;
}

export class MavsdkFtp implements FtpServer {
  #reading: OpenFile | undefined;
  #writing: OpenFile | undefined;
  /** Survives the file: reads without an open file are judged by it. */
  #sizeBytes = 0;
  /** Where the stream stands; a burst goes on from here, whoever moved it. */
  #position = 0;
  /** A read across the end fails the stream for good: seeking does not mend it. */
  #isFailed = false;
  #burst: Burst | undefined;
  #turn: Due | undefined;

  constructor(readonly host: FtpHost) {}

  restart(): void {
    this.#reset();
    this.#sizeBytes = 0;
  }

  receive(request: FtpPacket, from: Address): void {
    const reply = FtpPacket.of({ seq: request.seq + 1, reqOpcode: request.opcode });
    const answer = request.size > DATA_MAX ? setNak(reply, ERRORS.InvalidDataSize) : this.#work(request, reply, from);
    if (answer !== undefined) this.host.send(answer, from);
  }

  #work(request: FtpPacket, reply: FtpPacket, from: Address): FtpPacket | undefined {
    const { files } = this.host;
    const { path } = request;
    switch (opcodeName(request.opcode)) {
      case "TerminateSession":
      case "ResetSessions":
        this.#reset();
        return setAck(reply);
      case "ListDirectory":
        return this.#list(request, reply, false);
      case "ListDirectoryWithTime":
        return this.host.traits.listWithTime ? this.#list(request, reply, true) : undefined;
      case "OpenFileRO":
        return this.#openToRead(path, reply);
      case "OpenFileWO":
      case "CreateFile":
        return this.#openToWrite(path, reply, opcodeName(request.opcode) === "CreateFile");
      case "ReadFile":
        return this.#read(request, reply);
      case "BurstReadFile":
        return this.#startBurst(request, reply, from);
      case "WriteFile":
        if (this.#writing === undefined) return setNak(reply, ERRORS.Fail);
        return this.#done(reply, files.write(this.#writing.node, request.offset, request.data));
      case "RemoveFile":
      case "RemoveDirectory":
        return this.#done(reply, files.remove(path));
      case "CreateDirectory":
        return this.#done(reply, files.mkdir(path));
      case "Rename":
        return this.#done(reply, files.rename(...renamePaths(request)));
      case "CalcFileCRC32": {
        const node = files.file(path);
        if (node === undefined) return setNak(reply, ERRORS.FileNotFound);
        const bytes = new Uint8Array(node.content.sizeBytes);
        node.content.read(0, bytes);
        setAck(reply).setU32(ftpCrc32(bytes));
        return reply;
      }
      default:
        return undefined;
    }
  }

  #done(reply: FtpPacket, fault: FileFault | undefined): FtpPacket {
    if (fault === undefined) return setAck(reply);
    if (fault === "absent") return setNak(reply, ERRORS.FileNotFound);
    if (fault === "exists") return setNak(reply, ERRORS.FileExists);
    return setNak(reply, ERRORS.FailErrno, ERRNO[fault]);
  }

  #list(request: FtpPacket, reply: FtpPacket, withTime: boolean): FtpPacket {
    const node = this.host.files.node(request.path);
    if (node?.kind !== "directory") return setNak(reply, ERRORS.FileNotFound);
    const { records } = listingPage(node, request.offset, this.host.traits, withTime);
    return records.length === 0 ? setNak(reply, ERRORS.Eof) : setAck(reply, records);
  }

  #openToRead(path: string, reply: FtpPacket): FtpPacket {
    if (this.#reading !== undefined) this.#reset();
    const node = this.host.files.node(path);
    if (node === undefined) return setNak(reply, ERRORS.FileNotFound);
    if (node.kind === "directory") return setNak(reply, ERRORS.Fail);
    this.#sizeBytes = node.content.sizeBytes;
    this.#reading = { node, path, isWriting: false, sizeBytes: this.#sizeBytes };
    this.#position = 0;
    this.#isFailed = false;
    setAck(reply).setU32(this.#sizeBytes);
    return reply;
  }

  #openToWrite(path: string, reply: FtpPacket, create: boolean): FtpPacket {
    if (this.#writing !== undefined) this.#reset();
    const sizeBytes = this.host.files.file(path)?.content.sizeBytes ?? 0;
    // Its stream for writing cuts the file, with either opcode.
    const node = this.host.files.writable(path, { create, empty: true });
    if (isFault(node)) return this.#done(reply, node);
    this.#writing = { node, path, isWriting: true, sizeBytes };
    this.#sizeBytes = create ? 0 : sizeBytes;
    setAck(reply);
    if (!create) reply.setU32(sizeBytes);
    return reply;
  }

  /** Moves the stream; false when it cannot. */
  #seek(request: FtpPacket): boolean {
    if (request.session !== 0 || this.#reading === undefined) {
      this.#reset();
      return false;
    }
    if (this.#isFailed) return false;
    this.#position = request.offset;
    return true;
  }

  /** Bytes from where the stream stands, or nothing when they are not all there. */
  #take(wanted: number): Uint8Array | undefined {
    const target = new Uint8Array(wanted);
    if (this.#reading === undefined || this.#isFailed) return undefined;
    const got = this.#reading.node.content.read(this.#position, target);
    this.#position += got;
    if (got < wanted) {
      this.#isFailed = true;
      return undefined;
    }
    return target;
  }

  #read(request: FtpPacket, reply: FtpPacket): FtpPacket {
    if (request.offset >= this.#sizeBytes) return setNak(reply, ERRORS.Eof);
    const data = this.#seek(request) ? this.#take(request.size) : undefined;
    if (data === undefined) return setNak(reply, ERRORS.Fail);
    reply.offset = request.offset;
    return setAck(reply, data);
  }

  #startBurst(request: FtpPacket, reply: FtpPacket, from: Address): FtpPacket | undefined {
    if (request.offset >= this.#sizeBytes) return setNak(reply, ERRORS.Eof);
    if (!this.#seek(request)) return setNak(reply, ERRORS.Fail);
    const { seq, offset, size: chunk } = request;
    this.#burst = { to: from, seq: seq + 1, offset, chunk: Math.min(chunk, DATA_MAX) };
    this.#turn?.cancel();
    this.#nextTurn();
    return undefined;
  }

  /** A thread sends as fast as the file can be read; here a millisecond's worth at once. */
  #nextTurn(): void {
    const { scheduler, traits } = this.host;
    this.#turn = scheduler.after(1, () => {
      for (let n = traits.readBytesPerSecond / 1000 / DATA_MAX; n > 0 && this.#burst !== undefined; n--) {
        this.#sendOne(this.#burst);
      }
      if (this.#burst !== undefined) this.#nextTurn();
    });
  }

  #sendOne(burst: Burst): void {
    if (this.host.freeBytes < this.host.packetBytes) return;
    const packet = FtpPacket.of({ seq: burst.seq & 0xffff, reqOpcode: 15 });
    burst.seq++;
    const data = this.#take(Math.min(burst.chunk, this.#sizeBytes - burst.offset));
    if (data === undefined) setNak(packet, ERRORS.Fail);
    else {
      setAck(packet, data);
      packet.offset = burst.offset;
      burst.offset += data.length;
      if (burst.offset === this.#sizeBytes) {
        packet.burstComplete = 1;
        this.#burst = undefined;
      }
    }
    packet.burstComplete = burstCompleteOf(packet.burstComplete, this.host);
    this.host.send(packet, burst.to);
  }

  #reset(): void {
    this.#reading = undefined;
    this.#writing = undefined;
    this.#burst = undefined;
    this.#turn?.cancel();
  }
}
