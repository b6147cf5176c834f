/** What the server has under a path: listings, and single names. */
import { type Call, DriverError, type Entry, pathProblem } from "../../lib/driver/mod.ts";
import { isDone } from "./control.ts";
import { Transfer } from "./data.ts";
import { ReplyError } from "./errors.ts";
import { parseList } from "./parse_list.ts";
import { type MlsdEntry, parseMlsd, parseTime } from "./parse_mlsd.ts";
import { type Reply, replyText } from "./parse_reply.ts";
import type { Session } from "./session.ts";

/** What is known of a single name. */
export type Found = { kind: "file"; sizeBytes?: number; modifiedMs?: number } | { kind: "directory" };

/** Entries handed over at once. */
const BATCH_COUNT = 1000;
/** MDTM commands sent together. */
const TIMES_COUNT = 100;

/**
 * What is under `path`, or `undefined`. Costs one round trip where the server has MLST, and never lists.
 * A directory is told from nothing with certainty only when `careful`.
 */
export async function lookUp(session: Session, path: string, careful = true): Promise<Found | undefined> {
  return (await lookUpTogether(session, [path], { careful }))[0];
}

/**
 * {@linkcode lookUp} of several names at the cost of one.
 * @param options.also commands that are sent along; what becomes of them is nobody's business
 */
export async function lookUpTogether(
  session: Session,
  paths: string[],
  options: { careful?: boolean; also?: string[] } = {},
): Promise<(Found | undefined)[]> {
  const { careful = true, also = [] } = options;
  const asked = session.hasMlst ? paths.map((path) => mlstOf(session, path)) : [];
  const replies = asked.length + also.length > 0 ? await session.control.exchange([...asked, ...also]) : [];
  const all: (Found | undefined)[] = [];
  for (const [index, path] of paths.entries()) {
    const found = session.hasMlst ? foundBy(replies[index]!) : null;
    all.push(found === null ? await lookUpWithoutMlst(session, path, careful) : found);
  }
  return all;
}

/** The question of {@linkcode lookUp}, where the server has MLST. */
export function mlstOf(session: Session, path: string): string {
  return `MLST ${session.path(path)}`;
}

/** What the answer to {@linkcode mlstOf} tells; `null` when it leaves it open: then the older commands are asked. */
export function foundBy(reply: Reply): Found | undefined | null {
  if (reply.code === 550) return undefined;
  if (!isDone(reply)) return null;
  const fact = reply.lines.slice(1, -1).map(parseMlsd).find((entry) => entry !== undefined);
  if (fact?.kind === "directory") return { kind: "directory" };
  return fact?.kind === "file" && fact.sizeBytes !== undefined ? fileOf(fact) : null;
}

async function lookUpWithoutMlst(session: Session, path: string, careful: boolean): Promise<Found | undefined> {
  const absolute = session.path(path);
  const [size, time] = await session.control.exchange([`SIZE ${absolute}`, `MDTM ${absolute}`]) as [Reply, Reply];
  if (size.code === 213) {
    const found: Found = { kind: "file", sizeBytes: Number(replyText(size).slice(4)) };
    const modifiedMs = time.code === 213 ? parseTime(replyText(time).slice(4)) : undefined;
    if (modifiedMs !== undefined) found.modifiedMs = modifiedMs;
    return found;
  }
  // Anything but "no such file" is no answer: a name that is taken must not be thought free.
  if (size.code !== 550) return await lookUpInListing(session, path);
  if (!careful) return undefined;
  return isDone(await session.control.command(`CWD ${absolute}`)) ? { kind: "directory" } : undefined;
}

/**
 * The name that a file has that was published as `path`: pure-ftpd cuts spaces off the end of a name, or makes them
 * underscores (1.0.50), and finds the file by both. Only a listing tells; names that end otherwise need none.
 */
export async function publishedPath(session: Session, path: string): Promise<string> {
  if (!/\s$/.test(path) || await lookUpInListing(session, path) !== undefined) return path;
  for (const other of [path.trimEnd(), path.replace(/\s+$/, (spaces) => "_".repeat(spaces.length))]) {
    if (await lookUpInListing(session, other) !== undefined) return other;
  }
  return path;
}

/** {@linkcode lookUp} for servers without SIZE: in the listing of the directory above. */
async function lookUpInListing(session: Session, path: string): Promise<Found | undefined> {
  const slash = path.lastIndexOf("/");
  const directory = path.slice(0, Math.max(0, slash));
  let found: Found | undefined;
  try {
    await readListing(session, directory, (entry) => {
      if (entry.name === path.slice(slash + 1) && entry.kind !== "other") {
        found = entry.kind === "file" ? fileOf(entry) : { kind: "directory" };
      }
    });
  } catch (error) {
    if (!(error instanceof ReplyError) || error.isTransient) throw error;
    // Some servers refuse a directory that is not there with 501.
    const isThere = error.code !== 550 && isDone(await session.control.command(`CWD ${session.path(directory)}`));
    if (isThere) throw error;
  }
  return found;
}

/**
 * Why a name that {@linkcode lookUp} did not find, or that a command refused with 550, cannot be had: the reply alone
 * does not tell a missing file from missing rights, and both from a root that is gone.
 * @throws {DriverError} `unavailable` when the root is gone
 */
export async function explainMissing(
  session: Session,
  path: string,
  kind: "file" | "directory" = "file",
): Promise<DriverError> {
  await session.enterRoot();
  const found = await lookUpInListing(session, path);
  if (found?.kind === kind) {
    return new DriverError("denied", `Server lists "${path}" and does not give it`, {
      scope: "file",
      hint: `Give the user the right to read the ${kind} on the server`,
    });
  }
  return new DriverError("not_found", `${kind === "file" ? "File" : "Directory"} "${path}" is not on the server`);
}

/** Sends the entries of `directory` to the call, in batches. */
export async function listDirectory(session: Session, directory: string, call: Call): Promise<void> {
  let batch: Entry[] = [];
  const add = (entry: MlsdEntry): Promise<void> | undefined => {
    const made = toEntry(session, directory, entry);
    if (made === undefined || batch.push(made) < BATCH_COUNT) return undefined;
    const full = batch;
    batch = [];
    return call.entries(full);
  };
  try {
    if (session.hasMlst) {
      if (await readMlsd(session, directory, add)) return;
      session.context.memory.learn("noMlsd");
    }
    await listWithTimes(session, directory, add);
  } finally {
    if (batch.length > 0) await call.entries(batch);
  }
}

type Take = (entry: MlsdEntry) => Promise<void> | undefined | void;

async function readListing(session: Session, directory: string, take: Take): Promise<void> {
  if (session.hasMlst && await readMlsd(session, directory, take)) return;
  await readList(session, directory, take);
}

/** Reads MLSD; false when the server does not know it although FEAT names it. */
async function readMlsd(session: Session, directory: string, take: Take): Promise<boolean> {
  let transfer: Transfer;
  try {
    transfer = await Transfer.open(session, await listCommand(session, "MLSD", directory));
  } catch (error) {
    if (error instanceof ReplyError && (error.code === 500 || error.code === 502 || error.code === 504)) return false;
    throw error;
  }
  await readLines(session, transfer, (line) => parseMlsd(line), take);
  return true;
}

/**
 * Reads LIST. The directory is entered first: LIST would take a name for options or a pattern.
 * `-a` shows dot files; a server that takes it for a name shows nothing, not even `.`.
 */
async function readList(session: Session, directory: string, take: Take): Promise<void> {
  const { memory } = session.context;
  await session.control.expect(`CWD ${session.path(directory)}`);
  if (!memory.has("noListAll")) {
    let linesCount = 0;
    try {
      const transfer = await Transfer.open(session, "LIST -a");
      await readLines(session, transfer, (line) => {
        linesCount++;
        return parseList(line);
      }, take);
      if (linesCount > 0) return;
    } catch (error) {
      if (!(error instanceof ReplyError) || error.isTransient || linesCount > 0) throw error;
    }
    memory.learn("noListAll");
  }
  await readLines(session, await Transfer.open(session, "LIST"), parseList, take);
}

async function readLines(
  session: Session,
  transfer: Transfer,
  parse: (line: string) => MlsdEntry | null | undefined,
  take: Take,
): Promise<void> {
  let unreadable: string | undefined;
  let entriesCount = 0;
  try {
    for await (const line of transfer.lines()) {
      const entry = parse(line);
      if (entry === undefined && line.trim() !== "") unreadable ??= line;
      if (!entry) continue;
      entriesCount++;
      const taken = take(entry);
      if (taken !== undefined) await taken;
    }
  } catch (error) {
    transfer.destroy();
    throw error;
  }
  await transfer.finish();
  if (unreadable === undefined) return;
  // One odd name must not hide the rest; nothing readable at all means a form that is not known.
  if (entriesCount === 0) {
    throw new DriverError("unsupported", `Cannot read the server's listing: "${unreadable.slice(0, 120)}"`);
  }
  session.context.log("warning", `Ignored a line of a listing that cannot be read: "${unreadable.slice(0, 120)}"`);
}

/** LIST and then MDTM for each file, since LIST's times have no zone and change their form with age. */
async function listWithTimes(session: Session, directory: string, add: Take): Promise<void> {
  // The commands must wait for the end of the listing, which may be longer than memory should hold.
  const file = await Deno.makeTempFile({ dir: session.context.stateDir, prefix: "listing-", suffix: ".ndjson" });
  try {
    {
      using out = Deno.openSync(file, { write: true });
      const encoder = new TextEncoder();
      let lines = "";
      const write = () => {
        const bytes = encoder.encode(lines);
        lines = "";
        for (let at = 0; at < bytes.length;) at += out.writeSync(bytes.subarray(at));
      };
      await readList(session, directory, (entry) => {
        lines += `${JSON.stringify(entry)}\n`;
        if (lines.length > 32 * 1024) write();
      });
      write();
    }
    let batch: MlsdEntry[] = [];
    for await (const line of linesOf(file)) {
      batch.push(JSON.parse(line) as MlsdEntry);
      if (batch.length < TIMES_COUNT) continue;
      await addWithTimes(session, directory, batch, add);
      batch = [];
    }
    await addWithTimes(session, directory, batch, add);
  } finally {
    Deno.removeSync(file);
  }
}

async function addWithTimes(session: Session, directory: string, batch: MlsdEntry[], add: Take): Promise<void> {
  const files = session.has("mdtm")
    ? batch.filter(({ kind, name }) => kind === "file" && pathProblem(name) === undefined)
    : [];
  const prefix = session.path(directory).replace(/\/$/, "");
  const replies = await session.control.exchange(files.map(({ name }) => `MDTM ${prefix}/${name}`));
  for (const [index, reply] of replies.entries()) {
    const modifiedMs = reply.code === 213 ? parseTime(replyText(reply).slice(4)) : undefined;
    if (modifiedMs !== undefined) files[index]!.modifiedMs = modifiedMs;
  }
  for (const entry of batch) await add(entry);
}

async function* linesOf(file: string): AsyncGenerator<string> {
  using input = Deno.openSync(file);
  const decoder = new TextDecoder();
  const bytes = new Uint8Array(64 * 1024);
  let rest = "";
  for (let count = input.readSync(bytes); count !== null; count = input.readSync(bytes)) {
    const lines = (rest + decoder.decode(bytes.subarray(0, count), { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

/** MLSD with the path, unless the server could take a part of it for a pattern or cut spaces off. */
async function listCommand(session: Session, verb: string, directory: string): Promise<string> {
  const absolute = session.path(directory);
  if (!/[*?[\]{}~\\]|\s$/.test(absolute)) return `${verb} ${absolute}`;
  await session.control.expect(`CWD ${absolute}`);
  return verb;
}

function toEntry(session: Session, directory: string, entry: MlsdEntry): Entry | undefined {
  const { name, kind } = entry;
  if (kind === "other") return undefined;
  if (name.includes("/")) {
    session.context.log("warning", `Ignored a listed name that holds "/": ${JSON.stringify(name.slice(0, 120))}`);
    return undefined;
  }
  const path = directory === "" ? name : `${directory}/${name}`;
  const made: Entry = kind === "file" ? { path, ...fileOf(entry) } : { path, kind };
  const problem = pathProblem(path);
  if (problem !== undefined) made.problem = problem;
  return made;
}

function fileOf({ sizeBytes, modifiedMs }: MlsdEntry): Found & { kind: "file" } {
  return {
    kind: "file",
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    ...(modifiedMs === undefined ? {} : { modifiedMs }),
  };
}
