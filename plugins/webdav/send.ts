/** Moves the bytes of an upload to its temporary name, from where an interrupted one stopped, as far as the server can. */
import {
  type Call,
  DriverError,
  holdsSameRange,
  isSmallFile,
  parentOf,
  READ_BACK_BYTES,
  type UploadParams,
} from "../../lib/driver/mod.ts";
import type { Exchange } from "../http/exchange.ts";
import { writeFile } from "../http/file_body.ts";
import { pause } from "../http/pause.ts";
import type { Reply } from "../http/reply.ts";
import { hashOf } from "./download.ts";
import { StatusError, Stranger } from "./errors.ts";
import type { Memory, PartialWrite } from "./memory.ts";
import { partialRequest, probePartialWrite } from "./partial_write.ts";
import { readsBack } from "./proof.ts";
import type { DavRequest, DavServer, Found } from "./server.ts";

/** Statuses of a write that was done. */
export const DONE: readonly number[] = [200, 201, 204];

/** A smaller file is sent whole: to ask what is there costs as much, bytes. */
const RESUME_BYTES_MIN = 1024 * 1024;
/** From this size on it pays to find out how the server adds bytes, bytes. */
const PROBE_BYTES_MIN = 4 * 1024 * 1024;
/** How long a server may think about a file after its last byte, milliseconds: Yandex hashes it. */
const ANSWER_TIMEOUT_MS = 300_000;
/** Slowest hashing seen of a server, bytes a millisecond: 180 s for a gigabyte (rclone#741). */
const ANSWER_BYTES_PER_MS = 5_500;
/** How long a server may take to say whether it wants the bytes, milliseconds. */
const CONTINUE_TIMEOUT_MS = 10_000;
/** A size is read again after this time until it stays: a server may still be writing what came before a cut. */
const SETTLE_MS = 300;
const SETTLE_LOOKS_MAX = 20;

/** How long the answer to a file of this size may take, milliseconds. */
export function answerTimeoutMs(sizeBytes: number): number {
  return ANSWER_TIMEOUT_MS + sizeBytes / ANSWER_BYTES_PER_MS;
}

/** Sends the file to `temporary`; what is there then, as far as the server was asked at once. */
export async function sendFile(
  server: DavServer,
  memory: Memory,
  temporary: string,
  params: UploadParams,
  call: Call,
  /** Called when all of it was handed on. */
  onSent: () => void,
): Promise<Found | undefined> {
  const kind = await partialWriteFor(server, memory, temporary, params, call);
  if (kind === "none") return await sendWhole(server, temporary, params, call, onSent);
  const fromBytes = await resumeAt(server, temporary, params, call);
  if (fromBytes === params.sizeBytes) return undefined;
  const url = server.url(temporary);
  if (fromBytes === 0) {
    // Bytes can only be added to a file that is there.
    await server.expect({ method: "PUT", url, headers: { "Content-Length": 0 } }, DONE, call.signal);
  }
  await sendBody(server, partialRequest(kind, url, fromBytes, params.sizeBytes - fromBytes), params, call, fromBytes);
  return undefined;
}

async function partialWriteFor(
  server: DavServer,
  memory: Memory,
  temporary: string,
  { sizeBytes }: UploadParams,
  call: Call,
): Promise<PartialWrite> {
  if (server.config.kind !== "none" || sizeBytes < RESUME_BYTES_MIN) return "none";
  if (memory.partialWrite === undefined && sizeBytes >= PROBE_BYTES_MIN) {
    memory.learn(await probePartialWrite(server, parentOf(temporary), call));
  }
  return memory.partialWrite ?? "none";
}

async function sendWhole(
  server: DavServer,
  temporary: string,
  params: UploadParams,
  call: Call,
  onSent: () => void,
): Promise<Found | undefined> {
  const request = {
    method: "PUT",
    url: server.url(temporary),
    headers: { "Content-Length": params.sizeBytes, ...timeHeader(params) },
  };
  if (server.config.kind !== "yandex") {
    if (isSmallFile(params.sizeBytes)) return await sendSmall(server, request, temporary, params, call, onSent);
    await sendBody(server, request, params, call);
    return undefined;
  }
  // Yandex answers 201 to the headers alone when it has these bytes already, from a try whose answer was lost.
  const headers = {
    ...request.headers,
    Etag: hashOf(params.spoolFile, "md5"),
    Sha256: params.sha256,
    Expect: "100-continue",
  };
  await sendBody(server, { ...request, headers }, params, call);
  return undefined;
}

/** Sends a small file and asks in the same breath what has become of it: its time goes into round trips. */
async function sendSmall(
  server: DavServer,
  request: DavRequest & { headers: Record<string, string | number> },
  temporary: string,
  params: UploadParams,
  call: Call,
  onSent: () => void,
): Promise<Found | undefined> {
  const write = async (exchange: Exchange) => {
    await writeFile(exchange, params, call);
    onSent();
  };
  const timeoutMs = answerTimeoutMs(params.sizeBytes);
  const { reply, look } = await server.requestThenLook({ ...request, write, timeoutMs }, temporary, call.signal);
  await checkDone(server, request.method, reply, true);
  return await look();
}

/** @throws {StatusError} when a server refused what was sent */
async function checkDone(server: DavServer, method: string, reply: Reply, isWanted: boolean): Promise<void> {
  if (!DONE.includes(reply.status)) throw await server.refusal(method, reply);
  await reply.discard();
  if (reply.isEarly && isWanted) throw new Stranger(`server answers ${reply.status} before it has the file`);
}

/** The modification time, for the servers that keep it. */
export function timeHeader({ modifiedMs }: UploadParams): Record<string, number> {
  return modifiedMs === undefined ? {} : { "X-OC-Mtime": Math.floor(modifiedMs / 1000) };
}

/**
 * Sends the body of a request from `fromBytes` of the file on.
 * @throws {StatusError} when the server refuses it
 */
export async function sendBody(
  server: DavServer,
  request: DavRequest & { headers: Record<string, string | number> },
  params: UploadParams,
  call: Call,
  fromBytes = 0,
): Promise<void> {
  call.progress(fromBytes);
  const isAsking = request.headers["Expect"] !== undefined;
  let isWanted = true;
  const write = async (exchange: Exchange) => {
    isWanted = !isAsking || await exchange.mayContinue(CONTINUE_TIMEOUT_MS);
    if (isWanted) await writeFile(exchange, params, call, { fromBytes });
  };
  const timeoutMs = answerTimeoutMs(params.sizeBytes - fromBytes);
  const reply = await server.request({ ...request, write, timeoutMs }, call.signal);
  await checkDone(server, request.method, reply, isWanted);
}

/** Size of a file that the server may still be writing after a cut; 0 when there is none. */
export async function settledSize(server: DavServer, path: string, call: Call): Promise<number> {
  let sizeBytes = await sizeOf(server, path, call.signal);
  for (let looks = 0; sizeBytes > 0 && looks < SETTLE_LOOKS_MAX; looks++) {
    await pause(SETTLE_MS, call.signal);
    const again = await sizeOf(server, path, call.signal);
    if (again === sizeBytes) break;
    sizeBytes = again;
  }
  return sizeBytes;
}

async function sizeOf(server: DavServer, path: string, signal: AbortSignal): Promise<number> {
  const found = await server.look(path, signal);
  return found === undefined || found.isFolder ? 0 : found.sizeBytes ?? 0;
}

/** Where to go on: what is there must be a true prefix, shown by its last block. */
async function resumeAt(server: DavServer, path: string, params: UploadParams, call: Call): Promise<number> {
  const haveBytes = await settledSize(server, path, call);
  if (haveBytes === 0) return 0;
  if (haveBytes <= params.sizeBytes) {
    const at = Math.max(0, haveBytes - READ_BACK_BYTES);
    try {
      if (await holdsSameRange(params.spoolFile, at, haveBytes - at, readsBack(server, path, call))) return haveBytes;
    } catch (error) {
      // A server that takes files and gives none back: nothing is known of the part, so it is sent again.
      if (!(error instanceof DriverError) || error.code !== "uncertain") throw error;
    }
  }
  await discard(server, path, call.signal);
  return 0;
}

/** Removes a temporary file; one that is gone is as good. */
export async function discard(server: DavServer, path: string, signal: AbortSignal): Promise<void> {
  try {
    await server.expect({ method: "DELETE", url: server.url(path) }, [...DONE, 404], signal);
  } catch (error) {
    // It stays under a name that every finder of ours ignores.
    if (!(error instanceof StatusError)) throw error;
  }
}
