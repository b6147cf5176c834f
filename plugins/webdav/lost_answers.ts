/** What to do when a server did not say whether it did what it was asked. */
import type { Call } from "../../lib/driver/mod.ts";
import { ConnectionLost } from "../http/lost.ts";
import { StatusError } from "./errors.ts";
import { pause } from "../http/pause.ts";

/** The file is looked for after these times, milliseconds: servers go on working. */
const LOOKS_MS = [0, 1000, 3000, 10_000, 20_000, 40_000];

/** A server that took less than this does not go on working for long, bytes. */
const LONG_BYTES_MIN = 64 * 1024 * 1024;
/** Looks at a server that does not go on for long. */
const SHORT_LOOKS = 3;

/** Whether what was asked may have been done although there was no good answer. */
export function isOpen(error: unknown): error is ConnectionLost | StatusError {
  if (error instanceof ConnectionLost) return error.isSent;
  if (!(error instanceof StatusError)) return false;
  // A proxy gave up waiting; to a MOVE, Nextcloud says 423 and 503 while it puts chunks together.
  return [502, 504].includes(error.status) || (error.method === "MOVE" && [423, 500, 503].includes(error.status));
}

/** Calls `look` again and again while a server may still be working; `undefined` when nothing came of it. */
export async function lookAgain<T>(
  call: Call,
  lost: ConnectionLost | StatusError,
  sizeBytes: number,
  look: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const isLong = sizeBytes >= LONG_BYTES_MIN || (lost instanceof StatusError && lost.method === "MOVE");
  for (const waitMs of isLong ? LOOKS_MS : LOOKS_MS.slice(0, SHORT_LOOKS)) {
    call.progress(sizeBytes, { waitMs: waitMs + 60_000 });
    await pause(waitMs, call.signal);
    try {
      const found = await look();
      if (found !== undefined) return found;
    } catch (error) {
      // Not back yet.
      if (!(error instanceof ConnectionLost) && !(error instanceof StatusError)) throw error;
    }
  }
  return undefined;
}
