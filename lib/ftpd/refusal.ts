/** Replies that say no: the codes of RFC 959 section 4.2 and what of the file system they stand for. */

/** Ends a command with a reply of code 4xx or 5xx. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: number;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

const BY_SYSTEM_CODE: Record<string, [code: number, message: string]> = {
  ENOENT: [550, "No such file or directory"],
  ENOTDIR: [550, "Not a directory"],
  EISDIR: [550, "Is a directory"],
  EEXIST: [550, "File exists"],
  ENOTEMPTY: [550, "Directory not empty"],
  EACCES: [550, "Permission denied"],
  EPERM: [550, "Permission denied"],
  EROFS: [550, "Read-only file system"],
  ELOOP: [550, "Too many symbolic links"],
  EXDEV: [550, "Not on the same file system"],
  EBUSY: [450, "File is busy"],
  ENAMETOOLONG: [553, "File name too long"],
  ENOSPC: [452, "No space left on device"],
  EDQUOT: [552, "Storage quota exceeded"],
  EFBIG: [552, "File too large"],
  EMFILE: [451, "Too many open files"],
  ENFILE: [451, "Too many open files"],
  EIO: [451, "Input/output error"],
};

/** `error` as a reply; one that is no answer of the file system becomes 451 with its words. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const code = (error as { code?: unknown } | null)?.code;
  const known = typeof code === "string" ? BY_SYSTEM_CODE[code] : undefined;
  if (known !== undefined) return new Refusal(known[0], known[1], { cause: error });
  return new Refusal(451, error instanceof Error ? error.message : String(error), { cause: error });
}
