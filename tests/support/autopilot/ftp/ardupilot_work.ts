/** What ArduPilot's worker does for each opcode but the burst. */
import { ERRNO, type FileFault } from "../files.ts";
import { ftpCrc32 } from "../wire/crc.ts";
import { DATA_MAX, ERRORS, type FtpPacket, opcodeName } from "../wire/ftp.ts";
import type { ArduPilotSessions, Session } from "./ardupilot_sessions.ts";
import { TAKEN_AFTER_MS } from "./ardupilot_sessions.ts";
import { listingPage } from "./listing.ts";
import { type FtpHost, isFault, readMs, renamePaths } from "./server.ts";

export interface Answer {
  /** A NAK. */
  code?: number;
  errno?: number;
  data?: Uint8Array;
  offset?: number;
  /** The work takes so long. */
  afterMs?: number;
}

function refused(fault: FileFault | undefined): Answer {
  if (fault === undefined) return {};
  if (fault === "absent") return { code: ERRORS.FileNotFound };
  if (fault === "exists") return { code: ERRORS.FileExists };
  return { code: ERRORS.FailErrno, errno: ERRNO[fault] };
}

function u32(value: number): Uint8Array {
  const data = new Uint8Array(4);
  new DataView(data.buffer).setUint32(0, value, true);
  return data;
}

const WITH_PATH = new Set([
  "ListDirectory",
  "ListDirectoryWithTime",
  "OpenFileRO",
  "OpenFileWO",
  "CreateFile",
  "RemoveFile",
  "RemoveDirectory",
  "CreateDirectory",
  "CalcFileCRC32",
]);

/** Whether the path has no NUL inside its size. */
function isStrictPath(request: FtpPacket): boolean {
  return request.size > 0 && !request.data.includes(0);
}

export function workOfArduPilot(
  request: FtpPacket,
  session: Session,
  host: FtpHost,
  sessions: ArduPilotSessions,
  idleMs: number,
): Answer {
  const { files, traits } = host;
  const name = opcodeName(request.opcode);
  if (request.size > DATA_MAX) return { code: ERRORS.InvalidDataSize };
  if (traits.strictPathSize && WITH_PATH.has(name) && !isStrictPath(request)) return { code: ERRORS.InvalidDataSize };
  const path = request.path.replace(/(.)\/$/, "$1");
  switch (name) {
    case "None":
      return {};
    case "TerminateSession":
      sessions.close(session);
      return {};
    case "ResetSessions":
      if (session.owner !== undefined) sessions.reset(session.owner);
      return {};
    case "ListDirectory":
      return list(request, path, host, false);
    case "ListDirectoryWithTime":
      return traits.listWithTime ? list(request, path, host, true) : unknown(host);
    case "OpenFileRO":
    case "OpenFileWO":
    case "CreateFile":
      return open(name, path, session, host, idleMs);
    case "ReadFile":
      return read(request, session);
    case "WriteFile": {
      if (session.open === undefined) return { code: ERRORS.FileNotFound };
      if (!session.open.isWriting) return { code: ERRORS.Fail };
      return { ...refused(files.write(session.open.node, request.offset, request.data)), offset: request.offset };
    }
    // Both are unlink().
    case "RemoveFile":
    case "RemoveDirectory":
      return refused(files.remove(path));
    case "CreateDirectory":
      return refused(files.mkdir(path));
    case "Rename":
      return traits.isOld ? { code: ERRORS.Fail } : refused(files.rename(...renamePaths(request)));
    case "CalcFileCRC32":
      return crc(path, host);
    default:
      return unknown(host);
  }
}

function unknown(host: FtpHost): Answer {
  return { code: host.traits.isOld ? ERRORS.Fail : ERRORS.UnknownCommand };
}

function list(request: FtpPacket, path: string, host: FtpHost, withTime: boolean): Answer {
  const node = host.files.node(path);
  if (node === undefined) return { code: ERRORS.FileNotFound };
  if (node.kind === "file") return { code: ERRORS.FailErrno, errno: ERRNO["not directory"] };
  const page = listingPage(node, request.offset, host.traits, withTime);
  if (page.records.length === 0) return { code: ERRORS.Eof };
  return { data: page.records, offset: request.offset };
}

function open(
  name: "OpenFileRO" | "OpenFileWO" | "CreateFile",
  path: string,
  session: Session,
  host: FtpHost,
  idleMs: number,
): Answer {
  if (session.open !== undefined) {
    if (idleMs < TAKEN_AFTER_MS) return { code: ERRORS.Fail };
    session.open = undefined;
  }
  const { files, traits } = host;
  const isWriting = name !== "OpenFileRO";
  const create = name === "CreateFile" || !traits.isOld;
  const node = isWriting
    ? files.writable(path, { create, empty: name === "CreateFile" })
    : files.node(path) ?? "absent";
  if (isFault(node)) return refused(node);
  if (node.kind === "directory") return refused("is directory");
  const sizeBytes = node.listedBytes ?? node.content.sizeBytes;
  session.open = { node, path, isWriting, sizeBytes };
  return isWriting ? {} : { data: u32(sizeBytes) };
}

/** Reads what the file has now, past the size that it had when it was opened. */
function read(request: FtpPacket, session: Session): Answer {
  if (session.open === undefined) return { code: ERRORS.FileNotFound };
  if (session.open.isWriting) return { code: ERRORS.Fail };
  const target = new Uint8Array(request.size);
  const count = session.open.node.content.read(request.offset, target);
  if (count === 0) return { code: ERRORS.Eof };
  return { data: target.subarray(0, count), offset: request.offset };
}

function crc(path: string, host: FtpHost): Answer {
  const node = host.files.file(path);
  if (node === undefined) return { code: ERRORS.FileNotFound };
  let value = 0;
  const buffer = new Uint8Array(65536);
  for (let at = 0, count = 1; count > 0; at += count) {
    count = node.content.read(at, buffer);
    value = ftpCrc32(buffer.subarray(0, count), value);
  }
  return { data: u32(value), afterMs: readMs(node.content.sizeBytes, host.traits.crcBytesPerSecond) };
}
