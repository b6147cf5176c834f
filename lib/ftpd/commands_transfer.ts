/** Data connections and what moves over them. */
import type { Command } from "./command.ts";
import { directoryOf, syncDirectory } from "./commands_files.ts";
import { DataChannel, LineSender, receiveFile, sendFile } from "./data_channel.ts";
import { entriesOf, entryOf } from "./directory.ts";
import { openFile } from "./held.ts";
import { type ListedEntry, listLine, mlsxLine } from "./listing.ts";
import { passiveNumbers } from "./passive.ts";
import { infoOf, splitVirtual, virtualPath } from "./paths.ts";
import { Refusal } from "./refusal.ts";
import { secureOver } from "./secure.ts";
import type { Session } from "./session.ts";
import type { Wire } from "./types.ts";

const ACTIVE = "Active mode is not offered: use EPSV or PASV";

export const TRANSFER_COMMANDS: Record<string, Command<Session>> = {
  PASV: { run: pasv, keeps: "restart" },
  EPSV: { run: epsv, keeps: "restart" },
  // A server that connects to where a client points can be pointed at others (RFC 2577).
  PORT: { run: (session) => session.reply(502, ACTIVE) },
  EPRT: { run: (session) => session.reply(502, ACTIVE) },
  REST: { run: rest, needsArgument: true, keeps: "restart" },
  RETR: { run: retr, needsArgument: true },
  STOR: { run: (session, argument) => store(session, argument, "replace"), needsArgument: true, changes: true },
  APPE: { run: (session, argument) => store(session, argument, "append"), needsArgument: true, changes: true },
  LIST: { run: list },
  NLST: { run: nlst },
  MLSD: { run: mlsd },
};

async function pasv(session: Session): Promise<void> {
  if (session.extendedOnly) throw new Refusal(501, "EPSV ALL was sent: use EPSV");
  if (session.local.includes(":")) throw new Refusal(425, "Address is IPv6: use EPSV");
  const port = await session.openPassive();
  await session.reply(227, `Entering Passive Mode (${passiveNumbers(session.local, port)})`);
}

async function epsv(session: Session, argument: string): Promise<void> {
  if (argument.toUpperCase() === "ALL") {
    session.extendedOnly = true;
    return await session.reply(200, "Only EPSV is taken from now on");
  }
  const family = session.local.includes(":") ? "2" : "1";
  if (argument !== "" && argument !== family) throw new Refusal(522, `Network protocol not supported, use (${family})`);
  const port = await session.openPassive();
  await session.reply(229, `Entering Extended Passive Mode (|||${port}|)`);
}

async function rest(session: Session, argument: string): Promise<void> {
  const offset = Number(argument);
  if (!/^\d{1,16}$/.test(argument) || !Number.isSafeInteger(offset)) {
    throw new Refusal(501, "Offset must be a whole number of bytes");
  }
  session.restartAt = offset;
  session.endAt = undefined;
  await session.reply(350, `Next transfer starts at ${offset}`);
}

async function retr(session: Session, argument: string): Promise<void> {
  const path = virtualPath(session.directory, argument);
  const real = await session.context.jail.existing(path);
  using file = await openFile(session.context.jail, real, "read");
  const { size } = await file.stat();
  if (session.restartAt > size) throw new Refusal(554, `File has only ${size} bytes`);
  await file.seek(session.restartAt, Deno.SeekMode.Start);
  const count = Math.max(0, Math.min(session.endAt ?? size, size) - session.restartAt);
  const endBytes = session.endAt === undefined ? Infinity : count;
  await transfer(session, `Sending ${count} bytes`, async (data, begin) => {
    await begin();
    await sendFile(file, data, endBytes);
    await data.finish();
  }, { event: "download", path });
}

/**
 * STOR writes from the start or from REST's offset, APPE at the end. What lies beyond the offset is cut off, so that
 * the file is a true prefix at every moment. What arrived stays when the transfer fails: the client goes on from there.
 */
async function store(session: Session, argument: string, mode: "replace" | "append"): Promise<void> {
  if (session.endAt !== undefined) throw new Refusal(504, "A range is for RETR and HASH: use REST");
  const path = virtualPath(session.directory, argument);
  const real = await session.context.jail.writable(path);
  const before = await infoOf(real);
  const size = before?.size ?? 0;
  const startAt = session.restartAt;
  if (mode === "replace" && startAt > size) throw new Refusal(554, `File has only ${size} bytes`);
  const { quota } = session.context;
  await quota.check(mode === "append" ? 0 : size - startAt);
  await transfer(session, "Ready to receive", async (data, begin) => {
    const release = await session.context.uploads.claim(real, data);
    try {
      using file = await openFile(session.context.jail, real, "write");
      if (mode === "append") await file.seek(0, Deno.SeekMode.End);
      else {
        quota.free(Math.max(0, (await file.stat()).size - startAt));
        await file.truncate(startAt);
        await file.seek(startAt, Deno.SeekMode.Start);
      }
      await begin();
      try {
        await receiveFile(file, data, quota);
      } finally {
        // 226 is a promise that a client deletes its own copy by, and SIZE after a broken transfer is one too.
        await file.sync();
      }
      if (before === undefined) await syncDirectory(directoryOf(real));
    } finally {
      release();
    }
  }, { event: "upload", path });
}

async function list(session: Session, argument: string): Promise<void> {
  const options = { writable: !session.readOnly, nowMs: Date.now() };
  await sendEntries(session, withoutOptions(argument), (entry) => listLine(entry, options));
}

async function nlst(session: Session, argument: string): Promise<void> {
  await sendEntries(session, withoutOptions(argument), (entry) => entry.name);
}

/** 550 for a file as most servers say it: RFC 3659 has 501, which clients take for a mistake of their own. */
async function mlsd(session: Session, argument: string): Promise<void> {
  const options = { writable: !session.readOnly };
  const path = virtualPath(session.directory, argument);
  const info = await Deno.stat(await session.context.jail.existing(path));
  if (!info.isDirectory) throw new Refusal(550, "Not a directory: use MLST");
  await sendEntries(session, argument, (entry) => mlsxLine(entry, session.facts, options));
}

/** `LIST -la path` is what many clients send: the options of `ls` are passed over. */
function withoutOptions(argument: string): string {
  return argument.replace(/^(-[a-zA-Z0-9]+( +|$))+/, "");
}

async function sendEntries(session: Session, argument: string, format: (entry: ListedEntry) => string): Promise<void> {
  const { jail } = session.context;
  const path = virtualPath(session.directory, argument);
  const real = await jail.existing(path);
  const isDirectory = (await Deno.stat(real)).isDirectory;
  await transfer(session, "Sending the listing", async (data, begin) => {
    await begin();
    const sender = new LineSender(data);
    if (isDirectory) {
      const onUnlisted = (name: string, reason: string) => {
        session.log({ event: "unlisted", path: path === "/" ? `/${name}` : `${path}/${name}`, reason });
      };
      for await (const entry of entriesOf(real, { jail, onUnlisted })) await sender.line(format(entry));
    } else await sender.line(format(await entryOf(jail, path, splitVirtual(path).name)));
    await sender.flush();
    await data.finish();
  });
}

/**
 * Takes the data connection, runs `move` on it and tells the outcome. `move` calls `begin`, which sends 150, when
 * nothing stands in the way any more.
 */
async function transfer(
  session: Session,
  opening: string,
  move: (data: DataChannel, begin: () => Promise<void>) => Promise<void>,
  logged?: { event: "download" | "upload"; path: string },
): Promise<void> {
  const wire = await dataWire(session, { onlyReads: logged?.event === "upload" });
  const data = new DataChannel(wire, session.context.limits.stallMs);
  const started = performance.now();
  const report = (failure: { error?: string }) => {
    if (logged === undefined) return;
    const elapsedMs = Math.round(performance.now() - started);
    session.log({ ...logged, bytes: data.bytes, elapsedMs, ...failure });
  };
  try {
    await session.whileRunning(data, () => move(data, () => session.reply(150, opening)));
  } catch (error) {
    report({ error: error instanceof Error ? error.message : String(error) });
    throw error;
  } finally {
    data.close();
    await data.ended;
  }
  report({});
  await session.reply(226, `Moved ${data.bytes} bytes`);
}

async function dataWire(session: Session, options: { onlyReads: boolean }): Promise<Wire> {
  const { tls } = session.context;
  const conn = await session.takeDataConnection();
  if (tls === undefined) return conn;
  try {
    return await secureOver(conn, tls, options);
  } catch (error) {
    conn.close();
    throw new Refusal(425, "Cannot speak TLS on the data connection", { cause: error });
  }
}
