/** How a run can fail as a whole, with the exit code that tells it. */
import { SpoolError } from "../spool/mod.ts";
import { StateError } from "../state/mod.ts";

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

/** Exit codes of the contract. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  config: 3,
  attention: 4,
  unavailable: 5,
  denied: 6,
  state: 7,
  plugin: 8,
} as const;

/** A failure of the store or the spool as one that ends the program; any other as it is. */
export function asEngineError(error: unknown): unknown {
  if (error instanceof StateError || error instanceof SpoolError) {
    const options = { cause: error, ...(error.hint === undefined ? {} : { hint: error.hint }) };
    return new EngineError(EXIT.state, error.message, options);
  }
  return error;
}
