/** SOURCE to spool: REST and RETR, with the file's fingerprint looked at before and after. */
import {
  type Call,
  type DownloadParams,
  type DownloadResult,
  DriverError,
  type Fingerprint,
  sameFingerprint,
} from "../../lib/driver/mod.ts";
import { SpoolWriter } from "../../lib/protocol/serve.ts";
import { Transfer } from "./data.ts";
import { explainMissing, lookUp } from "./entries.ts";
import { ReplyError } from "./errors.ts";
import type { Pool } from "./pool.ts";
import type { Session } from "./session.ts";
import { ConnectionLost } from "./stream.ts";

/** MLSD and MDTM tell whole seconds. */
export const PRECISION_MS = 1000;

/** Downloads one file; see the contract. */
export async function download(pool: Pool, params: DownloadParams, call: Call): Promise<DownloadResult> {
  const { before, sizeBytes } = await pool.use(call.signal, async (session) => {
    const before = await fileAt(session, params.path);
    if (!sameFingerprint(before, params.expect, PRECISION_MS)) throw changed(params.path);
    return { before, sizeBytes: await fetch(session, params, before, call) };
  });
  // On any session: the one that carried the file may have died with its last reply.
  const after = await pool.use(call.signal, (session) => fileAt(session, params.path));
  if (!sameFingerprint(before, after, PRECISION_MS) || (after.sizeBytes ?? sizeBytes) !== sizeBytes) {
    throw changed(params.path);
  }
  return { sizeBytes, fingerprint: { ...after, sizeBytes } };
}

async function fileAt(session: Session, path: string): Promise<Fingerprint> {
  // 550 may be about this moment (a file in use): what is not found once is asked for again.
  const found = await lookUp(session, path) ?? await lookUp(session, path);
  if (found === undefined) throw await explainMissing(session, path);
  if (found.kind === "directory") throw new DriverError("failed", `Path "${path}" is a directory: expected a file`);
  const { kind: _, ...fingerprint } = found;
  return fingerprint;
}

function changed(path: string): DriverError {
  return new DriverError("changed", `File "${path}" changed on the server`);
}

/** Moves the bytes; returns how many the file has. */
async function fetch(session: Session, params: DownloadParams, before: Fingerprint, call: Call): Promise<number> {
  if (before.sizeBytes !== undefined && params.offsetBytes > before.sizeBytes) throw changed(params.path);
  let writer = new SpoolWriter(params.spoolFile, params.offsetBytes);
  try {
    const command = `RETR ${session.path(params.path)}`;
    let transfer: Transfer;
    try {
      transfer = await Transfer.open(session, command, writer.startBytes);
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error;
      const isRestRefused = error.verb === "REST" && !error.isTransient;
      if (error.code === 550 && !isRestRefused) {
        const reason = await explainRefusal(session, params.path, error);
        if (reason.code !== "denied") throw reason;
        transfer = await Transfer.open(session, command, writer.startBytes).catch((again) => {
          throw again instanceof ReplyError ? reason : again;
        });
        return await pump(session, transfer, writer, before.sizeBytes, call);
      }
      if (writer.startBytes === 0 || !(isRestRefused || error.isUnknown)) throw error;
      // A server without REST: from the beginning, over what is held.
      session.context.log("info", `Starts "${params.path}" again from 0: ${error.message}`);
      writer.close();
      writer = new SpoolWriter(params.spoolFile, 0);
      transfer = await Transfer.open(session, command);
    }
    return await pump(session, transfer, writer, before.sizeBytes, call);
  } finally {
    writer.close();
  }
}

async function pump(
  session: Session,
  transfer: Transfer,
  writer: SpoolWriter,
  sizeBytes: number | undefined,
  call: Call,
): Promise<number> {
  const bytes = session.chunk;
  call.progress(writer.startBytes);
  try {
    for (let count = await transfer.read(bytes); count !== null; count = await transfer.read(bytes)) {
      writer.write(bytes.subarray(0, count));
      call.progress(writer.positionBytes);
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
  if (sizeBytes !== undefined && doneBytes < sizeBytes) {
    throw new ConnectionLost(`Server ended the data at byte ${doneBytes} of ${sizeBytes}`);
  }
  return doneBytes;
}

async function explainRefusal(session: Session, path: string, refusal: ReplyError): Promise<DriverError> {
  const reason = await explainMissing(session, path);
  return new DriverError(reason.code, `${reason.message}: ${refusal.message}`, reason.details);
}
