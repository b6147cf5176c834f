/** From a server's answers and broken connections to the codes of the contract. */
import { DriverError, type ErrorCode, type ErrorDetails } from "../../lib/driver/mod.ts";
import { ConnectionLost } from "../http/lost.ts";
import { retryAfterMs, wordsOfBody } from "../http/words.ts";
import { BadMultistatus } from "./multistatus.ts";

/** The server refused a request. */
export class StatusError extends Error {
  override readonly name = "StatusError";
  readonly method: string;
  readonly status: number;
  readonly retryAfterMs: number | undefined;

  constructor(method: string, status: number, text: string, retryAfter?: string) {
    super(`server answers ${method} with ${status}: ${wordsOfBody(text)}`);
    this.method = method;
    this.status = status;
    this.retryAfterMs = retryAfterMs(retryAfter, Date.now());
  }
}

/** Something that is no WebDAV server answered: a captive portal, a proxy's page. */
export class Stranger extends Error {
  override readonly name = "Stranger";
}

/**
 * `error` as the contract's error.
 * @param action what could not be done, such as `download "a.ulg" from "cloud"`
 */
export function toDriverError(error: unknown, action: string): DriverError {
  if (error instanceof DriverError) {
    if (error.message.startsWith("Cannot ")) return error;
    const words = error.message.charAt(0).toLowerCase() + error.message.slice(1);
    return new DriverError(error.code, `Cannot ${action}: ${words}`, { ...error.details, cause: error });
  }
  const [code, details] = classify(error);
  const text = error instanceof Error ? error.message : String(error);
  return new DriverError(code, `Cannot ${action}: ${text.charAt(0).toLowerCase() + text.slice(1)}`, {
    ...details,
    cause: error,
  });
}

function classify(error: unknown): [code: ErrorCode, details: ErrorDetails] {
  if (error instanceof ConnectionLost) {
    if (!error.isDistrusted) return ["unavailable", {}];
    return ["denied", {
      hint: 'Name the file of the signing authority in "ca", or the certificate\'s SHA-256 in "pin"; a clock that is ' +
        "wrong by years looks so, too",
    }];
  }
  if (error instanceof Stranger || error instanceof BadMultistatus) {
    return ["unavailable", { hint: 'A network that wants a login first looks so; else check "host"' }];
  }
  if (error instanceof Deno.errors.NotCapable) return ["invalid_config", { pointer: "/host" }];
  if (!(error instanceof StatusError)) return ["failed", {}];
  const details: ErrorDetails = error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs };
  switch (error.status) {
    case 401:
    case 407:
      return ["denied", { hint: 'Check "user" and "passwd", or "token"; with two-factor login make an app password' }];
    case 402:
    case 403:
    case 451:
      return ["denied", { scope: "file", hint: "Give the user the right on the server" }];
    case 404:
    case 410:
      return ["not_found", {}];
    case 405:
    case 501:
      return ["unsupported", { hint: 'Is WebDAV switched on under "host"?' }];
    case 413:
      return ["rejected", {
        hint: "The server, or a proxy before it, has a limit: raise it there, or set rules.max_size",
      }];
    case 414:
    case 415:
      return ["rejected", {}];
    case 408:
    case 425:
    case 429:
    case 502:
    case 503:
    case 504:
    case 509:
      return ["unavailable", details];
    case 507:
      return ["no_space", details];
    default:
      // Proxies in front of dead servers answer 520 to 530; 423 is a lock on one file.
      return [error.status >= 520 && error.status <= 530 ? "unavailable" : "failed", details];
  }
}
