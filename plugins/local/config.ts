/** Arguments of the `local` driver. */
import { DriverError } from "../../lib/driver/mod.ts";

export interface LocalConfig {
  /** The device's root, absolute. */
  dir: string;
}

/**
 * What `args` mean; touches nothing.
 * @throws {DriverError} `invalid_config`
 */
export function parseConfig(args: Record<string, unknown>): LocalConfig {
  const { dir } = args;
  if (typeof dir !== "string" || dir === "") throw invalid('Argument "dir" must name a directory');
  if (dir.includes("\0")) throw invalid('Argument "dir" holds a NUL character');
  // The host made it absolute: what is left relative would mean another place in each process.
  if (!dir.startsWith("/")) throw invalid(`Argument "dir" must be an absolute path: "${dir}"`);
  const trimmed = dir.replace(/\/+$/, "");
  return { dir: trimmed === "" ? "/" : trimmed };
}

function invalid(message: string): DriverError {
  return new DriverError("invalid_config", message, { pointer: "/dir", hint: 'Set "dir" to an absolute path' });
}
