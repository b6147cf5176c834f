/** What the autopilot's directories mean in the contract's words: entries, and which logs are not to be touched. */
import { type Call, DriverError, type Entry, parentOf } from "../../lib/driver/mod.ts";
import type { Connection } from "./connection.ts";
import { DirectoryMissing } from "./directory.ts";
import { DATA_BYTES_MAX, OPCODE } from "./ftp_codec.ts";
import { isLogName, newestDirectories, newestLogs, parseLastLog } from "./log_names.ts";
import type { ListedName } from "./parse_listing.ts";

/** Times in listings are whole seconds. */
export const PRECISION_MS = 1000;
const encoder = new TextEncoder();
/** ArduPilot's note of its newest log. */
const LAST_LOG = "LASTLOG.TXT";

/** A listed name as the contract's entry. */
function toEntry(directory: string, listed: ListedName, rootBytes: number): Entry {
  const path = directory === "" ? listed.name : `${directory}/${listed.name}`;
  const entry: Entry = { path, kind: listed.kind };
  if (listed.kind === "file" && listed.sizeBytes !== undefined) entry.sizeBytes = listed.sizeBytes;
  if (listed.kind === "file" && listed.modifiedSeconds !== undefined) entry.modifiedMs = listed.modifiedSeconds * 1000;
  const problem = listed.problem ??
    (rootBytes + 1 + encoder.encode(path).length > DATA_BYTES_MAX
      ? `path is longer than the ${DATA_BYTES_MAX} bytes of MAVLink FTP`
      : undefined);
  if (problem !== undefined) entry.problem = problem;
  return entry;
}

/** Sends the entries of `directory`. */
export async function listEntries(connection: Connection, directory: string, call: Call): Promise<void> {
  const { signal } = call;
  const remote = await connection.remotePath(directory, signal);
  const rootBytes = encoder.encode(await connection.root(signal)).length;
  const open = await connection.mayBeLogging(signal) ? await newest(connection, call) : new Set<string>();
  const seen = new Set<string>();
  let count = 0;
  try {
    await connection.directories.list(remote, {
      signal,
      take: async (names) => {
        const entries: Entry[] = [];
        for (const listed of names) {
          // A listing walks the directory anew for each page: what was made meanwhile moves the rest.
          if (seen.has(listed.name)) continue;
          seen.add(listed.name);
          const entry = toEntry(directory, listed, rootBytes);
          // A log that is being written never looks the same twice, so that it never counts as settled.
          if (open.has(entry.path)) entry.etag = `being written ${crypto.randomUUID()}`;
          entries.push(entry);
        }
        call.progress(count += entries.length);
        await call.entries(entries);
      },
    });
  } catch (error) {
    if (!(error instanceof DirectoryMissing)) throw error;
    throw directory === ""
      ? new DriverError("unavailable", "Autopilot no longer has the directory of its logs", {
        hint: "Check that its SD card is in",
      })
      : new DriverError("not_found", `Autopilot has no directory "${directory}"`);
  }
}

/** The entry of `path`, `undefined` when there is none. */
export async function findEntry(connection: Connection, path: string, call: Call): Promise<Entry | undefined> {
  const { signal } = call;
  const directory = parentOf(path);
  const rootBytes = encoder.encode(await connection.root(signal)).length;
  const name = path.slice(directory === "" ? 0 : directory.length + 1);
  let found: Entry | undefined;
  try {
    await connection.directories.list(await connection.remotePath(directory, signal), {
      signal,
      take: (names) => {
        const listed = names.find((other) => other.name === name);
        if (listed !== undefined) found = toEntry(directory, listed, rootBytes);
      },
      isEnough: () => found !== undefined,
    });
  } catch (error) {
    if (!(error instanceof DirectoryMissing)) throw error;
    if (directory === "") {
      throw new DriverError("unavailable", "Autopilot no longer has the directory of its logs");
    }
  }
  return found;
}

/** The newest log of each kind of name. */
export async function newest(connection: Connection, call: Call): Promise<Set<string>> {
  const { signal } = call;
  const paths: string[] = [];
  const directories: string[] = [];
  let hasLastLog = false;
  await listNames(connection, "", signal, (listed) => {
    if (listed.kind === "directory") directories.push(listed.name);
    else if (isLogName(listed.name)) paths.push(listed.name);
    if (listed.name.toUpperCase() === LAST_LOG) hasLastLog = true;
  });
  for (const directory of newestDirectories(directories)) {
    await listNames(connection, directory, signal, (listed) => {
      if (listed.kind === "file") paths.push(`${directory}/${listed.name}`);
    });
  }
  return newestLogs(paths, hasLastLog ? await lastNumber(connection, signal) : undefined);
}

async function listNames(
  connection: Connection,
  directory: string,
  signal: AbortSignal,
  take: (listed: ListedName) => void,
): Promise<void> {
  await connection.directories.list(await connection.remotePath(directory, signal), {
    signal,
    take: (names) => names.forEach(take),
  });
}

async function lastNumber(connection: Connection, signal: AbortSignal): Promise<number | undefined> {
  const { session, station } = connection;
  const open = await session.open(await connection.remotePath(LAST_LOG, signal), { signal, takeover: false });
  try {
    const reply = await station.channel.ask(
      { opcode: OPCODE.READ, session: open.session, offset: 0, size: Math.min(open.sizeBytes, 32) },
      { signal },
    );
    return reply.isAck ? parseLastLog(new TextDecoder().decode(reply.data)) : undefined;
  } finally {
    await session.close(signal);
  }
}
