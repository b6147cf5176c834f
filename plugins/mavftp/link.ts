/** What every way to the vehicle has, and how its errors are told. */
import { DriverError } from "../../lib/driver/mod.ts";
import type { Port } from "./station.ts";

/** An open way. */
export interface Link extends Port {
  /** For messages. */
  readonly name: string;
  /** Without a flow control that works, so that long bursts overrun it: a UART, not USB. */
  readonly isUart: boolean;
  close(): Promise<void>;
}

export interface LinkEvents {
  onBytes: (bytes: Uint8Array) => void;
  /** The link is gone and will not come back by itself. */
  onClosed: (error: DriverError) => void;
}

/** Why a link cannot be opened or was lost, as the contract's error. */
export function linkError(action: string, error: unknown): DriverError {
  if (error instanceof DriverError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const code = (error as { code?: string }).code;
  if (error instanceof Deno.errors.NotCapable) {
    return new DriverError("invalid_config", `Cannot ${action}: ${text}`, { pointer: "/url", cause: error });
  }
  if (error instanceof Deno.errors.PermissionDenied || code === "EACCES" || code === "EPERM") {
    return new DriverError("denied", `Cannot ${action}: ${text}`, {
      hint: "Add the user that runs filesync to the group of the serial ports: sudo adduser <user> dialout",
      cause: error,
    });
  }
  return new DriverError("unavailable", `Cannot ${action}: ${text}`, { cause: error });
}
