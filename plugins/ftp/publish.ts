/** The rename that makes a whole file visible. */
import { DriverError } from "../../lib/driver/mod.ts";
import { isDone } from "./control.ts";
import { lookUp } from "./entries.ts";
import { ReplyError } from "./errors.ts";
import type { Reply } from "./parse_reply.ts";
import type { Session } from "./session.ts";

/**
 * Renames `temporary` to `path`.
 * @param replaces a file at `path` may be replaced
 * @throws {DriverError} `rejected` when the server refuses the name, `denied` when it names missing rights, `failed` when
 * it does not say why
 */
export async function publish(
  session: Session,
  temporary: string,
  path: string,
  sizeBytes: number,
  replaces: boolean,
): Promise<void> {
  const refusal = await rename(session, temporary, path);
  if (refusal !== undefined) await publishRefused(session, { temporary, path, sizeBytes, replaces, refusal });
}

/**
 * {@linkcode publish} whose answer is awaited after the session was given back: it travels with what the next call on it
 * asks. What it returns is for {@linkcode publishRefused}. Not while `session.isRenaming`.
 * @throws {ConnectionLost} the answer is lost
 */
export async function askToPublish(session: Session, temporary: string, path: string): Promise<ReplyError | undefined> {
  const [start, finish] = renaming(session, temporary, path);
  const [started, finished] = await Promise.all([session.control.ask(start), session.control.ask(finish)]);
  return refusalOf(session, [start, finish], [started, finished]);
}

/** What is to be done about a rename that the server refused; see {@linkcode publish}. */
export async function publishRefused(
  session: Session,
  wanted: { temporary: string; path: string; sizeBytes: number; replaces: boolean; refusal: ReplyError },
): Promise<void> {
  const { temporary, path, sizeBytes, replaces, refusal } = wanted;
  // A rename that worked, whatever was said of it: nothing has the temporary name, the whole has the final one.
  if (await lookUp(session, temporary, false) === undefined) {
    const found = await lookUp(session, path, false);
    if (found?.kind === "file" && found.sizeBytes === sizeBytes) return;
  }
  if (replaces && (refusal.code === 550 || refusal.code === 553)) {
    const found = await lookUp(session, path, false);
    // IIS and some others rename onto no existing name: the old file goes first, and for a moment there is none.
    if (found?.kind === "file" && isDone(await session.control.command(`DELE ${session.path(path)}`))) {
      const again = await rename(session, temporary, path);
      if (again === undefined) return;
      throw refused(again, path);
    }
  }
  throw refused(refusal, path);
}

async function rename(session: Session, from: string, to: string): Promise<ReplyError | undefined> {
  const commands = renaming(session, from, to);
  if (!session.isRenaming) return refusalOf(session, commands, await session.control.exchange(commands));
  const started = await session.control.command(commands[0]);
  const isStarted = started.code === 350 || isDone(started);
  return refusalOf(session, commands, isStarted ? [started, await session.control.command(commands[1])] : [started]);
}

/** Sent together where that is safe: after a refused RNFR the other one is out of sequence and does nothing. */
function renaming(session: Session, from: string, to: string): [string, string] {
  return [`RNFR ${session.path(from)}`, `RNTO ${session.path(to)}`];
}

function refusalOf(session: Session, commands: [string, string], replies: Reply[]): ReplyError | undefined {
  const [started, finished] = replies as [Reply, Reply?];
  const isFinished = finished !== undefined && isDone(finished);
  // What was not renamed a server may still know, above all one that something between has answered for: the next RNTO
  // would rename that, if its own RNFR were refused.
  session.isRenaming = !isFinished;
  if (started.code !== 350 && !isDone(started)) return new ReplyError(commands[0], started);
  return isFinished ? undefined : new ReplyError(commands[1], finished!);
}

function refused(refusal: ReplyError, path: string): DriverError {
  const message = `Cannot publish "${path}": ${refusal.message}`;
  if (refusal.isNoSpace) return new DriverError("no_space", message);
  if (refusal.isPermission) {
    return new DriverError("denied", message, {
      scope: "file",
      hint: "Give the user the right to rename on the server",
    });
  }
  return new DriverError(refusal.isOfTheName ? "rejected" : "failed", message);
}
