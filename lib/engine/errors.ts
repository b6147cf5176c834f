/** How a run can fail as a whole, with the exit code that tells it. */
import { SpoolError } from "../spool/mod.ts";
import { StateError, storeExists } from "../state/mod.ts";
import { EXIT } from "./exit_codes.ts";

export { EXIT } from "./exit_codes.ts";

/** A failure that ends the program. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  readonly exitCode: number;
  readonly hint: string | undefined;

  constructor(exitCode: number, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = exitCode;
    this.hint = options.hint;
  }
}

/** A failure of the store or the spool as one that ends the program; any other as it is. */
export function asEngineError(error: unknown): unknown {
  if (error instanceof StateError || error instanceof SpoolError) {
    const options = { cause: error, ...(error.hint === undefined ? {} : { hint: error.hint }) };
    return new EngineError(EXIT.state, error.message, options);
  }
  return error;
}

/**
 * Whether there is a store at `path`.
 * @throws {EngineError} 7 when nobody can tell: a folder that is closed to us is no sign that nothing has run yet
 */
export function isStoreThere(path: string): boolean {
  try {
    return storeExists(path);
  } catch (error) {
    throw asEngineError(error);
  }
}
