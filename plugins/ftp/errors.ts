/** From replies and broken connections to the codes of the contract. */
import { DriverError, type ErrorCode, type ErrorDetails } from "../../lib/driver/mod.ts";
import { BadReply, type Reply, replyText } from "./parse_reply.ts";
import { ConnectionLost, TlsRefused } from "./stream.ts";

/** The server refused a command. */
export class ReplyError extends Error {
  override readonly name = "ReplyError";
  readonly verb: string;
  readonly code: number;
  readonly reply: Reply;

  constructor(command: string, reply: Reply) {
    super(`server answers ${verbOf(command)} with "${replyText(reply)}"`);
    this.verb = verbOf(command);
    this.code = reply.code;
    this.reply = reply;
  }

  /** The server's words hint at missing rights; 550 and 553 alone say nothing of the reason. */
  get isPermission(): boolean {
    // What RFC 959 itself says of 553 is no server's reason.
    const words = replyText(this.reply).replace(/file ?name not allowed/i, "");
    return /permission|denied|not allowed|not permitted|forbidden|read.only|privilege/i.test(words);
  }

  get isNoSpace(): boolean {
    return this.code === 452 || this.code === 552 ||
      /no space|disk (?:is )?full|quota|insufficient storage|out of space/i.test(replyText(this.reply));
  }

  /** 4xx: not now, perhaps later (RFC 959, 4.2.1). Nothing is learned from it. */
  get isTransient(): boolean {
    return this.code < 500;
  }

  /** The server's verdict on the name itself; 550 may be about anything, also about this moment. */
  get isOfTheName(): boolean {
    return (this.code === 553 || this.code === 501) && this.verb !== "RNFR";
  }

  /** The server does not know the command or the parameter. */
  get isUnknown(): boolean {
    return this.code >= 500 && this.code <= 504;
  }
}

/** The server did not answer in time. */
export class ReplyTimeout extends ConnectionLost {}

/** The server takes no more connections of ours now. */
export class TooManyConnections extends ConnectionLost {}

/** The command without its parameters, which may be a password. */
export function verbOf(command: string): string {
  return command.split(" ", 1)[0]!;
}

/** Whether a refused login is about the number of connections and not about the password. */
export function isTooMany(reply: Reply): boolean {
  return reply.code === 421 ||
    /too many|maximum|limit|already (?:logged|connected)|connections? (?:exceed|allowed|per)|busy|try again later/i
      .test(reply.lines.join(" "));
}

/**
 * `error` as the contract's error.
 * @param action what could not be done, such as `download "a.ulg" from "drone1"`
 */
export function toDriverError(error: unknown, action: string): DriverError {
  if (error instanceof DriverError) {
    if (error.message.startsWith("Cannot ")) return error;
    const words = error.message.charAt(0).toLowerCase() + error.message.slice(1);
    return new DriverError(error.code, `Cannot ${action}: ${words}`, { ...error.details, cause: error });
  }
  const { code, details } = classify(error);
  const text = error instanceof Error ? error.message : String(error);
  const message = text.charAt(0).toLowerCase() + text.slice(1);
  return new DriverError(code, `Cannot ${action}: ${message}`, { ...details, cause: error });
}

function classify(error: unknown): { code: ErrorCode; details: ErrorDetails } {
  if (error instanceof DOMException && error.name === "AbortError") return { code: "cancelled", details: {} };
  if (error instanceof TlsRefused) {
    if (/not valid yet|expired/i.test(error.message)) return wrongTime(error.message);
    return {
      code: "denied",
      details: {
        hint: error.hint ?? 'Name the file of the signing authority in "ca", or the certificate\'s SHA-256 in "pin"',
      },
    };
  }
  if (error instanceof TooManyConnections) {
    const hint = "All connections that the server gives are in use: raise its limit for this user and address, or " +
      "wait until its other clients have ended";
    return { code: "unavailable", details: { hint } };
  }
  if (error instanceof ConnectionLost || error instanceof BadReply) return { code: "unavailable", details: {} };
  if (error instanceof Deno.errors.NotCapable) return { code: "invalid_config", details: { pointer: "/host" } };
  if (!(error instanceof ReplyError)) return { code: "failed", details: {} };
  if (error.isNoSpace) return { code: "no_space", details: {} };
  switch (error.code) {
    case 421:
    case 425:
    case 426:
      return { code: "unavailable", details: {} };
    case 430:
    case 530:
    case 532:
      return { code: "denied", details: { hint: 'Check "user" and "passwd"' } };
    default:
      return error.isPermission
        ? { code: "denied", details: { scope: "file", hint: "Give the user the rights on the server" } }
        : { code: "failed", details: {} };
  }
}

/** Times decide about a certificate, and a Pi's clock may be wrong by years until the network sets it. */
function wrongTime(message: string): { code: ErrorCode; details: ErrorDetails } {
  const today = new Date().toISOString().slice(0, 16).replace("T", " ");
  const hint = `The clock of this machine says ${today} UTC. If that is wrong: sudo timedatectl set-ntp true. ` +
    "If it is right, the server needs a new certificate";
  // A certificate that is not valid yet soon is, as a rule by the clock's doing.
  return { code: /not valid yet/i.test(message) ? "unavailable" : "denied", details: { hint } };
}
