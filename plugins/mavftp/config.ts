/** The arguments of a `mavftp` device, checked for meaning; types and defaults are the manifest's. */
import { DriverError } from "../../lib/driver/mod.ts";

export interface SerialUrl {
  kind: "serial";
  text: string;
  path: string;
  baud: number;
  hasFlowControl: boolean;
}

export interface UdpUrl {
  /** `udp` waits, `udpout` sends first. */
  kind: "udp" | "udpout";
  text: string;
  host: string;
  port: number;
}

export interface TcpUrl {
  kind: "tcp";
  text: string;
  host: string;
  port: number;
}

export type LinkUrl = SerialUrl | UdpUrl | TcpUrl;

/** The arguments as the driver uses them. */
export interface MavftpConfig {
  url: LinkUrl;
  /** Absolute directory on the autopilot; `undefined`: the first known one that is there. */
  root: string | undefined;
  systemId: number | undefined;
  ownSystemId: number;
  settleMs: number | undefined;
  /** Bytes a second. */
  rate: number | undefined;
  takeover: boolean;
  signingKey: string | undefined;
}

const BAUD_DEFAULT = 115_200;
const URL_HINT = 'Such as "serial:///dev/ttyACM0?baud=115200", "udp://0.0.0.0:14550", "udpout://10.0.0.7:14550" or ' +
  '"tcp://10.0.0.7:5760"';

/** What `args` mean; touches nothing. @throws {DriverError} `invalid_config` with the pointer of what is wrong */
export function parseConfig(args: Record<string, unknown>): MavftpConfig {
  const settle = args["settle_after_disarm"];
  const rate = args["rate"];
  return {
    url: parseUrl(args["url"] as string),
    root: rootOf(args["root"] as string | undefined),
    systemId: args["system_id"] as number | undefined,
    ownSystemId: ownSystemId(args["own_system_id"] as number, args["system_id"] as number | undefined),
    settleMs: settle === undefined ? undefined : durationMs(settle as string | number),
    rate: rate === undefined ? undefined : rateOf(rate as string | number),
    takeover: args["takeover"] === true,
    signingKey: args["signing_key"] as string | undefined,
  };
}

function parseUrl(text: string): LinkUrl {
  const [, scheme, rest = ""] = /^([a-z]+):\/\/(.*)$/s.exec(text) ?? [];
  if (scheme === "serial") return parseSerial(text, rest);
  if (scheme !== "udp" && scheme !== "udpout" && scheme !== "tcp") {
    throw invalid("url", `Argument "url" names no link: "${text}"`, URL_HINT);
  }
  const [, bracketed, name, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})\/?$/.exec(rest) ?? [];
  const host = bracketed ?? name;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535) {
    throw invalid("url", `Argument "url" has no address and port: "${text}"`, URL_HINT);
  }
  return { kind: scheme, text, host, port };
}

function parseSerial(text: string, rest: string): SerialUrl {
  const [path = "", query = ""] = rest.split("?", 2);
  const options = new URLSearchParams(query);
  const baud = options.has("baud") ? Number(options.get("baud")) : BAUD_DEFAULT;
  // deno-lint-ignore no-control-regex
  if (!/^\/[^\u0000-\u001f]+$/.test(path) || path.split("/").includes("..")) {
    throw invalid("url", `Argument "url" names no serial port: "${text}"`, URL_HINT);
  }
  if (!Number.isInteger(baud) || baud < 1200 || baud > 4_000_000) {
    throw invalid("url", `Argument "url" has a wrong baud rate: "${options.get("baud")}"`, URL_HINT);
  }
  const unknown = [...options.keys()].find((key) => key !== "baud" && key !== "rtscts");
  if (unknown !== undefined) throw invalid("url", `Argument "url" has an unknown option: "${unknown}"`, URL_HINT);
  return { kind: "serial", text, path, baud, hasFlowControl: /^(1|true)$/.test(options.get("rtscts") ?? "") };
}

function rootOf(root: string | undefined): string | undefined {
  if (root === undefined) return undefined;
  // deno-lint-ignore no-control-regex
  if (root === "" || /[\u0000-\u001f]/.test(root) || root.split("/").includes("..")) {
    throw invalid("root", `Argument "root" is no directory: "${root}"`, 'Such as "/fs/microsd/log" or "/APM/LOGS"');
  }
  return root.length > 1 ? root.replace(/\/+$/, "") : root;
}

function ownSystemId(own: number, vehicle: number | undefined): number {
  if (own === vehicle) {
    throw invalid("own_system_id", 'Argument "own_system_id" is that of the vehicle', "Leave it out: 245 is used");
  }
  return own;
}

const SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600 };

function durationMs(value: string | number): number {
  const [, digits, unit = "s"] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/.exec(String(value).trim()) ?? [];
  const seconds = SECONDS[unit === "" ? "s" : unit];
  if (digits === undefined || seconds === undefined || Number(digits) * seconds > 3600) {
    throw invalid("settle_after_disarm", `Argument "settle_after_disarm" is no duration: "${value}"`, 'Such as "20s"');
  }
  return Number(digits) * seconds * 1000;
}

const BYTES: Readonly<Record<string, number>> = { "": 1, b: 1, kb: 1000, kib: 1024, mb: 1e6, mib: 1024 * 1024 };

function rateOf(value: string | number): number {
  const [, digits, unit = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]*)(?:\/s)?$/i.exec(String(value).trim()) ?? [];
  const bytes = Number(digits) * (BYTES[unit.toLowerCase()] ?? NaN);
  if (!(bytes >= 100)) {
    throw invalid("rate", `Argument "rate" is no rate of 100 bytes a second or more: "${value}"`, 'Such as "20KiB/s"');
  }
  return bytes;
}

function invalid(name: string, message: string, hint: string): DriverError {
  return new DriverError("invalid_config", message, { pointer: `/${name}`, hint });
}
