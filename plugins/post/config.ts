/** The arguments of a `post` device, checked for meaning; types and defaults are the manifest's. */
import { DriverError } from "../../lib/driver/mod.ts";
import { readCertificates } from "../http/certificates.ts";
import { FLIGHT_REVIEW_MAX_BYTES, FLIGHT_REVIEW_VALUES, isSearchable } from "./flight_review.ts";

/** The arguments as the driver uses them. */
export interface PostConfig {
  url: URL;
  /** Text fields in the order in which they are sent. */
  values: Map<string, string>;
  /** Name of the field that carries the file. */
  field: string;
  headers: Record<string, string>;
  /** The server is a PX4 Flight Review. */
  isFlightReview: boolean;
  /** The server can be asked for what was sent to it. */
  isAskable: boolean;
  success: SuccessRule;
  /** Largest file that the server takes; absent: not known. */
  maxBytes?: number;
  /** Certificates of authorities, PEM. */
  ca?: string;
}

/** What a success looks like. */
export interface SuccessRule {
  /** Absent: 200 to 299. */
  status?: readonly number[];
  /** Whether 302 and 303 are successes. */
  redirect: boolean;
  /** Keys that lead to the link in a JSON answer; an answer without it is no success. */
  link?: readonly string[];
}

/** Servers that are known to be a Flight Review. */
const FLIGHT_REVIEW_HOSTS = ["logs.px4.io", "review.px4.io"];
/** A text field that a Flight Review takes, bytes (`multipart_streamer.py`, `get_values`). */
const FLIGHT_REVIEW_VALUE_BYTES_MAX = 10 * 1024;
/** Headers that frame the request: they are ours. */
const OWN_HEADERS = ["content-type", "content-length", "transfer-encoding", "host", "connection", "expect"];
const UNITS: Record<string, number> = {
  "": 1,
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/**
 * The configuration in `args`. Touches no network.
 * @throws {DriverError} `invalid_config` with the JSON pointer of what is wrong
 */
export function parseConfig(args: Record<string, unknown>): PostConfig {
  const url = parseUrl(args["uploader_url"] as string);
  const isFlightReview = args["preset"] === undefined
    ? FLIGHT_REVIEW_HOSTS.includes(url.hostname)
    : args["preset"] === "px4";
  const success = args["success"] as { status?: number[]; redirect?: boolean; link?: string } | undefined ?? {};
  const values = parseValues(args["values"] as Record<string, unknown>, isFlightReview);
  const config: PostConfig = {
    url,
    values,
    field: oneLine("/field", args["field"] as string),
    headers: parseHeaders(args["headers"] as Record<string, unknown>),
    isFlightReview,
    isAskable: isFlightReview && isSearchable(values),
    success: {
      redirect: success.redirect ?? isFlightReview,
      ...(success.status === undefined ? {} : { status: success.status }),
      ...(success.link === undefined ? {} : { link: success.link.split(".") }),
    },
  };
  if (args["max_size"] !== undefined) config.maxBytes = parseSize("/max_size", args["max_size"]);
  else if (isFlightReview) config.maxBytes = FLIGHT_REVIEW_MAX_BYTES;
  if (args["ca"] !== undefined) config.ca = certificatesOf(args["ca"] as string, url);
  return config;
}

function parseUrl(text: string): URL {
  const hint = 'Write it whole, such as "https://logs.px4.io/upload"';
  if (!URL.canParse(text)) throw invalid("/uploader_url", `Argument "uploader_url" is no address: "${text}"`, hint);
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw invalid(
      "/uploader_url",
      `Argument "uploader_url" begins with "${url.protocol}": expected http or https`,
      hint,
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw invalid(
      "/uploader_url",
      'Argument "uploader_url" holds a name or a password, which would be shown in logs',
      'Put them into "headers": {"Authorization": {"file": "path"}}',
    );
  }
  url.hash = "";
  return url;
}

function parseValues(given: Record<string, unknown>, isFlightReview: boolean): Map<string, string> {
  const values = new Map<string, string>(isFlightReview ? FLIGHT_REVIEW_VALUES : []);
  for (const [name, value] of Object.entries(given)) {
    const pointer = pointerTo("values", name);
    if (!["string", "number", "boolean"].includes(typeof value)) {
      throw invalid(pointer, `Field "${name}" of "values" must be a string, a number, true or false`);
    }
    oneLine(pointer, name);
    const text = String(value);
    const bytes = new TextEncoder().encode(text).length;
    if (isFlightReview && bytes > FLIGHT_REVIEW_VALUE_BYTES_MAX - 100) {
      throw invalid(pointer, `Field "${name}" of "values" has ${bytes} bytes: a Flight Review takes 10 KiB`);
    }
    values.set(name, text);
  }
  return values;
}

function parseHeaders(given: Record<string, unknown>): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(given)) {
    const pointer = pointerTo("headers", name);
    if (typeof value !== "string") throw invalid(pointer, `Header "${name}" must be a string`);
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) throw invalid(pointer, `Header "${name}" has no valid name`);
    if (OWN_HEADERS.includes(name.toLowerCase())) throw invalid(pointer, `Header "${name}" is set by filesync itself`);
    if (/[^\t\u0020-\u007e\u0080-\u00ff]/.test(value)) {
      throw invalid(pointer, `Header "${name}" holds a character that no header can carry`);
    }
    headers[name] = value;
  }
  return headers;
}

/** A size with a unit, or a number of bytes. */
export function parseSize(pointer: string, value: unknown): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kMG]?B|[KMG]iB|)$/.exec(String(value).trim());
  if (match === null) throw invalid(pointer, `Size "${value}" is not understood`, 'Write it such as "300MiB"');
  return Math.floor(Number(match[1]) * UNITS[match[2]!]!);
}

function certificatesOf(path: string, url: URL): string {
  if (url.protocol !== "https:") {
    throw invalid("/ca", 'Argument "ca" has no meaning without TLS', 'Begin "uploader_url" with https');
  }
  return readCertificates(path);
}

/** A name that stands between quotes in a header of a part: nothing in it may end them. */
function oneLine(pointer: string, name: string): string {
  // deno-lint-ignore no-control-regex
  if (/[\u0000-\u001f\u007f"]/.test(name)) {
    throw invalid(pointer, `Field name ${JSON.stringify(name)} holds a quote or a control character`);
  }
  return name;
}

function pointerTo(...parts: string[]): string {
  return parts.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

function invalid(pointer: string, message: string, hint?: string): DriverError {
  return new DriverError("invalid_config", message, { pointer, ...(hint === undefined ? {} : { hint }) });
}
