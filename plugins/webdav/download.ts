/** SERVER to spool: GET with a range, with the file's fingerprint looked at before and after. */
import { createHash } from "node:crypto";
import {
  type Call,
  type Checksum,
  type DownloadParams,
  type DownloadResult,
  DriverError,
  sameFingerprint,
} from "../../lib/driver/mod.ts";
import { SpoolWriter } from "../../lib/protocol/serve.ts";
import { ConnectionLost } from "../http/lost.ts";
import type { Reply } from "../http/reply.ts";
import { fingerprintOf, PRECISION_MS } from "./entries.ts";
import type { DavServer, Found } from "./server.ts";

/** Downloads one file; see the contract. */
export async function download(server: DavServer, params: DownloadParams, call: Call): Promise<DownloadResult> {
  const first = await fileAt(server, params.path, call.signal);
  const before = fingerprintOf(first);
  if (!sameFingerprint(before, params.expect, PRECISION_MS)) throw changed(params.path);
  if (before.sizeBytes !== undefined && params.offsetBytes > before.sizeBytes) throw changed(params.path);
  const sizeBytes = await fetch(server, params, first, call);
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

async function fileAt(server: DavServer, path: string, signal: AbortSignal): Promise<Found> {
  const found = await server.look(path, signal);
  if (found === undefined) throw new DriverError("not_found", `File "${path}" is not on the server`);
  if (found.isFolder) throw new DriverError("failed", `Path "${path}" is a folder: expected a file`);
  return found;
}

/** Moves the bytes; returns how many the file has. */
async function fetch(server: DavServer, params: DownloadParams, before: Found, call: Call): Promise<number> {
  let writer = new SpoolWriter(params.spoolFile, params.offsetBytes);
  try {
    const isRange = writer.startBytes > 0;
    const reply = await server.request({
      method: "GET",
      url: server.url(params.path),
      headers: {
        // What is squeezed on the way has other offsets.
        "Accept-Encoding": "identity",
        ...(isRange ? { Range: `bytes=${writer.startBytes}-`, ...ifRange(before.etag) } : {}),
      },
    }, call.signal);
    if (reply.status === 416) {
      reply.close();
      throw changed(params.path);
    }
    if (reply.status !== 200 && reply.status !== 206) throw await server.refusal("GET", reply);
    if (isRange && !isFrom(reply, writer.startBytes)) {
      // No ranges, or another content: from the beginning, over what is held.
      writer.close();
      writer = new SpoolWriter(params.spoolFile, 0);
    }
    return await pump(reply, writer, before.sizeBytes, params.path, call);
  } finally {
    writer.close();
  }
}

/** Only a strong validator can tie a range to a content (RFC 9110 section 13.1.5). */
function ifRange(etag: string | undefined): Record<string, string> {
  return etag !== undefined && /^"[\x21\x23-\x7e]*"$/.test(etag) ? { "If-Range": etag } : {};
}

function isFrom(reply: Reply, startBytes: number): boolean {
  return reply.status === 206 &&
    Number(/^bytes (\d+)-/.exec(reply.header("content-range") ?? "")?.[1] ?? NaN) === startBytes;
}

async function pump(
  reply: Reply,
  writer: SpoolWriter,
  sizeBytes: number | undefined,
  path: string,
  call: Call,
): Promise<number> {
  try {
    for (let chunk = await reply.read(); chunk !== null; chunk = await reply.read()) {
      writer.write(chunk);
      if (sizeBytes !== undefined && writer.positionBytes > sizeBytes) throw changed(path);
      call.progress(writer.positionBytes);
      // Only now: what was fetched is kept, whatever happens while the limit is waited for.
      await call.throttle(chunk.length);
    }
  } catch (error) {
    reply.close();
    throw error;
  }
  const doneBytes = writer.positionBytes;
  if (sizeBytes !== undefined && doneBytes < sizeBytes) {
    throw new ConnectionLost(new Error(`server ended the file at byte ${doneBytes} of ${sizeBytes}`), {
      isSent: true,
      sentBytes: 0,
    });
  }
  return doneBytes;
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
