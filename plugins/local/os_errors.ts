/** What the operating system's errors mean in the driver contract: the one table of this driver. */
import { DriverError, type ErrorCode } from "../../lib/driver/mod.ts";

/** `ENOENT`, `EIO`, … of an error that Deno threw, or `undefined` when it is none of the system's. */
export function osCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as { code?: unknown };
  if (typeof code === "string") return code;
  if (error instanceof Deno.errors.NotCapable) return "EACCES";
  const number = /\(os error (\d+)\)/.exec(error.message)?.[1];
  return number === undefined ? undefined : ERRNO[number];
}

/** Linux numbers, the same on x86_64 and arm64, for errors that come without a name. */
const ERRNO: Record<string, string> = {
  1: "EPERM",
  2: "ENOENT",
  5: "EIO",
  6: "ENXIO",
  13: "EACCES",
  17: "EEXIST",
  18: "EXDEV",
  19: "ENODEV",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  27: "EFBIG",
  28: "ENOSPC",
  30: "EROFS",
  31: "EMLINK",
  36: "ENAMETOOLONG",
  38: "ENOSYS",
  39: "ENOTEMPTY",
  40: "ELOOP",
  74: "EBADMSG",
  84: "EILSEQ",
  95: "ENOTSUP",
  107: "ENOTCONN",
  110: "ETIMEDOUT",
  112: "EHOSTDOWN",
  113: "EHOSTUNREACH",
  116: "ESTALE",
  117: "EUCLEAN",
  122: "EDQUOT",
  123: "ENOMEDIUM",
};

/** Nothing has this name, or a part of its path is no directory. */
export function isAbsent(error: unknown): boolean {
  const code = osCode(error);
  return code === "ENOENT" || code === "ENOTDIR";
}

export function isPresent(error: unknown): boolean {
  return osCode(error) === "EEXIST";
}

/** The disk or its filesystem is damaged at this place. */
export function isDamage(error: unknown): boolean {
  return ["EIO", "EUCLEAN", "EBADMSG"].includes(osCode(error) ?? "");
}

/** The filesystem has no hard links, or refuses this one: FAT, exFAT, some shares. */
export function isWithoutLinks(error: unknown): boolean {
  return ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EINVAL"].includes(osCode(error) ?? "");
}

/** What FUSE filesystems and shares say that cannot fsync a directory: they have nothing better to offer. */
export const NO_DIRECTORY_SYNC: readonly string[] = ["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"];

interface Meaning {
  code: ErrorCode;
  says: string;
  hint?: string;
}

const DAMAGED_HINT = "Unmount the disk and let fsck repair it; what the kernel says: dmesg | tail";

const MEANINGS: Record<string, Meaning> = {
  ENOENT: { code: "not_found", says: "it is not there" },
  ENOTDIR: { code: "not_found", says: "a part of its path is no directory" },
  EACCES: { code: "denied", says: "permission denied" },
  EPERM: { code: "denied", says: "operation not permitted" },
  // No rights would help, and it ends as a full disk does: nothing can be written until somebody does something.
  EROFS: {
    code: "no_space",
    says: "the filesystem is read-only",
    hint: "Mount the filesystem for writing; a disk with errors is made read-only: dmesg | tail",
  },
  ENOSPC: { code: "no_space", says: "no space left", hint: "Make room on this disk: df -h shows how much is missing" },
  EDQUOT: { code: "no_space", says: "the disk quota is used up", hint: "Make room, or raise the quota: quota -s" },
  ENAMETOOLONG: {
    code: "rejected",
    says: "the name is too long for the filesystem",
    hint: 'Shorten the name, or set "path" of the job to a shorter template',
  },
  EILSEQ: { code: "rejected", says: "the filesystem cannot represent the name", hint: "Rename the file" },
  EINVAL: { code: "rejected", says: "the filesystem refuses the name", hint: "Rename the file" },
  EFBIG: {
    code: "rejected",
    says: "the file is too large for the filesystem",
    hint: "Use a filesystem without this limit: FAT takes files up to 4 GiB",
  },
  ENXIO: { code: "unavailable", says: "the disk is gone" },
  ENODEV: { code: "unavailable", says: "the disk is gone" },
  ENOMEDIUM: { code: "unavailable", says: "no medium" },
  ENOTCONN: { code: "unavailable", says: "the share is not connected" },
  ESTALE: { code: "unavailable", says: "the share was replaced" },
  ETIMEDOUT: { code: "unavailable", says: "the share does not answer" },
  EHOSTDOWN: { code: "unavailable", says: "the share's server is down" },
  EHOSTUNREACH: { code: "unavailable", says: "the share's server cannot be reached" },
  EBADMSG: { code: "failed", says: "the filesystem is damaged there (checksum)", hint: DAMAGED_HINT },
  EUCLEAN: { code: "failed", says: "the filesystem is damaged there", hint: DAMAGED_HINT },
  EIO: { code: "failed", says: "the disk reports an input/output error", hint: "Look at: dmesg | tail" },
};

export interface MeaningOptions {
  /** Whether a refusal concerns this file only, not the device. */
  scope?: "file";
  /** What to do when permission is denied. */
  deniedHint?: string;
}

/**
 * `error` as the contract's, with `action` in front of what the system said. `DriverError` and aborts pass unchanged.
 * @param action what was wanted, like `Cannot read "a.ulg"`
 */
export function toDriverError(error: unknown, action: string, options: MeaningOptions = {}): unknown {
  if (error instanceof DriverError || (error instanceof DOMException && error.name === "AbortError")) return error;
  const meaning = MEANINGS[osCode(error) ?? ""];
  if (meaning === undefined) {
    const words = error instanceof Error ? error.message : String(error);
    return new DriverError("failed", `${action}: ${words}`, { cause: error });
  }
  const hint = meaning.code === "denied" ? options.deniedHint ?? meaning.hint : meaning.hint;
  return new DriverError(meaning.code, `${action}: ${meaning.says}`, {
    ...(hint === undefined ? {} : { hint }),
    ...(meaning.code === "denied" && options.scope !== undefined ? { scope: options.scope } : {}),
    cause: error,
  });
}
