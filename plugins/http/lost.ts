/** A connection that ended, with the truth about how much may have arrived. */

/** The connection ended before there was an answer, or never came to be. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
  /** The whole request was handed on: it may have been carried out. */
  readonly isSent: boolean;
  /** Bytes of the body that were handed on over a connection that was there. */
  readonly sentBytes: number;
  /** The connection had carried an earlier request: it may have been dead already. */
  readonly isReused: boolean;

  constructor(cause: unknown, facts: { isSent: boolean; sentBytes: number; isReused?: boolean }) {
    super(wordsOfError(cause), { cause });
    this.isSent = facts.isSent;
    this.sentBytes = facts.sentBytes;
    this.isReused = facts.isReused ?? false;
  }

  /** The server's certificate is not trusted. */
  get isDistrusted(): boolean {
    return /certificate|UnknownIssuer|NotValidForName|CERT_|certificate's SHA-256/i.test(this.message);
  }
}

/** What went wrong, in one line without the runtime's decoration. */
export function wordsOfError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  switch ((error as { code?: unknown }).code) {
    case "ECONNREFUSED":
      return "connection is refused";
    case "ECONNRESET":
    case "EPIPE":
      return "server closed the connection";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "name of the server is not known";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "no way to the server";
    case "ETIMEDOUT":
      return "server does not answer";
    default:
      // Deno's own connections have no code for it.
      if (/failed to lookup address/.test(error.message)) return "name of the server is not known";
      return error.message.replaceAll(/\s+/g, " ");
  }
}
