/** The arguments of an `ftp` device, checked for meaning; types and defaults are the manifest's. */
import { DriverError } from "../../lib/driver/mod.ts";
import type { Openssl } from "./openssl.ts";

/** The arguments as the driver uses them. */
export interface FtpConfig {
  host: string;
  port: number;
  user: string;
  passwd: string;
  secure: false | "explicit" | "implicit";
  /** Absolute, or relative to the login directory; `""` is the login directory. */
  dir: string;
  connections: number;
  ca?: string;
  /** SHA-256 of the certificate, lower-case hex. */
  pin?: string;
}

/**
 * The configuration in `args`. Touches no network.
 * @param loadTls gives OpenSSL, which pins need
 * @throws {DriverError} `invalid_config` with the JSON pointer of what is wrong
 */
export function parseConfig(args: Record<string, unknown>, loadTls: () => Openssl | null): FtpConfig {
  const secure = args["secure"] === true ? "explicit" : args["secure"] as FtpConfig["secure"];
  const config: FtpConfig = {
    host: hostOf(args["host"] as string),
    port: args["port"] as number | undefined ?? (secure === "implicit" ? 990 : 21),
    user: oneLine("user", args["user"] as string),
    passwd: oneLine("passwd", args["passwd"] as string),
    secure,
    dir: directoryOf(oneLine("dir", args["dir"] as string)),
    connections: args["connections"] as number,
  };
  if (args["ca"] !== undefined) config.ca = certificateFile(args["ca"] as string, secure);
  if (args["pin"] !== undefined) config.pin = pinOf(args["pin"] as string, secure, loadTls);
  return config;
}

function hostOf(host: string): string {
  if (host.includes("://") || /[\s/@]/.test(host)) {
    throw invalid(
      "host",
      `Argument "host" is no name or address: "${host}"`,
      'Write only the name, such as "ftp.example.org"',
    );
  }
  return host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
}

/** A line break in an argument would end the command that carries it and start another. */
function oneLine(name: string, value: string): string {
  // deno-lint-ignore no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(value)) throw invalid(name, `Argument "${name}" holds a control character`);
  return value;
}

function directoryOf(dir: string): string {
  if (dir.split("/").includes("..")) throw invalid("dir", 'Argument "dir" holds ".."');
  return dir.length > 1 ? dir.replace(/\/+$/, "") || "/" : dir;
}

function certificateFile(path: string, secure: FtpConfig["secure"]): string {
  if (secure === false) throw withoutTls("ca");
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw invalid("ca", `Cannot read "${path}": ${error instanceof Error ? error.message : error}`);
  }
  if (!text.includes("-----BEGIN CERTIFICATE-----")) {
    throw invalid("ca", `File "${path}" holds no certificate in PEM form`);
  }
  return path;
}

function pinOf(pin: string, secure: FtpConfig["secure"], loadTls: () => Openssl | null): string {
  if (secure === false) throw withoutTls("pin");
  const hex = pin.replaceAll(":", "").replace(/^sha256[-/]/i, "").toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(hex)) {
    throw invalid(
      "pin",
      'Argument "pin" is no SHA-256 in hex: expected 64 digits',
      "Print it with: openssl x509 -in server.pem -noout -fingerprint -sha256",
    );
  }
  // Deno's own TLS does not show the certificate that a server sent.
  if (loadTls() === null) {
    throw invalid(
      "pin",
      'Argument "pin" needs OpenSSL 3 on this machine',
      'Install libssl3, or name the signer in "ca"',
    );
  }
  return hex;
}

function withoutTls(name: string): DriverError {
  return invalid(name, `Argument "${name}" has no meaning without TLS`, 'Set "secure" to "explicit" or "implicit"');
}

function invalid(name: string, message: string, hint?: string): DriverError {
  return new DriverError("invalid_config", message, { pointer: `/${name}`, ...(hint === undefined ? {} : { hint }) });
}
