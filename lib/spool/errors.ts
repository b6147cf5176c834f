/** What can be wrong with the spool. */

export type SpoolErrorCode =
  /** The directory belongs to another store, or holds what is not ours. */
  | "foreign"
  /** The file can never fit. */
  | "too_large"
  /** Its disk does not do what it should: input/output errors, read-only, gone. What was asked for may work later. */
  | "unwritable";

/** An error of the spool. */
export class SpoolError extends Error {
  override readonly name = "SpoolError";
  readonly code: SpoolErrorCode;
  readonly hint: string | undefined;

  constructor(code: SpoolErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }
}

/** What a disk says that does not do its work now; Linux numbers for errors that Deno gives no name. */
const DISK_TROUBLE: Record<string, string> = {
  EPERM: "1",
  EIO: "5",
  ENXIO: "6",
  EACCES: "13",
  ENODEV: "19",
  EROFS: "30",
  ESTALE: "116",
};

/** The words of a failed call when they speak of the disk and not of one file; `undefined` for any other error. */
export function diskTrouble(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as { code?: unknown };
  const number = /\(os error (\d+)\)/.exec(error.message)?.[1];
  const isTrouble = typeof code === "string" ? Object.hasOwn(DISK_TROUBLE, code) : number !== undefined &&
    Object.values(DISK_TROUBLE).includes(number);
  return isTrouble ? error.message : undefined;
}

/** Whether a failed write means that the disk is full (ENOSPC, EDQUOT). */
export function isNoSpace(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "ENOSPC" || code === "EDQUOT") return true;
  return error instanceof Error && /os error (28|122)\b/.test(error.message);
}
