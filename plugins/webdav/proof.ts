/** Proof that what the server holds under a name is what the spool holds. */
import { type Call, type Content, DriverError, holdsSame, type Proof, type ReadBack } from "../../lib/driver/mod.ts";
import { hashOf } from "./download.ts";
import { StatusError } from "./errors.ts";
import type { DavServer, Found } from "./server.ts";

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
  return await holdsSame(content, readsBack(server, path, call)) ? "size" : undefined;
}

/** Reads the file at `path` back. */
export function readsBack(server: DavServer, path: string, call: Call): ReadBack {
  return async (at, length, take) => {
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
  };
}
