/** Moves the bytes of an upload to its temporary name, from where an interrupted one stopped. */
import { type Call, type Content, DriverError, holdsSameRange, READ_BACK_BYTES } from "../../lib/driver/mod.ts";
import { REPLY_TIMEOUT_MS } from "./control.ts";
import { Transfer } from "./data.ts";
import { type Found, lookUp } from "./entries.ts";
import { ReplyError } from "./errors.ts";
import { readsBack } from "./proof.ts";
import type { Session } from "./session.ts";
import { ConnectionLost } from "./stream.ts";

/** After a cut the server may still be writing: its size counts when it was the same twice, so far apart. */
const SETTLE_MS = 250;
const SETTLE_COUNT_MAX = 40;
/** Bytes of one write at the beginning of a transfer. */
const FIRST_STEP_BYTES = 64 * 1024;
/** Slowest writing of a server that has taken all bytes and has not answered yet, bytes a millisecond. */
const STORE_BYTES_PER_MS = 10_000;
/** Time for the reply that tells why the server cut a transfer, milliseconds. */
const REASON_TIMEOUT_MS = 5_000;

/**
 * Brings `path` on the server to the whole of `content`. Returns how many bytes of it were there before.
 * @param options.onSent called when all bytes were written, before the server said so
 * @param options.found what is under `path`, where that was just asked
 * @throws {ReplyError} the server refuses the name
 */
export async function sendFile(
  session: Session,
  path: string,
  content: Content,
  call: Call,
  options: { onSent: () => void; found?: { there: Found | undefined } | undefined },
): Promise<number> {
  const { onSent, found } = options;
  const heldBytes = await resumeAt(session, path, content, { call, found });
  if (heldBytes === content.sizeBytes && heldBytes > 0) {
    onSent();
    return heldBytes;
  }
  const { transfer, startBytes } = await openStore(session, path, heldBytes, content.sizeBytes);
  await pump(session, transfer, content, startBytes, call, onSent);
  return startBytes;
}

/**
 * The size of `path` once the server has stopped writing to it; 0 when it is not there.
 * @param found what is under `path`, where that was just asked
 */
export async function settledSize(
  session: Session,
  path: string,
  call: Call,
  found?: { there: Found | undefined },
): Promise<number> {
  let sizeBytes = found === undefined ? await sizeOf(session, path) : sizeIn(found.there);
  for (let count = 0; count < SETTLE_COUNT_MAX && sizeBytes > 0; count++) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    call.signal.throwIfAborted();
    const again = await sizeOf(session, path);
    if (again === sizeBytes) break;
    sizeBytes = again;
  }
  return sizeBytes;
}

async function sizeOf(session: Session, path: string): Promise<number> {
  return sizeIn(await lookUp(session, path, false));
}

function sizeIn(found: Found | undefined): number {
  return found?.kind === "file" ? found.sizeBytes ?? 0 : 0;
}

/** Where to go on: what is there must be a true prefix, shown by its last block. */
async function resumeAt(
  session: Session,
  path: string,
  content: Content,
  { call, found }: { call: Call; found: { there: Found | undefined } | undefined },
): Promise<number> {
  const haveBytes = await settledSize(session, path, call, found);
  if (haveBytes === 0) return 0;
  // How far the last attempt came, also when nobody is left who knows: what is sent again is counted from there.
  call.progress(haveBytes);
  if (haveBytes <= content.sizeBytes) {
    const at = Math.max(0, haveBytes - READ_BACK_BYTES);
    try {
      if (await holdsSameRange(content.spoolFile, at, haveBytes - at, readsBack(session, path, call))) return haveBytes;
    } catch (error) {
      // A server that takes files and gives none back: nothing is known of the part, so it is sent again.
      if (!(error instanceof DriverError) || error.code !== "uncertain") throw error;
    }
  }
  session.context.log("info", `Sends "${path}" again from 0: ${haveBytes} bytes on the server are no part of the file`);
  await session.control.command(`DELE ${session.path(path)}`);
  return 0;
}

/** STOR after REST, or APPE where that is refused, or from the beginning. */
async function openStore(
  session: Session,
  path: string,
  startBytes: number,
  sizeBytes: number,
): Promise<{ transfer: Transfer; startBytes: number }> {
  const { memory } = session.context;
  const absolute = session.path(path);
  if (startBytes > 0) {
    for (const quirk of ["noStoreRestart", "noAppend"] as const) {
      if (memory.has(quirk)) continue;
      try {
        const transfer = quirk === "noStoreRestart"
          ? await Transfer.open(session, `STOR ${absolute}`, { restBytes: startBytes })
          : await Transfer.open(session, `APPE ${absolute}`);
        return { transfer, startBytes };
      } catch (error) {
        if (!(error instanceof ReplyError) || error.isNoSpace) throw error;
        // ProFTPD says 451 for what its AllowStoreRestart forbids; any other 4xx is about this moment.
        if (error.isTransient && !/restart|append|resum/i.test(error.message)) throw error;
        session.context.log("info", `Server does not go on with an upload: ${error.message}`);
        memory.learn(quirk);
      }
    }
    await session.control.command(`DELE ${absolute}`);
  }
  return { transfer: await Transfer.open(session, `STOR ${absolute}`, { sizeBytes }), startBytes: 0 };
}

async function pump(
  session: Session,
  transfer: Transfer,
  content: Content,
  startBytes: number,
  call: Call,
  onSent: () => void,
): Promise<void> {
  let doneBytes = startBytes;
  let broken: unknown;
  call.progress(doneBytes);
  try {
    using spool = Deno.openSync(content.spoolFile);
    spool.seekSync(startBytes, Deno.SeekMode.Start);
    const bytes = session.chunk;
    while (doneBytes < content.sizeBytes) {
      // Small steps first: on a link that breaks soon, a step that came through tells that it carries something.
      const stepBytes = doneBytes - startBytes < bytes.length ? FIRST_STEP_BYTES : bytes.length;
      const count = spool.readSync(bytes.subarray(0, Math.min(stepBytes, content.sizeBytes - doneBytes)));
      if (count === null) {
        throw new DriverError("failed", `Spool file ended at byte ${doneBytes} of ${content.sizeBytes}`);
      }
      await call.throttle(count);
      await transfer.write(bytes.subarray(0, count));
      doneBytes += count;
      call.progress(startBytes + transfer.takenBytes);
    }
    onSent();
  } catch (error) {
    call.progress(startBytes + transfer.takenBytes);
    // What broke the data may stand in the reply: no space, no rights, too large.
    if (!(error instanceof ConnectionLost)) {
      transfer.destroy();
      throw error;
    }
    broken = error;
  }
  const timeoutMs = broken === undefined
    ? REPLY_TIMEOUT_MS + (content.sizeBytes - startBytes) / STORE_BYTES_PER_MS
    : REASON_TIMEOUT_MS;
  try {
    await transfer.finish(timeoutMs);
  } catch (error) {
    if (broken !== undefined && error instanceof ConnectionLost) throw broken;
    throw error;
  } finally {
    call.progress(startBytes + transfer.takenBytes);
  }
  if (broken === undefined) return;
  // The server took less than all and calls it done.
  session.close();
  throw broken;
}
