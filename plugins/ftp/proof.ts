/** Proof that what the server holds under a name is what the spool holds. */
import { blocksOf, type Call, DriverError, goesOnWith, isReadWhole } from "../../lib/driver/mod.ts";
import { isDone, REPLY_TIMEOUT_MS } from "./control.ts";
import { Transfer } from "./data.ts";
import { ReplyError } from "./errors.ts";
import type { Session } from "./session.ts";

/** Slowest reading of a server that hashes, bytes a millisecond. */
const HASH_BYTES_PER_MS = 10_000;

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
  if (isReadWhole(content.sizeBytes)) {
    return await sha256Of(session, path, content.sizeBytes, call) === content.sha256 ? "size" : undefined;
  }
  for (const [at, length] of blocksOf(content.sizeBytes)) {
    if (!await isSameRange(session, path, content.spoolFile, at, length, call)) return undefined;
  }
  return "size";
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

/**
 * Whether `length` bytes of `path` from `at` on equal those of the spool file. Stops at the first difference.
 * @throws {DriverError} `uncertain` when the server does not give them
 */
export async function isSameRange(
  session: Session,
  path: string,
  spoolFile: string,
  at: number,
  length: number,
  call: Call,
): Promise<boolean> {
  using spool = Deno.openSync(spoolFile);
  spool.seekSync(at, Deno.SeekMode.Start);
  const ours = session.chunk.subarray(session.chunk.length / 2);
  return await readBack(session, path, { at, length }, call, (theirs) => goesOnWith(spool, theirs, ours));
}

/** SHA-256 of the first `sizeBytes` of `path`, read back; `undefined` when there are fewer. */
async function sha256Of(session: Session, path: string, sizeBytes: number, call: Call): Promise<string | undefined> {
  // Loaded at its first use: it costs 5 MB of memory.
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  const isWhole = await readBack(session, path, { at: 0, length: sizeBytes }, call, (theirs) => {
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
  session: Session,
  path: string,
  { at, length }: { at: number; length: number },
  call: Call,
  take: (theirs: Uint8Array) => boolean,
): Promise<boolean> {
  if (length === 0) return true;
  let transfer: Transfer;
  try {
    transfer = await Transfer.open(session, `RETR ${session.path(path)}`, { restBytes: at });
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    throw new DriverError("uncertain", `Cannot compare "${path}" with what was sent: ${error.message}`);
  }
  const theirs = session.chunk.subarray(0, session.chunk.length / 2);
  let takenBytes = 0;
  let isWanted = true;
  let hasEnded = false;
  try {
    while (isWanted && takenBytes < length) {
      const count = await transfer.read(theirs.subarray(0, Math.min(theirs.length, length - takenBytes)));
      if (count === null) {
        hasEnded = true;
        break;
      }
      await call.throttle(count);
      isWanted = take(theirs.subarray(0, count));
      takenBytes += count;
    }
  } catch (error) {
    transfer.destroy();
    throw error;
  }
  if (hasEnded) await transfer.finish();
  else await transfer.abandon();
  return isWanted && takenBytes === length;
}
