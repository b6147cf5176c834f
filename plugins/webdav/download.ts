/** SERVER to spool: GET with a range, in pieces where a limit slows it, with the file's fingerprint looked at before and after. */
import { createHash } from "node:crypto";
import {
  type Call,
  type Checksum,
  type DownloadParams,
  type DownloadResult,
  DriverError,
  isSmallFile,
  sameFingerprint,
} from "../../lib/driver/mod.ts";
import { SpoolWriter } from "../../lib/protocol/serve.ts";
import { ConnectionLost } from "../http/lost.ts";
import type { Reply } from "../http/reply.ts";
import { fingerprintOf, PRECISION_MS } from "./entries.ts";
import { Pieces } from "./pieces.ts";
import type { DavServer, Found } from "./server.ts";

/** Downloads one file; see the contract. */
export async function download(server: DavServer, params: DownloadParams, call: Call): Promise<DownloadResult> {
  const first = isEnough(params) ? undefined : await fileAt(server, params.path, call.signal);
  const before = first === undefined ? params.expect : fingerprintOf(first);
  if (!sameFingerprint(before, params.expect, PRECISION_MS)) throw changed(params.path);
  if (before.sizeBytes !== undefined && params.offsetBytes > before.sizeBytes) throw changed(params.path);
  const sizeBytes = await fetch(server, params, { sizeBytes: before.sizeBytes, etag: first?.etag }, call);
  const after = fingerprintOf(await fileAt(server, params.path, call.signal));
  if (!sameFingerprint(before, after, PRECISION_MS) || (after.sizeBytes ?? sizeBytes) !== sizeBytes) {
    throw changed(params.path);
  }
  const { checksum } = after;
  if (checksum !== undefined && hashOf(params.spoolFile, checksum.algorithm) !== checksum.value) {
    throw new DriverError("corrupt", `Server says ${checksum.algorithm} ${checksum.value} of "${params.path}"`);
  }
  return { sizeBytes, fingerprint: { ...after, sizeBytes }, ...(checksum === undefined ? {} : { checksum }) };
}

/**
 * Whether looking at the file before its bytes would tell nothing: what is looked at afterwards is what was listed, or
 * another file was fetched. A large one is looked at, so that it is not fetched in vain.
 */
function isEnough({ expect, offsetBytes }: DownloadParams): boolean {
  const { sizeBytes, modifiedMs, etag } = expect;
  return offsetBytes === 0 && (modifiedMs ?? etag) !== undefined && isSmallFile(sizeBytes);
}

async function fileAt(server: DavServer, path: string, signal: AbortSignal): Promise<Found> {
  const found = await server.look(path, signal);
  if (found === undefined) throw new DriverError("not_found", `File "${path}" is not on the server`);
  if (found.isFolder) throw new DriverError("failed", `Path "${path}" is a folder: expected a file`);
  return found;
}

/** Moves the bytes; returns how many the file has. */
async function fetch(
  server: DavServer,
  params: DownloadParams,
  before: { sizeBytes: number | undefined; etag: string | undefined },
  call: Call,
): Promise<number> {
  let writer = new SpoolWriter(params.spoolFile, params.offsetBytes);
  const { sizeBytes = Infinity } = before;
  let { etag } = before;
  // The end of a file of unknown size cannot be told from a piece of it.
  const pieces = params.maxBytesPerSecond === undefined || sizeBytes === Infinity ? undefined : new Pieces();
  try {
    for (let isFirst = true;; isFirst = false) {
      const startMs = performance.now();
      const startBytes = writer.positionBytes;
      const endBytes = Math.min(sizeBytes, startBytes + (pieces?.bytes ?? Infinity));
      const reply = await ask(server, params.path, etag, {
        startBytes,
        ...(endBytes < sizeBytes ? { endBytes } : {}),
      }, call);
      const answerMs = performance.now() - startMs;
      etag ??= reply.header("etag");
      const fromBytes = reply.status === 206 ? startOf(reply) : 0;
      // No ranges, or another content: from the beginning, over what is held. In the middle it is another file.
      if (fromBytes !== startBytes) {
        if (fromBytes !== 0 || !isFirst) {
          reply.close();
          throw changed(params.path);
        }
        writer.close();
        writer = new SpoolWriter(params.spoolFile, 0);
      }
      if (
        reply.status === 200 && sizeBytes < Infinity &&
        Number(reply.header("content-length") ?? sizeBytes) !== sizeBytes
      ) {
        reply.close();
        throw changed(params.path);
      }
      // A server without ranges gives all of it.
      const untilBytes = reply.status === 206 && fromBytes === startBytes ? endBytes : sizeBytes;
      const waitedMs = await pump(reply, writer, { untilBytes, sizeBytes, path: params.path }, call);
      const doneBytes = writer.positionBytes;
      if (untilBytes === sizeBytes) return doneBytes;
      pieces?.note({ bytes: doneBytes - startBytes, answerMs, waitedMs, tookMs: performance.now() - startMs });
    }
  } finally {
    writer.close();
  }
}

/** Asks for a file, or for a part of it; `endBytes` is the first byte that is not wanted. */
async function ask(
  server: DavServer,
  path: string,
  etag: string | undefined,
  { startBytes, endBytes }: { startBytes: number; endBytes?: number },
  call: Call,
): Promise<Reply> {
  const isPart = startBytes > 0 || endBytes !== undefined;
  const range = `bytes=${startBytes}-${endBytes === undefined ? "" : endBytes - 1}`;
  const reply = await server.request({
    method: "GET",
    url: server.url(path),
    // What is squeezed on the way has other offsets.
    headers: { "Accept-Encoding": "identity", ...(isPart ? { Range: range, ...ifRange(etag) } : {}) },
  }, call.signal);
  if (reply.status === 416) {
    reply.close();
    throw changed(path);
  }
  if (reply.status !== 200 && reply.status !== 206) throw await server.refusal("GET", reply);
  return reply;
}

/** Only a strong validator can tie a range to a content (RFC 9110 section 13.1.5). */
function ifRange(etag: string | undefined): Record<string, string> {
  return etag !== undefined && /^"[\x21\x23-\x7e]*"$/.test(etag) ? { "If-Range": etag } : {};
}

/** The first byte of the part that a 206 holds. */
function startOf(reply: Reply): number {
  return Number(/^bytes (\d+)-/.exec(reply.header("content-range") ?? "")?.[1] ?? NaN);
}

/** Where an answer ends, and where the file does: `Infinity` when that is not known. */
interface Ends {
  untilBytes: number;
  sizeBytes: number;
  path: string;
}

/** Writes an answer to the spool; returns how long the limit held it up, milliseconds. */
async function pump(
  reply: Reply,
  writer: SpoolWriter,
  { untilBytes, sizeBytes, path }: Ends,
  call: Call,
): Promise<number> {
  let waitedMs = 0;
  try {
    for (let chunk = await reply.read(); chunk !== null; chunk = await reply.read()) {
      writer.write(chunk);
      if (writer.positionBytes > untilBytes) throw changed(path);
      call.progress(writer.positionBytes);
      // Only now: what was fetched is kept, whatever happens while the limit is waited for.
      const startMs = performance.now();
      await call.throttle(chunk.length);
      waitedMs += performance.now() - startMs;
    }
  } catch (error) {
    reply.close();
    throw error;
  }
  if (untilBytes < Infinity && writer.positionBytes < untilBytes) {
    const sayIt = `server ended the file at byte ${writer.positionBytes} of ${sizeBytes}`;
    throw new ConnectionLost(new Error(sayIt), { isSent: true, sentBytes: 0 });
  }
  return waitedMs;
}

/** A hash of a whole file, lower-case hex. */
export function hashOf(file: string, algorithm: Checksum["algorithm"]): string {
  const hash = createHash(algorithm);
  const bytes = new Uint8Array(256 * 1024);
  using opened = Deno.openSync(file);
  for (let count = opened.readSync(bytes); count !== null; count = opened.readSync(bytes)) {
    hash.update(bytes.subarray(0, count));
  }
  return hash.digest("hex");
}

function changed(path: string): DriverError {
  return new DriverError("changed", `File "${path}" changed on the server`);
}
