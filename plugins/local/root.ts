/**
 * The device's root directory, and every way from a path of the contract to one of the system. Promises that a root
 * that vanished is `unavailable` and never an empty directory, and that no path leaves the root.
 */
import { DriverError, parentOf, pathProblem } from "../../lib/driver/mod.ts";
import { isDamage, osCode, toDriverError } from "./os_errors.ts";

/** Which directory a path led to. */
export interface RootIdentity {
  dev: number;
  ino: number | null;
  /** The mount that it was seen through, where that is known. */
  mountId?: bigint;
}

export abstract class Root {
  /** The root's path, absolute, without a `/` at its end. */
  abstract readonly dir: string;

  /**
   * Makes sure that the root is there.
   * @throws {DriverError} `unavailable`, or `denied`
   */
  abstract require(): RootIdentity;

  /** Makes sure that a file that was opened, or a directory that was made, is below this root and not below another. */
  requireOwn(_info: Deno.FileInfo): void {}

  /** What the system has to say of damage on the disk below, to be put behind words of our own; empty by default. */
  damageWords(): string {
    return "";
  }

  /** Whether the root is still the directory that it was. */
  requireSame(before: RootIdentity): void {
    const now = this.require();
    if (now.dev === before.dev && now.ino === before.ino && now.mountId === before.mountId) return;
    throw new DriverError("unavailable", `"${this.dir}" was mounted or replaced during the call`, {
      retryAfterMs: 1000,
    });
  }

  /**
   * The error to throw for one that the system threw: a root that is gone explains all others.
   * @param action what was wanted, like `Cannot read "a.ulg"`
   */
  explain(error: unknown, action: string, options: { scope?: "file"; deniedHint?: string } = {}): unknown {
    if (error instanceof DriverError || error instanceof DOMException) return error;
    try {
      this.require();
      // A pulled stick answers from the cache until something must be read.
      if (osCode(error) === "EIO") Deno.readDirSync(this.dir)[Symbol.iterator]().next();
    } catch (rootError) {
      return osCode(rootError) === "EIO"
        ? new DriverError("unavailable", `Cannot read "${this.dir}": the disk reports input/output errors`, {
          hint: "Look at: dmesg | tail",
          cause: error,
        })
        : rootError;
    }
    const reason = toDriverError(error, action, options);
    if (!isDamage(error) || !(reason instanceof DriverError)) return reason;
    return new DriverError(reason.code, reason.message + this.damageWords(), { ...reason.details, cause: error });
  }

  /** The system's path of `path`, whose names must have been checked. */
  join(path: string): string {
    if (path === "") return this.dir;
    return this.dir === "/" ? `/${path}` : `${this.dir}/${path}`;
  }

  /** Refuses a path that could lead out of the root by its names. */
  checkNames(path: string, code: "failed" | "rejected"): void {
    const problem = pathProblem(path);
    if (problem !== undefined) throw new DriverError(code, `Cannot use path "${printable(path)}": ${problem}`);
  }

  /**
   * Whether a directory above `path` is a symbolic link. They are not followed: what is behind one is another place.
   * @throws the system's error when a directory is missing
   */
  hasLinkAbove(path: string): boolean {
    for (let directory = parentOf(path); directory !== ""; directory = parentOf(directory)) {
      if (Deno.lstatSync(this.join(directory)).isSymlink) return true;
    }
    return false;
  }
}

/** `path` without what would disturb a log line. */
export function printable(path: string): string {
  // deno-lint-ignore no-control-regex
  return path.slice(0, 300).replace(/[\u0000-\u001f\u007f]/g, "\ufffd");
}
