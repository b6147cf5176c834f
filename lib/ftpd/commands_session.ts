/** Login, features and the settings of a session. */
import { statfs } from "node:fs/promises";
import type { Command } from "./command.ts";
import { hashFeature, optsHash } from "./commands_hash.ts";
import { entriesOf, entryOf } from "./directory.ts";
import { type Fact, FACTS, listLine } from "./listing.ts";
import { TLS_FEATURES } from "./commands_tls.ts";
import { splitVirtual, virtualPath } from "./paths.ts";
import { Refusal } from "./refusal.ts";
import type { Session } from "./session.ts";

/** What FEAT tells (RFC 2389), MLST apart, whose line shows the facts that are on. */
const FEATURES = ["AVBL", "EPSV", "MDTM", "MFMT", "PASV", "RANG STREAM", "REST STREAM", "SIZE", "TVFS", "UTF8"];

export const SESSION_COMMANDS: Record<string, Command<Session>> = {
  USER: { run: user, beforeLogin: true, needsArgument: true },
  PASS: { run: pass, beforeLogin: true },
  QUIT: { run: (session) => session.reply(221, "Goodbye"), beforeLogin: true },
  NOOP: { run: (session) => session.reply(200, "OK"), beforeLogin: true, keeps: "restart" },
  SYST: { run: (session) => session.reply(215, "UNIX Type: L8"), beforeLogin: true },
  FEAT: { run: feat, beforeLogin: true },
  OPTS: { run: opts, beforeLogin: true, needsArgument: true },
  ABOR: { run: abor, beforeLogin: true },
  STAT: { run: stat },
  AVBL: { run: avbl },
  TYPE: { run: type, needsArgument: true, keeps: "restart" },
  MODE: {
    run: (session, argument) =>
      argument.toUpperCase() === "S" ? session.reply(200, "Mode is S") : session.reply(504, "Only mode S is known"),
    needsArgument: true,
  },
  STRU: {
    run: (session, argument) =>
      argument.toUpperCase() === "F"
        ? session.reply(200, "Structure is F")
        : session.reply(504, "Only structure F is known"),
    needsArgument: true,
  },
  ALLO: { run: (session) => session.reply(202, "No reservation is needed"), keeps: "restart" },
};

async function user(session: Session, argument: string): Promise<void> {
  session.loggedIn = false;
  if (session.context.tls !== undefined && !session.isSecure) {
    throw new Refusal(530, "Send AUTH TLS first: no password is taken in the clear");
  }
  session.user = argument;
  // The same for a name that does not exist: names are not to be guessed one by one.
  await session.reply(331, "Send the password with PASS");
}

async function pass(session: Session, argument: string): Promise<void> {
  const { guard, limits } = session.context;
  if (session.user === undefined) return await session.reply(503, "Send the name with USER first");
  await session.pause(guard.turnMs(session.peer));
  const account = await guard.check(session.peer, session.user, argument);
  if (account !== undefined) {
    session.loggedIn = true;
    session.readOnly = session.context.readOnly || account.readOnly;
    session.log({ event: "login", user: session.user });
    return await session.reply(230, "Logged in");
  }
  session.wrongPasswords++;
  session.log({ event: "login_failed", user: session.user });
  session.user = undefined;
  await session.pause(guard.delayMs(session.peer));
  if (session.wrongPasswords < limits.loginAttemptsMax) return await session.reply(530, "Name or password is wrong");
  await session.reply(421, "Too many wrong passwords: closing the connection");
  session.close();
}

async function feat(session: Session): Promise<void> {
  const facts = FACTS.map((fact) => `${fact}${session.facts.has(fact) ? "*" : ""};`).join("");
  await session.reply(
    211,
    "Features",
    ...[
      ...FEATURES,
      ...(session.context.tls === undefined ? [] : TLS_FEATURES),
      hashFeature(session.hashName),
      `MLST ${facts}`,
    ].sort(),
    "End",
  );
}

async function opts(session: Session, argument: string): Promise<void> {
  const [name = "", ...rest] = argument.split(" ");
  if (name.toUpperCase() === "UTF8") {
    if (/^(on)?$/i.test(rest.join(" "))) return await session.reply(200, "Names are UTF-8");
    return await session.reply(504, "Names are always UTF-8");
  }
  if (name.toUpperCase() === "MLST") {
    const asked = new Set(rest.join(" ").toLowerCase().split(";"));
    session.facts = new Set(FACTS.filter((fact: Fact) => asked.has(fact)));
    return await session.reply(200, `MLST OPTS ${[...session.facts].map((fact) => `${fact};`).join("")}`);
  }
  if (name.toUpperCase() === "HASH") return await optsHash(session, rest.join(" "));
  await session.reply(501, "Option is not known");
}

async function abor(session: Session): Promise<void> {
  session.abortsWaiting--;
  await session.dropPassive();
  await session.reply(226, "Nothing is transferred any more");
}

/** Bytes are sent as they are in both types: a log that is changed on its way is a broken log. */
async function type(session: Session, argument: string): Promise<void> {
  if (/^(I|L 8)$/i.test(argument)) return await session.reply(200, "Type is binary");
  if (/^A( N)?$/i.test(argument)) return await session.reply(200, "Type is ASCII, and bytes are sent unchanged");
  await session.reply(504, "Only the types I and A are known");
}

async function stat(session: Session, argument: string): Promise<void> {
  if (argument !== "") return await statPath(session, argument);
  const who = session.user === undefined ? "" : ` as ${session.user}`;
  await session.reply(
    211,
    "FileSync FTP server",
    `Connected from ${session.peer}${who}`,
    "No transfer under way",
    "End",
  );
}

/** Names that STAT tells of a directory: the reply is held in memory, and a longer listing belongs to LIST. */
const STAT_ENTRIES_MAX = 1000;

async function statPath(session: Session, argument: string): Promise<void> {
  const { jail } = session.context;
  const path = virtualPath(session.directory, argument.replace(/^(-[a-zA-Z0-9]+( +|$))+/, ""));
  const real = await jail.existing(path);
  const options = { writable: !session.readOnly, nowMs: Date.now() };
  const info = await Deno.stat(real);
  const lines: string[] = [];
  let end = "End";
  if (info.isDirectory) {
    for await (const entry of entriesOf(real, { jail, onUnlisted: () => {} })) {
      if (lines.length < STAT_ENTRIES_MAX) lines.push(listLine(entry, options));
      else {
        end = `Only ${STAT_ENTRIES_MAX} names are told here: use LIST`;
        break;
      }
    }
  } else lines.push(listLine(await entryOf(jail, path, splitVirtual(path).name), options));
  await session.reply(info.isDirectory ? 212 : 213, `Status of ${path}`, ...lines, end);
}

/** Bytes that may still be uploaded (draft-peterson-streamlined-ftp-command-extensions). */
async function avbl(session: Session, argument: string): Promise<void> {
  const real = await session.context.jail.existing(virtualPath(session.directory, argument));
  if (!(await Deno.stat(real)).isDirectory) throw new Refusal(550, "Not a directory");
  const { bavail, bsize } = await statfs(real);
  const left = await session.context.quota.left();
  await session.reply(213, String(Math.min(bavail * bsize, left ?? Infinity)));
}
