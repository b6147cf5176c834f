/** A directory's entries as lines: MLSD facts (RFC 3659 section 7) and the Unix form of LIST. */

/** What a line is made of. */
export interface ListedEntry {
  name: string;
  kind: "file" | "directory" | "link";
  sizeBytes: number;
  modifiedMs: number;
  /** Where a link to a directory leads, as clients see it. */
  linkTo?: string;
}

/** Facts of RFC 3659 that the server can tell, in the order in which it tells them. */
export const FACTS = ["type", "size", "modify", "perm"] as const;
export type Fact = typeof FACTS[number];

/** Older entries show the year in place of the time, as `ls` does: half a year, milliseconds. */
const RECENT_MS = 182 * 86_400_000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A time as RFC 3659 section 2.3 writes it, in UTC; with a fraction only where there is one. */
export function formatTime(ms: number): string {
  const iso = new Date(Math.floor(ms)).toISOString();
  const seconds = iso.slice(0, 19).replace(/[-:T]/g, "");
  const fraction = iso.slice(20, 23);
  return fraction === "000" ? seconds : `${seconds}.${fraction}`;
}

/** Milliseconds of a time of RFC 3659 section 2.3, or `undefined` when it is none. */
export function parseTime(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,9}))?$/.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = ""] = match;
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second === "60" ? "59" : second}.${
    fraction.padEnd(3, "0").slice(0, 3)
  }Z`;
  const ms = Date.parse(iso);
  // Date.parse() takes 30 February for 1 March.
  return Number.isNaN(ms) || new Date(ms).toISOString() !== iso ? undefined : ms;
}

/** One line of MLSD and MLST, without CRLF. */
export function mlsxLine(entry: ListedEntry, facts: ReadonlySet<Fact>, options: { writable: boolean }): string {
  let line = "";
  if (facts.has("type")) line += `type=${typeFact(entry)};`;
  if (facts.has("size") && entry.kind === "file") line += `size=${entry.sizeBytes};`;
  if (facts.has("modify")) line += `modify=${formatTime(entry.modifiedMs)};`;
  if (facts.has("perm")) line += `perm=${permFact(entry, options.writable)};`;
  return `${line} ${entry.name}`;
}

function typeFact(entry: ListedEntry): string {
  if (entry.kind === "file") return "file";
  return entry.kind === "directory" ? "dir" : `OS.unix=slink:${entry.linkTo ?? ""}`;
}

function permFact(entry: ListedEntry, writable: boolean): string {
  if (entry.kind === "file") return writable ? "adfrw" : "r";
  return writable ? "cdeflmp" : "el";
}

/** One line of LIST, without CRLF. Times are UTC. */
export function listLine(entry: ListedEntry, options: { writable: boolean; nowMs: number }): string {
  const letter = { file: "-", directory: "d", link: "l" }[entry.kind];
  const owner = `r${options.writable ? "w" : "-"}${entry.kind === "file" ? "-" : "x"}`;
  const others = entry.kind === "file" ? "r--r--" : "r-xr-x";
  const links = entry.kind === "directory" ? 2 : 1;
  const size = String(entry.kind === "file" ? entry.sizeBytes : 4096).padStart(12);
  const suffix = entry.kind === "link" ? ` -> ${entry.linkTo ?? ""}` : "";
  return `${letter}${owner}${others} ${links} ftp ftp ${size} ${
    listDate(entry.modifiedMs, options.nowMs)
  } ${entry.name}${suffix}`;
}

function listDate(ms: number, nowMs: number): string {
  const date = new Date(ms);
  const day = `${MONTHS[date.getUTCMonth()]} ${String(date.getUTCDate()).padStart(2)}`;
  if (Math.abs(nowMs - ms) > RECENT_MS) return `${day}  ${date.getUTCFullYear()}`;
  return `${day} ${date.toISOString().slice(11, 16)}`;
}
