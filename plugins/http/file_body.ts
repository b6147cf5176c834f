/** Sends a spool file as a request's body, and proves on the way that it holds what was promised. */
import { createHash } from "node:crypto";
import { type Call, DriverError, type UploadParams } from "../../lib/driver/mod.ts";
import type { Exchange } from "./exchange.ts";

/** Read from the spool and written to the socket at once: at 1 KiB/s one takes a minute. */
const CHUNK_BYTES = 64 * 1024;
/** How long a connection may take no byte of ours, milliseconds. */
const SEND_TIMEOUT_MS = 120_000;

/**
 * Writes the bytes of `params.spoolFile` from `fromBytes` on. The last of them go out only when the hash of the whole file
 * is right: a server that was told the length throws away what ends early, so it never has a whole file of wrong bytes.
 * @throws {DriverError} `corrupt` when the spool file is not what was promised; the exchange is to be closed then
 */
export async function writeFile(
  exchange: Exchange,
  params: Pick<UploadParams, "spoolFile" | "sizeBytes" | "sha256" | "path">,
  call: Call,
  options: { fromBytes?: number } = {},
): Promise<void> {
  const { sizeBytes } = params;
  const fromBytes = options.fromBytes ?? 0;
  const hash = createHash("sha256");
  using spool = Deno.openSync(params.spoolFile);
  let doneBytes = 0;
  while (doneBytes < sizeBytes && exchange.isOpen) {
    const isBefore = doneBytes < fromBytes;
    // The socket keeps what it was given until it is sent: each chunk has memory of its own.
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, (isBefore ? fromBytes : sizeBytes) - doneBytes));
    const count = spool.readSync(chunk);
    if (count === null) throw wrongBytes(params.path);
    const bytes = chunk.subarray(0, count);
    hash.update(bytes);
    if (doneBytes + count === sizeBytes && hash.digest("hex") !== params.sha256) throw wrongBytes(params.path);
    doneBytes += count;
    if (isBefore) continue;
    await call.throttle(count);
    await exchange.write(bytes, SEND_TIMEOUT_MS);
    call.progress(doneBytes);
  }
  if (sizeBytes === 0 && hash.digest("hex") !== params.sha256) throw wrongBytes(params.path);
}

function wrongBytes(path: string): DriverError {
  return new DriverError("corrupt", `Spool file of "${path}" does not hold the bytes that were promised`);
}
