/** What can be wrong with the spool. */

export type SpoolErrorCode =
  /** The directory belongs to another store, or holds what is not ours. */
  | "foreign"
  /** The file can never fit. */
  | "too_large";

/** An error of the spool. */
export class SpoolError extends Error {
  override readonly name = "SpoolError";
  readonly code: SpoolErrorCode;
  readonly hint: string | undefined;

  constructor(code: SpoolErrorCode, message: string, options: { hint?: string } = {}) {
    super(message);
    this.code = code;
    this.hint = options.hint;
  }
}

/** Whether a failed write means that the disk is full (ENOSPC, EDQUOT). */
export function isNoSpace(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "ENOSPC" || code === "EDQUOT") return true;
  return error instanceof Error && /os error (28|122)\b/.test(error.message);
}
