/** From a server's answer to a receipt's link, or to the code of the contract. */
import { DriverError, type ErrorCode, type ErrorDetails } from "../../lib/driver/mod.ts";
import type { PostConfig } from "./config.ts";
import { isMarkup, retryAfterMs, wordsOfBody } from "../http/words.ts";
import { isLogLink } from "./flight_review.ts";

/** What a server answered. */
export interface Answer {
  status: number;
  /** The beginning of the body. */
  text: string;
  /** It came before the whole form was sent. */
  isEarly: boolean;
  location?: string;
  retryAfter?: string;
}

/** How much of an address that a server names is shown. */
const LOCATION_MAX = 200;

/**
 * The link to the file in an answer that is a success; `""` when it gives none.
 * @throws {DriverError} when it is no success
 */
export function linkOf(answer: Answer, config: PostConfig, nowMs: number = Date.now()): string {
  const { status, location } = answer;
  const { success, isFlightReview } = config;
  const isRedirect = status >= 300 && status < 400;
  const isRight = success.status?.includes(status) ??
    ((status >= 200 && status < 300) || (success.redirect && (status === 302 || status === 303)));
  if (!isRight) throw isRedirect ? redirected(answer, config) : refused(answer, config, nowMs);
  if (answer.isEarly) throw notTheServer(answer);
  const link = absolute(isRedirect ? location : linkInBody(answer.text, success.link), config.url);
  if (isFlightReview && (link === undefined || !isLogLink(link))) {
    if (isRedirect) throw redirected(answer, config);
    throw notTheServer(answer);
  }
  if (success.link !== undefined && !isRedirect && link === undefined) {
    if (isMarkup(answer.text)) throw notTheServer(answer);
    throw new DriverError(
      "uncertain",
      `Server answers ${status} without "${success.link.join(".")}": ${wordsOfBody(answer.text)}`,
      { hint: 'Look whether the file is there, and correct "success"' },
    );
  }
  return link ?? "";
}

/** The link in a JSON answer: where the configuration says, else under one of the usual names. */
function linkInBody(text: string, keys: readonly string[] | undefined): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const at = (path: readonly string[]) =>
    path.reduce<unknown>((inner, key) => isRecord(inner) ? inner[key] : undefined, value);
  const candidates = keys === undefined ? [["url"], ["link"], ["href"], ["location"]] : [keys];
  for (const candidate of candidates) {
    const found = at(candidate);
    if (typeof found === "string" && found !== "") return found;
  }
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** The link as a whole address of the web; anything else that an answer holds is no link. */
function absolute(link: string | undefined, base: URL): string | undefined {
  if (link === undefined || !URL.canParse(link, base)) return undefined;
  const url = new URL(link, base);
  return url.protocol === "http:" || url.protocol === "https:" ? url.href : undefined;
}

function redirected({ status, location }: Answer, { url }: PostConfig): DriverError {
  const to = location === undefined ? "nowhere" : `"${location.slice(0, LOCATION_MAX)}"`;
  return new DriverError("unavailable", `Server at ${url.host} answers ${status} and sends us to ${to}`, {
    hint: 'If the form has moved, change "uploader_url"; if a network wants a login first, log in',
  });
}

function notTheServer(answer: Answer): DriverError {
  return new DriverError(
    "unavailable",
    `Something else than the upload server answers ${answer.status}: ${wordsOfBody(answer.text)}`,
    { hint: 'A network that wants a login first looks so; else check "uploader_url"' },
  );
}

function refused(answer: Answer, config: PostConfig, nowMs: number): DriverError {
  const { status } = answer;
  const [code, hint] = meaningOf(answer, config);
  // A gateway has handed the whole form on and waits no longer: it may have arrived all the same.
  if ((status === 504 || status === 524) && !answer.isEarly && !config.isAskable) {
    return new DriverError("uncertain", `Server answers ${status} after all was sent: ${wordsOfBody(answer.text)}`, {
      hint: "Look whether the file is there; then run filesync retry or filesync forget",
    });
  }
  const details: ErrorDetails = hint === undefined ? {} : { hint };
  const waitMs = retryAfterMs(answer.retryAfter, nowMs);
  if (waitMs !== undefined) details.retryAfterMs = waitMs;
  return new DriverError(code, `Server answers ${status}: ${wordsOfBody(answer.text)}`, details);
}

const LIMIT_HINT = 'The server, or a proxy before it, has a limit: set "max_size" to it';

function meaningOf({ status, isEarly }: Answer, config: PostConfig): [code: ErrorCode, hint?: string] {
  switch (status) {
    case 400:
    case 422:
      // Tornado says so of a request that is over its limit, before it reads any of it.
      if (config.isFlightReview) return isEarly ? ["rejected", LIMIT_HINT] : ["rejected"];
      return ["rejected", 'Check "values" and "field" against what the form wants'];
    case 415:
      return ["rejected"];
    case 413:
      return ["rejected", LIMIT_HINT];
    case 401:
    case 407:
      return ["denied", 'Give what the server wants in "headers", such as Authorization'];
    case 403:
    case 444:
      return ["denied", 'The server refuses us: it wants a key in "headers", or blocks our address'];
    case 404:
    case 405:
    case 410:
      return ["unavailable", 'Check "uploader_url"'];
    case 411:
      return ["unavailable", "A proxy on the way drops the length of the request"];
    case 507:
      return ["no_space"];
    default:
      return [isAway(status) ? "unavailable" : "failed"];
  }
}

/** Statuses of a server that is not itself just now; 511 is a network's that wants a login first (RFC 6585 section 6). */
const AWAY = [408, 425, 429, 502, 503, 504, 509, 511];

function isAway(status: number): boolean {
  // Proxies in front of dead servers answer 520 to 530.
  return AWAY.includes(status) || (status >= 520 && status <= 530);
}

/** What it means that a search was answered so: a server, or a network, that is not itself just now is asked again. */
export function searchRefused(status: number): DriverError {
  const words = `Server answers the search with ${status}`;
  if (isAway(status) || (status >= 300 && status < 400)) return new DriverError("unavailable", words);
  return new DriverError(status >= 500 ? "failed" : "uncertain", words);
}
