/** TLS on both connections (RFC 4217). Where the server has a certificate, nothing is served without it. */
import type { Command } from "./command.ts";
import { Refusal } from "./refusal.ts";
import type { Session } from "./session.ts";

export const TLS_COMMANDS: Record<string, Command<Session>> = {
  AUTH: { run: auth, beforeLogin: true, needsArgument: true },
  PBSZ: { run: pbsz, beforeLogin: true, needsArgument: true },
  PROT: { run: prot, beforeLogin: true, needsArgument: true },
};

/** Lines of FEAT. */
export const TLS_FEATURES = ["AUTH TLS", "PBSZ", "PROT"];

async function auth(session: Session, argument: string): Promise<void> {
  if (session.context.tls === undefined) throw new Refusal(502, "TLS is not offered here");
  if (!/^TLS(-C)?$/i.test(argument)) throw new Refusal(504, "Only AUTH TLS is known");
  if (session.isSecure) throw new Refusal(503, "TLS is spoken already");
  session.loggedIn = false;
  session.user = undefined;
  // What was sent behind it came in the clear: somebody on the way may have put it there.
  if (!session.secureNext()) {
    await session.reply(421, "Nothing may follow AUTH TLS before its answer");
    return session.close();
  }
  await session.reply(234, "Begin TLS");
}

async function pbsz(session: Session, argument: string): Promise<void> {
  if (!session.isSecure) throw new Refusal(503, "Send AUTH TLS first");
  if (!/^\d{1,10}$/.test(argument)) throw new Refusal(501, "Size must be a number");
  await session.reply(200, "PBSZ=0");
}

async function prot(session: Session, argument: string): Promise<void> {
  if (!session.isSecure) throw new Refusal(503, "Send AUTH TLS first");
  const level = argument.toUpperCase();
  if (!["C", "S", "E", "P"].includes(level)) throw new Refusal(504, "Protection level is not known");
  if (level === "S" || level === "E") throw new Refusal(536, "Protection levels are C and P");
  if (level === "C") throw new Refusal(534, "Only PROT P is served: data would go in the clear");
  session.protects = true;
  await session.reply(200, "Data connections are protected");
}
