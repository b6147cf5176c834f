/**
 * Lines of LIST, for servers without MLSD: the form of `ls -l` and the one of IIS. Their times have no zone, no seconds
 * and often no year, so they are not read; the driver asks MDTM.
 */

/** What one line says. */
export interface ListEntry {
  name: string;
  /** `other`: a symlink, a device, `.` and `..`. */
  kind: "file" | "directory" | "other";
  sizeBytes?: number;
}

// "-rw-r--r--    1 1000     1000         2048 Nov 23 11:08 name", with or without group, with a year for a time.
const UNIX =
  /^([-dlbcps])[-rwxsStTlL]{9}[+.@]?\s*\d+\s+\S+\s+(?:\S+\s+)??(\d+|\d+,\s*\d+)\s+(?:[A-Za-z]{3}\s+\d{1,2}|\d{1,2}\s+[A-Za-z]{3})\s+(?:\d{1,2}:\d\d|\d{4}) (.+)$/;
// "-rw-r--r-- 1 1000 1000 2048 2026-11-23 11:08 name"
const UNIX_ISO =
  /^([-dlbcps])[-rwxsStTlL]{9}[+.@]?\s*\d+\s+\S+\s+(?:\S+\s+)??(\d+|\d+,\s*\d+)\s+\d{4}-\d\d-\d\d\s+\d\d:\d\d(?::\d\d\S*(?: [-+]\d{4})?)? (.+)$/;
// "11-23-26  11:08AM       <DIR>          name" and "11-23-2026  11:08           2048 name"
const DOS = /^\d{1,2}-\d{1,2}-(?:\d{2}|\d{4})\s+\d{1,2}:\d\d(?:\s*[AP]M)?\s+(<[A-Z]+>|[\d,.]+) +(.+)$/i;

/** The entry in `line`; `null` for a line that names nothing (`total 12`); `undefined` for one that cannot be read. */
export function parseList(line: string): ListEntry | null | undefined {
  if (line.trim() === "" || /^(?:total|insgesamt)\s+\d+/i.test(line)) return null;
  const unix = UNIX.exec(line) ?? UNIX_ISO.exec(line);
  if (unix !== null) return unixEntry(unix[1]!, unix[2]!, unix[3]!);
  const dos = DOS.exec(line);
  if (dos !== null) return dosEntry(dos[1]!, dos[2]!);
  return undefined;
}

function unixEntry(type: string, size: string, name: string): ListEntry {
  if (name === "." || name === "..") return { name, kind: "other" };
  if (type === "d") return { name, kind: "directory" };
  // A symlink's size is that of the link, and its target may lie outside of the device.
  if (type !== "-") return { name: type === "l" ? name.replace(/ -> .*$/, "") : name, kind: "other" };
  return { name, kind: "file", sizeBytes: Number(size) };
}

function dosEntry(size: string, name: string): ListEntry {
  if (name === "." || name === "..") return { name, kind: "other" };
  if (/^<DIR>$/i.test(size)) return { name, kind: "directory" };
  if (size.startsWith("<")) return { name, kind: "other" }; // <JUNCTION>, <SYMLINKD>
  return { name, kind: "file", sizeBytes: Number(size.replace(/[,.]/g, "")) };
}
