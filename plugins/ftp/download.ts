/** SOURCE to spool: REST and RETR, with the file's fingerprint looked at before and after. */
import {
  type Call,
  type DownloadParams,
  type DownloadResult,
  DriverError,
  type Fingerprint,
  isSmallFile,
  sameFingerprint,
} from "../../lib/driver/mod.ts";
import { SpoolWriter } from "../../lib/protocol/serve.ts";
import { Transfer } from "./data.ts";
import { explainMissing, type Found, foundBy, lookUp, mlstOf } from "./entries.ts";
import { ReplyError } from "./errors.ts";
import type { Pool } from "./pool.ts";
import type { Session } from "./session.ts";
import { ConnectionLost } from "./stream.ts";

/** MLSD and MDTM tell whole seconds. */
export const PRECISION_MS = 1000;

/** Downloads one file; see the contract. */
export async function download(pool: Pool, params: DownloadParams, call: Call): Promise<DownloadResult> {
  const { before, sizeBytes, asked } = await pool.use(call.signal, async (session) => {
    const before = isEnough(params) ? params.expect : await fileAt(session, params.path);
    if (!sameFingerprint(before, params.expect, PRECISION_MS)) throw changed(params.path);
    const sizeBytes = await fetch(session, params, before, call);
    return { before, sizeBytes, asked: askAgain(session, params.path) };
  });
  // On any session: the one that carried the file may have died with its last reply.
  const after = await asked ?? await pool.use(call.signal, (session) => fileAt(session, params.path));
  if (!sameFingerprint(before, after, PRECISION_MS)) throw changed(params.path);
  if (before.sizeBytes !== undefined && sizeBytes < before.sizeBytes) {
    throw new ConnectionLost(`Server ended the data at byte ${sizeBytes} of ${before.sizeBytes}`);
  }
  if ((after.sizeBytes ?? sizeBytes) !== sizeBytes) throw changed(params.path);
  return { sizeBytes, fingerprint: { ...after, sizeBytes } };
}

/**
 * Whether looking at the file before its bytes would tell nothing: what is looked at afterwards has the size and the time
 * that were listed, or another file was fetched. A large one is looked at, so that it is not fetched in vain.
 */
function isEnough({ expect, offsetBytes }: DownloadParams): boolean {
  const { sizeBytes, modifiedMs } = expect;
  return offsetBytes === 0 && modifiedMs !== undefined && isSmallFile(sizeBytes);
}

/** The fingerprint, asked together with what the next call on this session asks; `undefined` when it must be asked anew. */
async function askAgain(session: Session, path: string): Promise<Fingerprint | undefined> {
  if (session.isClosed || !session.hasMlst) return undefined;
  try {
    const found = foundBy(await session.control.ask(mlstOf(session, path)));
    return found?.kind === "file" ? fingerprintOf(found) : undefined;
  } catch {
    // The session is gone, and another one will tell.
    return undefined;
  }
}

async function fileAt(session: Session, path: string): Promise<Fingerprint> {
  // 550 may be about this moment (a file in use): what is not found once is asked for again.
  const found = await lookUp(session, path) ?? await lookUp(session, path);
  if (found === undefined) throw await explainMissing(session, path);
  if (found.kind === "directory") throw new DriverError("failed", `Path "${path}" is a directory: expected a file`);
  return fingerprintOf(found);
}

function fingerprintOf({ kind: _, ...fingerprint }: Found & { kind: "file" }): Fingerprint {
  return fingerprint;
}

function changed(path: string): DriverError {
  return new DriverError("changed", `File "${path}" changed on the server`);
}

/** Moves the bytes; returns how many the file has. */
async function fetch(session: Session, params: DownloadParams, before: Fingerprint, call: Call): Promise<number> {
  if (before.sizeBytes !== undefined && params.offsetBytes > before.sizeBytes) throw changed(params.path);
  const expected = {
    path: params.path,
    sizeBytes: before.sizeBytes,
    startsAtZero: params.offsetBytes === 0,
    limit: params.maxBytesPerSecond,
  };
  let writer = new SpoolWriter(params.spoolFile, params.offsetBytes);
  try {
    const command = `RETR ${session.path(params.path)}`;
    let transfer: Transfer;
    try {
      transfer = await Transfer.open(session, command, { restBytes: writer.startBytes });
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error;
      const isRestRefused = error.verb === "REST" && !error.isTransient;
      if (error.code === 550 && !isRestRefused) {
        const reason = await explainRefusal(session, params.path, error);
        if (reason.code !== "denied") throw reason;
        transfer = await Transfer.open(session, command, { restBytes: writer.startBytes }).catch((again) => {
          throw again instanceof ReplyError ? reason : again;
        });
        return await pump(session, transfer, { writer, ...expected }, call);
      }
      if (writer.startBytes === 0 || !(isRestRefused || error.isUnknown)) throw error;
      // A server without REST: from the beginning, over what is held.
      session.context.log("info", `Starts "${params.path}" again from 0: ${error.message}`);
      writer.close();
      writer = new SpoolWriter(params.spoolFile, 0);
      transfer = await Transfer.open(session, command);
    }
    return await pump(session, transfer, { writer, ...expected }, call);
  } finally {
    writer.close();
  }
}

/** Where the bytes go, and how many there should be. */
interface Destination {
  writer: SpoolWriter;
  path: string;
  sizeBytes: number | undefined;
  /** Nothing was held before. */
  startsAtZero: boolean;
  /** Bytes per second, as the call began. */
  limit: number | undefined;
}

/** Returns how many bytes there are then: fewer than there should be when the server ended the data early. */
async function pump(
  session: Session,
  transfer: Transfer,
  { writer, path, sizeBytes, startsAtZero, limit }: Destination,
  call: Call,
): Promise<number> {
  const bytes = session.chunk;
  // A small file that comes in one piece is over before anybody could look: its answer is all that is told.
  const isSmall = startsAtZero && isSmallFile(sizeBytes);
  if (!isSmall) call.progress(writer.startBytes);
  if (!isSmall && limit !== undefined) transfer.readAhead?.begin(limit);
  try {
    for (let count = await transfer.read(bytes); count !== null; count = await transfer.read(bytes)) {
      writer.write(bytes.subarray(0, count));
      if (!isSmall || writer.positionBytes !== sizeBytes) call.progress(writer.positionBytes);
      if (sizeBytes !== undefined && writer.positionBytes > sizeBytes) throw changed(path);
      // Only now: what was fetched is kept, whatever happens while the limit is waited for.
      const startMs = performance.now();
      await call.throttle(count);
      transfer.readAhead?.note(count, performance.now() - startMs);
    }
  } catch (error) {
    // The wrong bytes or no room for them: the session is good, unless it broke.
    if (error instanceof DriverError) await transfer.abandon();
    else transfer.destroy();
    throw error;
  }
  const doneBytes = writer.positionBytes;
  try {
    await transfer.finish();
  } catch (error) {
    // All bytes are there and only the last reply is lost: the size on the server, asked again, decides.
    if (!(error instanceof ConnectionLost) || doneBytes !== sizeBytes) throw error;
  }
  return doneBytes;
}

async function explainRefusal(session: Session, path: string, refusal: ReplyError): Promise<DriverError> {
  const reason = await explainMissing(session, path);
  return new DriverError(reason.code, `${reason.message}: ${refusal.message}`, reason.details);
}
