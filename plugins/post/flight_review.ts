/**
 * What is peculiar to PX4 Flight Review, the server behind logs.px4.io. Source: `app/tornado_handlers/upload.py` and
 * `browse.py` of PX4/flight_review, June 2026 (26c8707), and that server itself. The server never de-duplicates: each post makes another public or private
 * log, so what was sent is tagged and looked for before it is sent again.
 */
import { DriverError } from "../../lib/driver/mod.ts";

/**
 * Default fields. `description` and `email` must be there, empty or not, else the server fails with 500. Personal, and
 * not public, unless the configuration says otherwise; the answer as JSON and not as a redirect to an expensive page.
 */
export const FLIGHT_REVIEW_VALUES: readonly [string, string][] = [
  ["description", ""],
  ["email", ""],
  ["type", "personal"],
  ["redirect", "false"],
];

/** Largest request that the server takes unasked: Tornado's `max_buffer_size` in `serve.py`. */
export const FLIGHT_REVIEW_BODY_BYTES = 300 * 1024 * 1024;
/** Largest log by default: 1 MiB is left for the other fields. */
export const FLIGHT_REVIEW_MAX_BYTES = FLIGHT_REVIEW_BODY_BYTES - 1024 * 1024;

/** First bytes of a ULog file. */
const ULOG_MAGIC = [0x55, 0x4c, 0x6f, 0x67, 0x01, 0x12, 0x35];

/** Whether the server will look at a file that begins so; encrypted logs begin otherwise. */
export function checkIsLog(path: string, head: Uint8Array): void {
  if (/\.ulge$/i.test(path) || ULOG_MAGIC.every((byte, at) => head[at] === byte)) return;
  throw new DriverError("rejected", `File "${path}" is no ULog: a Flight Review takes nothing else`, {
    hint: 'Leave other files out with rules: {"include": ["*.ulg"]}',
  });
}

/** The mark by which an upload is found again: a word that the server's search does not take for a Git hash. */
export function tagOf(sha256: string): string {
  return `sha256:${sha256}`;
}

/** The fields of one upload: the description carries the tag. */
export function taggedValues(values: ReadonlyMap<string, string>, sha256: string): Map<string, string> {
  const tagged = new Map(values);
  tagged.set("description", `${values.get("description") ?? ""} ${tagOf(sha256)}`.trim());
  return tagged;
}

/** Whether the server can be asked for an upload: it lists public logs only, and none of `CI`. */
export function isSearchable(values: ReadonlyMap<string, string>): boolean {
  return values.get("type") === "flightreport" && values.get("public") === "true" && values.get("source") !== "CI";
}

/** Whether a link is that of a log, and not of a portal that stands in the way. */
export function isLogLink(link: string): boolean {
  return /\/plot_app\?log=[\w-]+$/.test(link);
}
