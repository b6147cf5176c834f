/** The arguments of a `webdav` device, checked for meaning; types and defaults are the manifest's. */
import { DriverError } from "../../lib/driver/mod.ts";
import { readCertificates } from "../http/certificates.ts";

/** Servers with habits of their own. */
export type ServerKind = "nextcloud" | "yandex" | "none";

/** The arguments as the driver uses them. */
export interface WebdavConfig {
  /** The device's root, with a slash at the end. */
  root: URL;
  /** The server's own name for `root`, for `Destination`. */
  destination: URL;
  kind: ServerKind;
  authorization?: string;
  connections: number;
  /** Certificates of authorities, PEM. */
  ca?: string;
  /** SHA-256 of the certificate, lower-case hex. */
  pin?: string;
}

/**
 * The configuration in `args`. Touches no network.
 * @throws {DriverError} `invalid_config` with the JSON pointer of what is wrong
 */
export function parseConfig(args: Record<string, unknown>): WebdavConfig {
  const host = parseUrl("host", args["host"] as string);
  const dir = parseDir(args["dir"] as string);
  const destination = args["destination"] === undefined ? host : parseUrl("destination", args["destination"] as string);
  const config: WebdavConfig = {
    root: below(host, dir),
    destination: below(destination, dir),
    kind: (args["preset"] as ServerKind | undefined) ?? kindOf(host),
    connections: args["connections"] as number,
  };
  const { user, passwd, token } = args as { user?: string; passwd: string; token?: string };
  if (token !== undefined && user !== undefined) {
    throw invalid("/token", 'Arguments "token" and "user" exclude each other');
  }
  if (token !== undefined) config.authorization = `Bearer ${oneLine("token", token)}`;
  if (user !== undefined) {
    if (user.includes(":")) throw invalid("/user", 'Argument "user" holds a colon, which no login name can');
    const login = new TextEncoder().encode(`${oneLine("user", user)}:${oneLine("passwd", passwd)}`);
    config.authorization = `Basic ${login.toBase64()}`;
  }
  if (args["ca"] !== undefined) config.ca = certificatesOf(args["ca"] as string, host);
  if (args["pin"] !== undefined) config.pin = parsePin(args["pin"] as string, host);
  return config;
}

function parseUrl(name: string, text: string): URL {
  const hint = 'Write it whole, such as "https://cloud.example/remote.php/dav/files/pi"';
  // "webdav.yandex.ru" alone would be a path, "cloud:8080" a scheme.
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`;
  if (!URL.canParse(whole)) throw invalid(`/${name}`, `Argument "${name}" is no address: "${text}"`, hint);
  const url = new URL(whole.replace(/^dav(s?):/i, "http$1:"));
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw invalid(`/${name}`, `Argument "${name}" begins with "${url.protocol}": expected http or https`, hint);
  }
  if (url.username !== "" || url.password !== "") {
    throw invalid(
      `/${name}`,
      `Argument "${name}" holds a login, which would be shown in logs`,
      'Use "user" and "passwd"',
    );
  }
  if (url.search !== "" || url.hash !== "") throw invalid(`/${name}`, `Argument "${name}" holds "?" or "#"`, hint);
  return url;
}

function parseDir(dir: string): string[] {
  const parts = oneLine("dir", dir).split("/").filter((part) => part !== "");
  if (parts.includes("..") || parts.includes(".")) throw invalid("/dir", 'Argument "dir" holds "." or ".."');
  return parts;
}

function below(base: URL, parts: string[]): URL {
  const url = new URL(base);
  url.pathname = [url.pathname.replace(/\/+$/, ""), ...parts.map(encodeURIComponent), ""].join("/");
  return url;
}

function kindOf({ hostname, pathname }: URL): ServerKind {
  if (/^webdav\.yandex\.[a-z.]+$/.test(hostname)) return "yandex";
  return /\/remote\.php\/(?:dav\/files\/[^/]+|webdav)(?:\/|$)/.test(pathname) ? "nextcloud" : "none";
}

function certificatesOf(path: string, url: URL): string {
  if (url.protocol !== "https:") throw withoutTls("ca");
  return readCertificates(path);
}

function parsePin(pin: string, url: URL): string {
  if (url.protocol !== "https:") throw withoutTls("pin");
  const hex = pin.replaceAll(":", "").replace(/^sha256[-/]/i, "").toLowerCase();
  if (/^[0-9a-f]{64}$/.test(hex)) return hex;
  throw invalid(
    "/pin",
    'Argument "pin" is no SHA-256 in hex: expected 64 digits',
    "Print it with: openssl x509 -in server.pem -noout -fingerprint -sha256",
  );
}

function oneLine(name: string, value: string): string {
  // deno-lint-ignore no-control-regex
  if (!/[\u0000-\u001f\u007f]/.test(value)) return value;
  throw invalid(`/${name}`, `Argument "${name}" holds a control character`);
}

function withoutTls(name: string): DriverError {
  return invalid(`/${name}`, `Argument "${name}" has no meaning without TLS`, 'Begin "host" with https');
}

function invalid(pointer: string, message: string, hint?: string): DriverError {
  return new DriverError("invalid_config", message, { pointer, ...(hint === undefined ? {} : { hint }) });
}
