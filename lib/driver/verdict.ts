/** What every station makes of a failure: whom it speaks of, and when to try again. */
import { type DriverError, type ErrorCode, isUnsent } from "./errors.ts";

/** Back-off of one file after a failure that is its own. */
export const FILE_RETRY = { firstMs: 1000, maxMs: 15 * 60 * 1000 };
/** A file that the device refuses: asked again now and then, since a person may change its permissions. */
export const DENIED_RETRY_MS = 60 * 60 * 1000;
/** Times that a plugin may be killed from outside beside one file, without progress, before that file is suspect. */
export const BREAKS_MAX = 20;

const OF_THE_DEVICE: readonly ErrorCode[] = [
  "unavailable",
  "held",
  "cancelled",
  "no_space",
  "invalid_config",
  "unsupported",
];

/** Whether an error speaks of the device: then the file waits, without a mark against it. */
export function isOfTheDevice(error: DriverError): boolean {
  if (error.code === "denied") return error.details.scope !== "file";
  if (error.code === "broken") return isUnsent(error);
  return OF_THE_DEVICE.includes(error.code);
}

/** When a moment of the monotonic clock comes, for the log: `in 4 s`, `in 55 min`. */
export function inWords(monotonicMs: number): string {
  const seconds = Math.max(0, Math.ceil((monotonicMs - performance.now()) / 1000));
  return seconds < 120 ? `in ${seconds} s` : `in ${Math.round(seconds / 60)} min`;
}
