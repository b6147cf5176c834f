/** `ca`: authorities that a server may be signed by, as a PEM file. */
import { DriverError } from "../../lib/driver/mod.ts";

/**
 * The text of the PEM file at `path`.
 * @throws {DriverError} `invalid_config` at `/ca` when it cannot be read or holds no certificate
 */
export function readCertificates(path: string): string {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw invalid(`Cannot read "${path}": ${error instanceof Error ? error.message : error}`);
  }
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw invalid(`File "${path}" holds no certificate in PEM form`);
}

function invalid(message: string): DriverError {
  return new DriverError("invalid_config", message, { pointer: "/ca" });
}
