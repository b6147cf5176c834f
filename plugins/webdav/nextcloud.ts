/**
 * Uploads to Nextcloud and ownCloud. They take no name that ends with `.part`, and need none: a PUT is published by the
 * server itself when it is whole, and large files go in chunks into a folder of their own (chunked upload version 2) that
 * the server puts together at the end. The folder's name derives from the file, so that an interrupted upload finds its
 * chunks again, also after a restart; the server forgets it after 24 hours.
 */
import {
  type Call,
  DriverError,
  parentOf,
  type Receipt,
  temporaryPath,
  type UploadParams,
} from "../../lib/driver/mod.ts";
import type { Exchange } from "../http/exchange.ts";
import { hashOf } from "./download.ts";
import { StatusError, Stranger } from "./errors.ts";
import { isOpen, lookAgain } from "./lost_answers.ts";
import { urlOf } from "./paths.ts";
import { type Place, placeFor, receiptOf } from "./place.ts";
import { hashSays } from "./proof.ts";
import { answerTimeoutMs, DONE, sendBody, timeHeader } from "./send.ts";
import type { DavServer } from "./server.ts";
import type { Tools } from "./tools.ts";

/** From this size on a file goes in chunks, bytes. */
const CHUNKED_BYTES_MIN = 10 * 1024 * 1024;
/** Smallest chunk that the server takes but for the last, bytes. What an interruption costs. */
const CHUNK_BYTES_MIN = 5 * 1024 * 1024;
/** Most chunks of one file. */
const CHUNKS_MAX = 10_000;
/** Read from the spool and written to the socket at once, bytes. */
const PIECE_BYTES = 64 * 1024;
const SEND_TIMEOUT_MS = 120_000;
const RACES_MAX = 5;

/** Uploads one file; see the contract. */
export async function uploadToNextcloud(tools: Tools, params: UploadParams, call: Call): Promise<Receipt> {
  const { server, folders } = tools;
  for (let races = 0; races < RACES_MAX; races++) {
    const place = await placeFor(server, params, call);
    if (place.proof !== undefined) return receiptOf(params, place.path, place.proof);
    await folders.ensure(tools, parentOf(params.path), call);
    try {
      if (params.sizeBytes >= CHUNKED_BYTES_MIN && uploadsOf(server) !== undefined) {
        await sendChunks(server, place, params, call);
      } else {
        await sendPut(server, place, params, call);
      }
    } catch (error) {
      // The name was taken while the bytes moved.
      if (error instanceof StatusError && error.status === 412) continue;
      if (error instanceof StatusError && (error.status === 404 || error.status === 409)) folders.forget();
      if (error instanceof StatusError && (error.status === 400 || error.status === 422)) {
        throw new DriverError("rejected", error.message);
      }
      if (!isOpen(error) || call.signal.aborted) throw error;
      const landed = await lookAgain(call, error, params.sizeBytes, () => checked(server, place.path, params, call));
      if (landed === undefined) throw error;
      return landed;
    }
    const receipt = await checked(server, place.path, params, call);
    if (receipt !== undefined) return receipt;
    throw new DriverError("corrupt", `Server holds something else of "${params.path}" than was sent`);
  }
  throw new DriverError("failed", `Name "${params.path}" is taken again and again by somebody else`);
}

/** The receipt when `path` is the file that was sent; `undefined` when not, or not yet. */
async function checked(
  server: DavServer,
  path: string,
  params: UploadParams,
  call: Call,
): Promise<Receipt | undefined> {
  const found = await server.look(path, call.signal);
  if (found === undefined || found.isFolder || found.sizeBytes !== params.sizeBytes) return undefined;
  const says = hashSays(server, found, params);
  return says === false ? undefined : receiptOf(params, path, says === true ? "checksum" : "size");
}

/** The server makes the file visible when it has all of it, and only if nothing else has the name. */
async function sendPut(server: DavServer, { path, isTaken }: Place, params: UploadParams, call: Call): Promise<void> {
  const headers = {
    "Content-Length": params.sizeBytes,
    ...timeHeader(params),
    ...(isTaken ? {} : { "If-None-Match": "*" }),
  };
  await sendBody(server, { method: "PUT", url: server.url(path), headers }, params, call);
}

/** Where this login's chunks go, and where its files are; `undefined` when the address does not tell. */
function uploadsOf({ config }: DavServer): { uploads: URL; files: URL } | undefined {
  const match = /^(.*\/remote\.php)\/dav\/files\/([^/]+)(\/.*)$/.exec(config.root.pathname);
  if (match === null) return undefined;
  const uploads = new URL(config.root);
  uploads.pathname = `${match[1]}/dav/uploads/${match[2]}/`;
  return { uploads, files: config.destination };
}

async function sendChunks(server: DavServer, place: Place, params: UploadParams, call: Call): Promise<void> {
  const { sizeBytes } = params;
  if (hashOf(params.spoolFile, "sha256") !== params.sha256) {
    throw new DriverError("corrupt", `Spool file of "${params.path}" does not hold the bytes that were promised`);
  }
  const { uploads, files } = uploadsOf(server)!;
  const id = (await temporaryPath(params.path, params.sha256)).split("/").at(-1)!.replace(/\.part$/, "");
  const folder = urlOf(uploads, id, true);
  const destination = urlOf(files, place.path).href;
  const chunkBytes = Math.max(CHUNK_BYTES_MIN, Math.ceil(sizeBytes / CHUNKS_MAX));
  const count = Math.ceil(sizeBytes / chunkBytes);
  const sizeOf = (n: number) => Math.min(chunkBytes, sizeBytes - (n - 1) * chunkBytes);
  const made = await server.request(
    { method: "MKCOL", url: folder, headers: { Destination: destination } },
    call.signal,
  );
  if (![200, 201, 204, 405].includes(made.status)) throw await server.refusal("MKCOL", made);
  await made.discard();
  // Chunks that are there are whole, or the server would not show them.
  const have = made.status === 405 ? await chunksIn(server, folder, call.signal) : new Map<string, number>();
  let doneBytes = 0;
  for (let n = 1; n <= count; n++) {
    const name = String(n).padStart(5, "0");
    if (have.get(name) !== sizeOf(n)) {
      await sendChunk(server, urlOf(folder, name), {
        params,
        from: (n - 1) * chunkBytes,
        bytes: sizeOf(n),
        destination,
      }, call);
    }
    doneBytes += sizeOf(n);
    call.progress(doneBytes);
  }
  const headers = {
    Destination: destination,
    "OC-Total-Length": sizeBytes,
    Overwrite: place.isTaken ? "T" : "F",
    ...timeHeader(params),
  };
  const timeoutMs = answerTimeoutMs(sizeBytes);
  await server.expect({ method: "MOVE", url: urlOf(folder, ".file"), headers, timeoutMs }, DONE, call.signal);
}

async function chunksIn(server: DavServer, folder: URL, signal: AbortSignal): Promise<Map<string, number>> {
  const chunks = new Map<string, number>();
  await server.propfind(folder, 1, ({ names, isFolder, sizeBytes }) => {
    const [name] = names;
    if (name !== undefined && !isFolder && /^\d{5}$/.test(name)) chunks.set(name, sizeBytes ?? -1);
  }, signal);
  return chunks;
}

interface Chunk {
  params: UploadParams;
  from: number;
  bytes: number;
  destination: string;
}

async function sendChunk(server: DavServer, url: URL, chunk: Chunk, call: Call): Promise<void> {
  const { params, from, bytes, destination } = chunk;
  const write = async (exchange: Exchange) => {
    using spool = Deno.openSync(params.spoolFile);
    spool.seekSync(from, Deno.SeekMode.Start);
    for (let doneBytes = from; doneBytes < from + bytes && exchange.isOpen;) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, from + bytes - doneBytes));
      const count = spool.readSync(piece);
      if (count === null) throw new DriverError("corrupt", `Spool file of "${params.path}" is shorter than promised`);
      await call.throttle(count);
      await exchange.write(piece.subarray(0, count), SEND_TIMEOUT_MS);
      doneBytes += count;
      call.progress(doneBytes);
    }
  };
  const headers = { "Content-Length": bytes, Destination: destination, "OC-Total-Length": params.sizeBytes };
  const timeoutMs = answerTimeoutMs(bytes);
  const reply = await server.request({ method: "PUT", url, headers, write, timeoutMs }, call.signal);
  if (!DONE.includes(reply.status)) throw await server.refusal("PUT", reply);
  await reply.discard();
  if (reply.isEarly) throw new Stranger(`server answers ${reply.status} before it has the chunk`);
}
