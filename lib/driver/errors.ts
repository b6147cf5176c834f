/**
 * Errors of the driver contract. The code alone decides what the engine does; the message and the hint are for people.
 */

/**
 * What went wrong, named for what the engine does next (see `plugins/README.md`, "Error codes").
 *
 * `broken` is made by the host only: the plugin process died, hung or could not be started.
 */
export type ErrorCode =
  | "invalid_config"
  | "unsupported"
  | "denied"
  | "unavailable"
  | "held"
  | "not_found"
  | "changed"
  | "corrupt"
  | "rejected"
  | "failed"
  | "no_space"
  | "uncertain"
  | "broken"
  | "cancelled";

/** Every code of the contract; any other counts as `failed`. */
export const ERROR_CODES: readonly ErrorCode[] = [
  "invalid_config",
  "unsupported",
  "denied",
  "unavailable",
  "held",
  "not_found",
  "changed",
  "corrupt",
  "rejected",
  "failed",
  "no_space",
  "uncertain",
  "broken",
  "cancelled",
];

/** The part of an error that travels as `error.data` of a JSON-RPC response. */
export interface ErrorDetails {
  /** `"file"` narrows `denied` to the one file; absent, the code speaks of the device. */
  scope?: "file";
  /** What the operator can do, as a command where possible. */
  hint?: string;
  /** JSON pointer of the argument that is wrong, for `invalid_config`. */
  pointer?: string;
  /** When to ask again, milliseconds from now. */
  retryAfterMs?: number;
  /** Opaque state up to 4 KiB that is given back on the next `upload` and `confirm` of the same delivery. */
  resume?: unknown;
}

/** An error of a device, as a driver throws it and as the engine catches it. */
export class DriverError extends Error {
  override readonly name = "DriverError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails & { cause?: unknown } = {}) {
    const { cause, ...rest } = details;
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = rest;
  }
}

/** The error as a `DriverError`; one that a driver did not name becomes `failed`. */
export function asDriverError(error: unknown): DriverError {
  if (error instanceof DriverError) return error;
  if (error instanceof DOMException && error.name === "AbortError") {
    return new DriverError("cancelled", "Call is cancelled", { cause: error });
  }
  return new DriverError("failed", error instanceof Error ? error.message : String(error), { cause: error });
}

const unsent = new WeakSet<DriverError>();

/** Marks an error as one of a call that never reached the plugin, and returns it. */
export function markUnsent(error: DriverError): DriverError {
  unsent.add(error);
  return error;
}

/** Whether the call never reached the plugin: it waits for its restart, or could not be started. */
export function isUnsent(error: DriverError): boolean {
  return unsent.has(error);
}

/** Errors of the host's own about an answer: the causes of what they became. */
const BREACHES: readonly unknown[] = ["AnswerError", "BadAnswer"];

/** Whether the plugin failed, and not the device or the file: it died, or what it answered breaks the contract. */
export function isPluginFailure(error: DriverError): boolean {
  return error.code === "broken" || BREACHES.includes((error.cause as { name?: unknown } | undefined)?.name);
}

/** Signals by which an operator, a service manager or the kernel (out of memory) ends a process. */
const OUTSIDE_SIGNALS: readonly unknown[] = ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"];

/**
 * Whether a `broken` came of a plugin that somebody else killed: then the file that was moved is hardly to blame. The
 * host puts how the process ended into the error's cause.
 */
export function isKilledFromOutside(error: DriverError): boolean {
  const death = error.cause as { signal?: unknown; killedByUs?: unknown } | undefined;
  return error.code === "broken" && death?.killedByUs === false && OUTSIDE_SIGNALS.includes(death.signal);
}
