/** What PX4's server does for each opcode that is answered at once, with its one session. */
import { ERRNO, type FileFault } from "../files.ts";
import { ftpCrc32 } from "../wire/crc.ts";
import { DATA_MAX, ERRORS, type FtpPacket, opcodeName } from "../wire/ftp.ts";
import { listingPage } from "./listing.ts";
import { type FtpHost, isFault, type OpenFile, readMs, renamePaths } from "./server.ts";

export type Answer =
  | { code: number; errno?: number }
  | { data: Uint8Array; afterMs?: number }
  /** What the request had is sent back. */
  | { isAsItWas: true }
  /** A stream that has to begin. */
  | { bursts: true };

const CHANGES = new Set([
  "CreateFile",
  "OpenFileWO",
  "RemoveFile",
  "CreateDirectory",
  "RemoveDirectory",
  "TruncateFile",
]);
const NOTHING = new Uint8Array(0);

function u32(value: number): Uint8Array {
  const data = new Uint8Array(4);
  new DataView(data.buffer).setUint32(0, value, true);
  return data;
}

function refused(fault: FileFault): Answer {
  if (fault === "absent") return { code: ERRORS.FileNotFound, errno: ERRNO.absent };
  if (fault === "exists") return { code: ERRORS.FileExists, errno: ERRNO.exists };
  return { code: ERRORS.FailErrno, errno: ERRNO[fault] };
}

function done(fault: FileFault | undefined): Answer {
  return fault === undefined ? { data: NOTHING } : refused(fault);
}

export class Px4Work {
  open: OpenFile | undefined;

  constructor(readonly host: FtpHost, readonly onOpen: () => void, readonly onClose: () => void) {}

  close(): void {
    this.open = undefined;
    this.onClose();
  }

  answer(request: FtpPacket): Answer {
    const { files, traits } = this.host;
    const path = this.#path(request.path);
    const name = opcodeName(request.opcode);
    if (CHANGES.has(name) && this.#isProtected(path)) return { code: ERRORS.FileProtected };
    switch (name) {
      case "None":
        return { isAsItWas: true };
      case "TerminateSession":
        if (request.session !== 0 || this.open === undefined) return { code: ERRORS.InvalidSession };
        this.close();
        return { data: NOTHING };
      case "ResetSessions":
        this.close();
        return { data: NOTHING };
      case "ListDirectory":
        return this.#list(request, path, false);
      case "ListDirectoryWithTime":
        return traits.listWithTime ? this.#list(request, path, true) : { code: ERRORS.UnknownCommand };
      case "OpenFileRO":
      case "CreateFile":
      case "OpenFileWO":
        return this.#openFile(path, request, name);
      case "ReadFile":
        return this.#read(request);
      case "BurstReadFile":
        return this.open === undefined ? { code: ERRORS.InvalidSession } : { bursts: true };
      case "WriteFile":
        return this.#write(request);
      case "RemoveFile":
        return done(files.remove(path, "file"));
      case "RemoveDirectory":
        return done(files.remove(path, "directory"));
      case "CreateDirectory":
        return done(files.mkdir(path));
      case "TruncateFile":
        if (files.file(path) === undefined) return refused("absent");
        files.shrink(path, request.offset);
        return { data: NOTHING };
      case "Rename": {
        const [from, to] = renamePaths(request).map((said) => this.#path(said)) as [string, string];
        if (this.#isProtected(from) || this.#isProtected(to)) return { code: ERRORS.FileProtected };
        return done(files.rename(from, to));
      }
      case "CalcFileCRC32":
        return this.#crc(path);
      default:
        return { code: ERRORS.UnknownCommand };
    }
  }

  /** Bytes of the open file, up to the size that it had when it was opened. */
  bytesAt(open: OpenFile, offset: number, wanted: number): Uint8Array {
    const target = new Uint8Array(Math.min(wanted, DATA_MAX, open.sizeBytes - offset));
    return target.subarray(0, open.node.content.read(offset, target));
  }

  #path(said: string): string {
    const { mavLogAlias, logRoot } = this.host.traits;
    return mavLogAlias && /^@MAV_LOG(\/|$)/.test(said) ? logRoot + said.slice("@MAV_LOG".length) : said;
  }

  #isProtected(path: string): boolean {
    return this.host.traits.protectsRoot && (!path.startsWith("/fs/microsd/") || path.includes("/../"));
  }

  #list(request: FtpPacket, path: string, withTime: boolean): Answer {
    const node = this.host.files.node(path);
    if (node?.kind !== "directory") return { code: ERRORS.FileNotFound };
    const page = listingPage(node, request.offset, this.host.traits, withTime);
    // An empty directory is acknowledged with nothing in it.
    if (page.isPastEnd && request.offset > 0) return { code: ERRORS.Eof };
    return { data: page.records };
  }

  #openFile(path: string, request: FtpPacket, name: "OpenFileRO" | "CreateFile" | "OpenFileWO"): Answer {
    if (this.open !== undefined) return { code: ERRORS.NoSessionsAvailable };
    const { files } = this.host;
    const isWriting = name !== "OpenFileRO";
    const node = isWriting
      ? files.writable(path, { create: true, empty: name === "CreateFile" })
      : files.node(path) ?? "absent";
    if (isFault(node)) return refused(node);
    if (node.kind === "directory") return refused("is directory");
    const { sizeBytes } = node.content;
    this.open = { node, path, isWriting, sizeBytes };
    this.onOpen();
    request.session = 0;
    return { data: u32(sizeBytes) };
  }

  #read(request: FtpPacket): Answer {
    if (request.session !== 0 || this.open === undefined) return { code: ERRORS.InvalidSession };
    if (request.offset >= this.open.sizeBytes) return { code: ERRORS.Eof };
    const wanted = this.host.traits.readIgnoresSize ? DATA_MAX : request.size;
    return { data: this.bytesAt(this.open, request.offset, wanted) };
  }

  #write(request: FtpPacket): Answer {
    if (this.open === undefined) return { code: ERRORS.InvalidSession };
    const fault = this.host.files.write(this.open.node, request.offset, request.data);
    return fault === undefined ? { data: u32(request.size) } : refused(fault);
  }

  /** Read by the receiver itself, which hears nothing meanwhile. */
  #crc(path: string): Answer {
    const node = this.host.files.file(path);
    if (node === undefined) return refused("absent");
    const afterMs = readMs(node.content.sizeBytes, this.host.traits.crcBytesPerSecond);
    this.host.deafen(afterMs);
    let crc = 0;
    const buffer = new Uint8Array(65536);
    for (let at = 0, count = 1; count > 0; at += count) {
      count = node.content.read(at, buffer);
      crc = ftpCrc32(buffer.subarray(0, count), crc);
    }
    return { data: u32(crc), afterMs };
  }
}
