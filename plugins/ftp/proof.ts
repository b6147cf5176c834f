/** Proof that what the server holds under a name is what the spool holds. */
import { type Call, type Content, DriverError, holdsSame, type Proof, type ReadBack } from "../../lib/driver/mod.ts";
import { isDone, REPLY_TIMEOUT_MS } from "./control.ts";
import { Transfer } from "./data.ts";
import { ReplyError } from "./errors.ts";
import type { Session } from "./session.ts";

/** Slowest reading of a server that hashes, bytes a millisecond. */
const HASH_BYTES_PER_MS = 10_000;

/**
 * Whether the file at `path`, whose size is known to be that of `content`, holds the same bytes; `undefined` when not.
 * @throws {DriverError} `uncertain` when the server gives neither hash nor bytes
 */
export async function proveSame(
  session: Session,
  path: string,
  content: Content,
  call: Call,
): Promise<Proof | undefined> {
  const sha256 = await hashOf(session, path, content.sizeBytes);
  if (sha256 !== undefined) return sha256 === content.sha256 ? "checksum" : undefined;
  return await holdsSame(content, readsBack(session, path, call)) ? "size" : undefined;
}

/** SHA-256 that the server computes of `path`; `undefined` when it offers none. */
export async function hashOf(
  session: Session,
  path: string,
  sizeBytes: number,
): Promise<string | undefined> {
  const absolute = session.path(path);
  let command: string;
  // HASH first: XSHA256 takes what follows a space in a name for an offset.
  if (session.features.some((feature) => /^hash .*sha-256/.test(feature))) {
    if (!isDone(await session.control.command("OPTS HASH SHA-256"))) return undefined;
    command = `HASH ${absolute}`;
  } else if (session.has("xsha256")) command = `XSHA256 ${absolute}`;
  else return undefined;
  const reply = await session.control.command(command, REPLY_TIMEOUT_MS + sizeBytes / HASH_BYTES_PER_MS);
  if (!isDone(reply)) return undefined;
  // 250 <hex>, 213 SHA-256 0-49 <hex> name, 250-… 250 <hex>: the only run of 64 digits that stands alone.
  return /(?:^|\s)([0-9a-f]{64})(?:\s|$)/i.exec(reply.lines.map((line) => line.replace(/^\d{3}[ -]/, "")).join("\n"))
    ?.[1]?.toLowerCase();
}

/** Reads the file at `path` back. */
export function readsBack(session: Session, path: string, call: Call): ReadBack {
  return async (at, length, take) => {
    if (length === 0) return true;
    const transfer = await open(session, path, at);
    let takenBytes = 0;
    let isWanted = true;
    let hasEnded = false;
    try {
      while (isWanted && takenBytes < length) {
        const count = await transfer.read(
          session.chunk.subarray(0, Math.min(session.chunk.length, length - takenBytes)),
        );
        if (count === null) {
          hasEnded = true;
          break;
        }
        await call.throttle(count);
        isWanted = take(session.chunk.subarray(0, count));
        takenBytes += count;
      }
    } catch (error) {
      transfer.destroy();
      throw error;
    }
    if (hasEnded) await transfer.finish();
    else await transfer.abandon();
    return isWanted && takenBytes === length;
  };
}

async function open(session: Session, path: string, at: number): Promise<Transfer> {
  try {
    return await Transfer.open(session, `RETR ${session.path(path)}`, { restBytes: at });
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    throw new DriverError("uncertain", `Cannot compare "${path}" with what was sent: ${error.message}`);
  }
}
