/** Names, directories, sizes and times. */
import type { Command } from "./command.ts";
import { entryOf } from "./directory.ts";
import { inDirectory, openFile } from "./held.ts";
import { formatTime, mlsxLine, parseTime } from "./listing.ts";
import { infoOf, splitVirtual, virtualPath } from "./paths.ts";
import { Refusal } from "./refusal.ts";
import type { Session } from "./session.ts";

const pwdCommand: Command<Session> = { run: pwd };
const cwdCommand: Command<Session> = { run: cwd, needsArgument: true };
const cdupCommand: Command<Session> = { run: (session) => cwd(session, "..") };
const mkdCommand: Command<Session> = { run: mkd, needsArgument: true, changes: true };
const rmdCommand: Command<Session> = { run: rmd, needsArgument: true, changes: true };

export const FILE_COMMANDS: Record<string, Command<Session>> = {
  PWD: pwdCommand,
  XPWD: pwdCommand,
  CWD: cwdCommand,
  XCWD: cwdCommand,
  CDUP: cdupCommand,
  XCUP: cdupCommand,
  MKD: mkdCommand,
  XMKD: mkdCommand,
  RMD: rmdCommand,
  XRMD: rmdCommand,
  DELE: { run: dele, needsArgument: true, changes: true },
  RNFR: { run: rnfr, needsArgument: true, changes: true, keeps: "rename" },
  RNTO: { run: rnto, needsArgument: true, changes: true },
  SIZE: { run: size, needsArgument: true, keeps: "restart" },
  MDTM: { run: mdtm, needsArgument: true, keeps: "restart" },
  MFMT: { run: mfmt, needsArgument: true, changes: true },
  MLST: { run: mlst },
};

/** Makes the names in a directory outlive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  using directory = await Deno.open(path, { read: true });
  await directory.sync();
}

/** The directory of a real path. */
export function directoryOf(real: string): string {
  return splitVirtual(real).parent;
}

function quoted(path: string): string {
  return `"${path.replaceAll('"', '""')}"`;
}

async function pwd(session: Session): Promise<void> {
  await session.reply(257, `${quoted(session.directory)} is the current directory`);
}

async function cwd(session: Session, argument: string): Promise<void> {
  const path = virtualPath(session.directory, argument);
  const info = await Deno.stat(await session.context.jail.existing(path));
  if (!info.isDirectory) throw new Refusal(550, "Not a directory");
  session.directory = path;
  await session.reply(250, `Directory is ${quoted(path)}`);
}

async function mkd(session: Session, argument: string): Promise<void> {
  const path = virtualPath(session.directory, argument);
  const real = await session.context.jail.name(path);
  await inDirectory(session.context.jail, real, (path) => Deno.mkdir(path));
  await syncDirectory(directoryOf(real));
  session.log({ event: "made", path });
  await session.reply(257, `${quoted(path)} is made`);
}

async function rmd(session: Session, argument: string): Promise<void> {
  await remove(session, argument, (info) => {
    if (!info.isDirectory) throw new Refusal(550, "Not a directory");
  });
}

async function dele(session: Session, argument: string): Promise<void> {
  await remove(session, argument, (info) => {
    if (info.isDirectory) throw new Refusal(550, "Is a directory: use RMD");
  });
}

async function remove(session: Session, argument: string, check: (info: Deno.FileInfo) => void): Promise<void> {
  const path = virtualPath(session.directory, argument);
  const real = await session.context.jail.name(path);
  const info = await inDirectory(session.context.jail, real, async (path) => {
    const info = await Deno.lstat(path);
    check(info);
    await Deno.remove(path);
    return info;
  });
  if (info.isFile) session.context.quota.free(info.size);
  session.log({ event: "removed", path });
  await session.reply(250, "Removed");
}

async function rnfr(session: Session, argument: string): Promise<void> {
  const path = virtualPath(session.directory, argument);
  await Deno.lstat(await session.context.jail.name(path));
  session.renameFrom = path;
  await session.reply(350, "Send the new name with RNTO");
}

/** Replaces a file of the new name in one step: there is no moment without a whole file. */
async function rnto(session: Session, argument: string): Promise<void> {
  if (session.renameFrom === undefined) throw new Refusal(503, "Send the old name with RNFR first");
  const { jail } = session.context;
  const path = virtualPath(session.directory, argument);
  const [from, to] = [await jail.name(session.renameFrom), await jail.name(path)];
  const replaced = await inDirectory(jail, from, (old) =>
    inDirectory(jail, to, async (new_) => {
      const replaced = await infoOf(new_);
      if (replaced?.isDirectory) throw new Refusal(553, "A directory has the new name");
      await Deno.rename(old, new_);
      return replaced;
    }));
  if (replaced?.isFile && from !== to) session.context.quota.free(replaced.size);
  await syncDirectory(directoryOf(to));
  if (directoryOf(from) !== directoryOf(to)) await syncDirectory(directoryOf(from));
  session.log({ event: "renamed", path: session.renameFrom, to: path });
  await session.reply(250, "Renamed");
}

async function fileInfo(session: Session, argument: string): Promise<{ real: string; info: Deno.FileInfo }> {
  const real = await session.context.jail.existing(virtualPath(session.directory, argument));
  const info = await Deno.stat(real);
  if (!info.isFile) throw new Refusal(550, "Not a regular file");
  return { real, info };
}

async function size(session: Session, argument: string): Promise<void> {
  const { info } = await fileInfo(session, argument);
  await session.reply(213, String(info.size));
}

async function mdtm(session: Session, argument: string): Promise<void> {
  const { info } = await fileInfo(session, argument);
  await session.reply(213, formatTime(info.mtime?.getTime() ?? 0));
}

/** Sets a file's modification time (draft-somers-ftp-mfxx section 3). */
async function mfmt(session: Session, argument: string): Promise<void> {
  const [time = "", ...rest] = argument.split(" ");
  const ms = parseTime(time);
  if (ms === undefined || rest.length === 0) throw new Refusal(501, "Send MFMT YYYYMMDDHHMMSS and a path");
  const { real } = await fileInfo(session, rest.join(" "));
  using file = await openFile(session.context.jail, real, "read");
  await file.utime(new Date(ms), new Date(ms));
  await session.reply(213, `Modify=${formatTime(ms)}; ${rest.join(" ")}`);
}

async function mlst(session: Session, argument: string): Promise<void> {
  const path = virtualPath(session.directory, argument);
  const entry = await entryOf(session.context.jail, path, path);
  const line = mlsxLine(entry, session.facts, { writable: !session.readOnly });
  await session.reply(250, "Facts", line, "End");
}
