/** Proof that what the server holds under a name is what the spool holds. */
import { blocksOf, type Call, DriverError, goesOnWith, isReadWhole } from "../../lib/driver/mod.ts";
import { createHash } from "node:crypto";
import { hashOf } from "./download.ts";
import { StatusError } from "./errors.ts";
import type { DavServer, Found } from "./server.ts";

/** What a file to be uploaded is. */
export interface Content {
  spoolFile: string;
  sizeBytes: number;
  /** Lower-case hex. */
  sha256: string;
}

/** How the same bytes were proven: by the server's hash, or by size and reading back. */
export type Proof = "checksum" | "size";

/**
 * What the server itself says of the bytes: `true` and `false` by a hash that it computed or checked, `undefined` when it
 * says nothing.
 */
export function hashSays(server: DavServer, found: Found, content: Content): boolean | undefined {
  const { checksum, etag } = found;
  if (checksum !== undefined) {
    if (checksum.algorithm === "sha256") return content.sha256 === checksum.value;
    return spoolSays(content, checksum.algorithm, checksum.value);
  }
  if (server.config.kind !== "yandex" || etag === undefined) return undefined;
  // Yandex: the entity tag is the MD5 of the bytes.
  const md5 = /^"?([0-9a-f]{32})"?$/i.exec(etag)?.[1]?.toLowerCase();
  return md5 === undefined ? undefined : spoolSays(content, "md5", md5);
}

/** Compares another hash than SHA-256, which only the spool file can tell: asked for older bytes it holds the newer ones. */
function spoolSays({ spoolFile, sha256 }: Content, algorithm: string, theirs: string): boolean | undefined {
  if (hashOf(spoolFile, algorithm) === theirs) return true;
  return hashOf(spoolFile, "sha256") === sha256 ? false : undefined;
}

/**
 * Whether the file at `path`, whose size is known to be that of `content`, holds the same bytes; `undefined` when not.
 * @throws {DriverError} `uncertain` when the server gives neither hash nor bytes
 */
export async function proveSame(
  server: DavServer,
  path: string,
  found: Found,
  content: Content,
  call: Call,
): Promise<Proof | undefined> {
  const says = hashSays(server, found, content);
  if (says !== undefined) return says ? "checksum" : undefined;
  if (isReadWhole(content.sizeBytes)) {
    return await sha256Of(server, path, content.sizeBytes, call) === content.sha256 ? "size" : undefined;
  }
  for (const [at, length] of blocksOf(content.sizeBytes)) {
    if (!await isSameRange(server, path, content.spoolFile, at, length, call)) return undefined;
  }
  return "size";
}

/**
 * Whether `length` bytes of `path` from `at` on equal those of the spool file. Stops at the first difference.
 * @throws {DriverError} `uncertain` when the server does not give them
 */
export async function isSameRange(
  server: DavServer,
  path: string,
  spoolFile: string,
  at: number,
  length: number,
  call: Call,
): Promise<boolean> {
  using spool = Deno.openSync(spoolFile);
  spool.seekSync(at, Deno.SeekMode.Start);
  const take = (theirs: Uint8Array) => goesOnWith(spool, theirs, new Uint8Array(theirs.length));
  return await readBack(server, path, { at, length }, call, take);
}

/** SHA-256 of the first `sizeBytes` of `path`, read back; `undefined` when there are fewer. */
async function sha256Of(server: DavServer, path: string, sizeBytes: number, call: Call): Promise<string | undefined> {
  const hash = createHash("sha256");
  const isWhole = await readBack(server, path, { at: 0, length: sizeBytes }, call, (theirs) => {
    hash.update(theirs);
    return true;
  });
  return isWhole ? hash.digest("hex") : undefined;
}

/**
 * Hands `length` bytes of `path` from `at` on to `take`, until it wants no more; whether it took them all.
 * @throws {DriverError} `uncertain` when the server does not give them
 */
async function readBack(
  server: DavServer,
  path: string,
  { at, length }: { at: number; length: number },
  call: Call,
  take: (theirs: Uint8Array) => boolean,
): Promise<boolean> {
  if (length === 0) return true;
  const isWhole = at === 0;
  const reply = await server.request({
    method: "GET",
    url: server.url(path),
    headers: { "Accept-Encoding": "identity", Range: `bytes=${at}-${at + length - 1}` },
  }, call.signal);
  if (reply.status !== 206 && !(reply.status === 200 && isWhole)) {
    const refusal = await server.refusal("GET", reply);
    if (refusal instanceof StatusError && (refusal.status === 404 || refusal.status === 416)) return false;
    throw new DriverError("uncertain", `Cannot compare "${path}" with what was sent: ${refusal.message}`);
  }
  let takenBytes = 0;
  try {
    for (let chunk = await reply.read(); chunk !== null && takenBytes < length; chunk = await reply.read()) {
      const theirs = chunk.subarray(0, length - takenBytes);
      await call.throttle(theirs.length);
      if (!take(theirs)) return false;
      takenBytes += theirs.length;
    }
    return takenBytes === length;
  } finally {
    if (takenBytes < length || reply.status === 200) reply.close();
  }
}
