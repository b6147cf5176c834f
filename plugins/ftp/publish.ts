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
  if (refusal === undefined) return;
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
  const start = `RNFR ${session.path(from)}`;
  const finish = `RNTO ${session.path(to)}`;
  const [started, finished] = await exchange(session, start, finish);
  const isStarted = started.code === 350 || isDone(started);
  const isFinished = finished !== undefined && isDone(finished);
  // What was not renamed a server may still know, above all one that something between has answered for: the next RNTO
  // would rename that, if its own RNFR were refused.
  session.isRenaming = !isFinished;
  if (!isStarted) return new ReplyError(start, started);
  return isFinished ? undefined : new ReplyError(finish, finished!);
}

/** Together where that is safe: after a refused RNFR the other one is out of sequence and does nothing. */
async function exchange(
  session: Session,
  start: string,
  finish: string,
): Promise<[started: Reply, finished: Reply | undefined]> {
  const { control } = session;
  if (!session.isRenaming) return await control.exchange([start, finish]) as [Reply, Reply];
  const started = await control.command(start);
  return [started, started.code === 350 || isDone(started) ? await control.command(finish) : undefined];
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
