/** How autopilots name their logs, and which of them is the newest: it may be the one that is being written. */

const DATED = /^(\d{4}-\d{2}-\d{2})\/(\d{2}_\d{2}_\d{2}.*)\.ulgc?$/i;
const SESSION = /^sess(\d+)\/log(\d+).*\.ulgc?$/i;
const NUMBERED = /^0*(\d+)\.bin$/i;

/** A family of names that are in order among themselves. */
interface LogOrder {
  family: "dated" | "session" | "numbered";
  key: string;
}

function orderOf(path: string): LogOrder | undefined {
  const dated = DATED.exec(path);
  if (dated !== null) return { family: "dated", key: `${dated[1]}/${dated[2]}` };
  const session = SESSION.exec(path);
  if (session !== null) return { family: "session", key: `${pad(session[1]!)}/${pad(session[2]!)}` };
  const numbered = NUMBERED.exec(path);
  return numbered === null ? undefined : { family: "numbered", key: pad(numbered[1]!) };
}

function pad(digits: string): string {
  return digits.padStart(10, "0");
}

/** Whether `path`, relative to the root, is a log by its name. */
export function isLogName(path: string): boolean {
  return orderOf(path) !== undefined;
}

/**
 * The newest of each family: a clock that was set or lost begins another, and none of them may be touched.
 * @param lastNumber what LASTLOG.TXT says; ArduPilot's numbers begin again after the highest
 */
export function newestLogs(paths: readonly string[], lastNumber?: number): Set<string> {
  const newest = new Map<string, { key: string; path: string }>();
  for (const path of paths) {
    const order = orderOf(path);
    if (order === undefined) continue;
    const isLast = order.family === "numbered" && lastNumber !== undefined && Number(order.key) === lastNumber;
    const key = isLast ? "last" : order.key;
    const known = newest.get(order.family);
    if (known === undefined || (known.key !== "last" && (isLast || key > known.key))) {
      newest.set(order.family, { key, path });
    }
  }
  return new Set([...newest.values()].map(({ path }) => path));
}

/** Directories of the root that can hold the newest log of their family. */
export function newestDirectories(names: readonly string[]): string[] {
  const dated = names.filter((name) => /^\d{4}-\d{2}-\d{2}$/.test(name)).sort().at(-1);
  const sessions = names.filter((name) => /^sess\d+$/i.test(name))
    .sort((a, b) => Number(a.slice(4)) - Number(b.slice(4))).at(-1);
  return [dated, sessions].filter((name) => name !== undefined);
}

/** The number in LASTLOG.TXT. Old digits may follow: it is written over and never cut. */
export function parseLastLog(text: string): number | undefined {
  const digits = /^\s*(\d{1,9})/.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
