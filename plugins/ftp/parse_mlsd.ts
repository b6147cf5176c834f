/** Lines of MLSD and MLST, and the times of MDTM (RFC 3659). */

/** What one line says. */
export interface MlsdEntry {
  name: string;
  /** `other`: the directory itself, its parent, a symlink, a device. */
  kind: "file" | "directory" | "other";
  sizeBytes?: number;
  modifiedMs?: number;
}

/** The entry in `line`, or `undefined` when it is none. MLST puts a space before the facts. */
export function parseMlsd(line: string): MlsdEntry | undefined {
  if (line.startsWith(" ")) line = line.slice(1);
  // Facts hold no space, so the name begins after the first one and may itself begin with spaces.
  const space = line.indexOf(" ");
  if (space < 0) return undefined;
  const name = line.slice(space + 1);
  const facts = line.slice(0, space);
  if (name === "" || (facts !== "" && !facts.includes("="))) return undefined;
  const entry: MlsdEntry = { name, kind: "other" };
  for (const fact of facts.split(";")) {
    const equals = fact.indexOf("=");
    const value = fact.slice(equals + 1);
    switch (fact.slice(0, Math.max(0, equals)).toLowerCase()) {
      case "type":
        entry.kind = kindOf(value.toLowerCase());
        break;
      case "size":
        if (/^\d+$/.test(value)) entry.sizeBytes = Number(value);
        break;
      case "modify": {
        const modifiedMs = parseTime(value);
        if (modifiedMs !== undefined) entry.modifiedMs = modifiedMs;
      }
    }
  }
  return entry;
}

function kindOf(type: string): MlsdEntry["kind"] {
  if (type === "file") return "file";
  if (type === "dir") return "directory";
  return "other"; // cdir, pdir, OS.unix=slink:/target, OS.unix=chr-1/3
}

/** `YYYYMMDDHHMMSS[.sss]`, always UTC, as milliseconds since 1970. */
export function parseTime(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,3})\d*)?$/.exec(text.trim());
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return undefined;
  return Date.UTC(year, month - 1, day, hour, minute, second, Number((match[7] ?? "0").padEnd(3, "0")));
}

/** {@linkcode parseTime} the other way round, to the second. */
export function formatTime(modifiedMs: number): string {
  return new Date(modifiedMs).toISOString().replace(/\.\d+Z$/, "").replace(/[-:T]/g, "");
}
