/**
 * The device's root directory, and every way from a path of the contract to one of the system. Promises that a root
 * that vanished is `unavailable` and never an empty directory, and that no path leaves the root.
 */
import { DriverError, parentOf, pathProblem, type Role } from "../../lib/driver/mod.ts";
import { isAbsent, NO_DIRECTORY_SYNC, osCode, toDriverError } from "./os_errors.ts";

/** What the driver remembers of a root between two lives of its process. */
interface RootMemory {
  dir: string;
  /** Whether the root was a mount point. */
  mounted: boolean;
}

/** Which directory a path led to. */
export interface RootIdentity {
  dev: number;
  ino: number | null;
}

export class Root {
  readonly dir: string;
  readonly #role: Role;
  readonly #memoryFile: string;
  #memory: RootMemory | undefined;
  #isMemoryRead = false;
  #seesParent = true;

  constructor(dir: string, role: Role, stateDir: string) {
    this.dir = dir;
    this.#role = role;
    this.#memoryFile = `${stateDir}/root.json`;
  }

  /**
   * Makes sure that the root is there. A target's root is made at its first use when its parent exists, and never
   * again: later a missing one means that the disk below it is gone.
   * @throws {DriverError} `unavailable`, or `denied`
   */
  require(): RootIdentity {
    let info: Deno.FileInfo;
    try {
      info = this.#look();
    } catch (error) {
      throw this.#explainRoot(error);
    }
    if (!info.isDirectory) {
      throw new DriverError("unavailable", `"${this.dir}" is no directory`, { hint: this.#makeHint() });
    }
    this.#watchMount(info);
    return { dev: info.dev, ino: info.ino };
  }

  /** Whether the root is still the directory that it was. */
  requireSame(before: RootIdentity): void {
    const now = this.require();
    if (now.dev === before.dev && now.ino === before.ino) return;
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
    return toDriverError(error, action, options);
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

  #look(): Deno.FileInfo {
    try {
      return Deno.statSync(this.dir);
    } catch (error) {
      if (this.#role !== "target" || osCode(error) !== "ENOENT" || this.#recall() !== undefined) throw error;
      Deno.mkdirSync(this.dir);
      return Deno.statSync(this.dir);
    }
  }

  #explainRoot(error: unknown): DriverError {
    if (!isAbsent(error)) {
      const meant = toDriverError(error, `Cannot use "${this.dir}"`, {
        deniedHint: `Allow the user that runs filesync to enter it, and its parents: ls -ld "${this.dir}"`,
      });
      if (meant instanceof DriverError && (meant.code === "denied" || meant.code === "no_space")) return meant;
      const words = meant instanceof Error ? meant.message : String(meant);
      return new DriverError("unavailable", words, { cause: error });
    }
    return new DriverError("unavailable", `Directory "${this.dir}" is not there`, {
      hint: this.#makeHint(),
      cause: error,
    });
  }

  #makeHint(): string {
    return `Connect or mount what belongs there, or make it: mkdir -p "${this.dir}"`;
  }

  /** An unmounted mount point is an ordinary, empty directory: what was mounted once must stay mounted. */
  #watchMount(info: Deno.FileInfo): void {
    const mounted = this.#isMountPoint(info);
    if (this.#recall()?.mounted === true && mounted === false) {
      // The remedy below must work without a restart.
      this.#isMemoryRead = false;
      if (this.#recall()?.mounted === true) {
        throw new DriverError("unavailable", `Nothing is mounted on "${this.dir}"`, {
          hint: `Mount the disk. If it is meant to be an ordinary directory from now on: rm "${this.#memoryFile}"`,
        });
      }
    }
    const memory = this.#recall();
    const isMounted = mounted ?? memory?.mounted ?? false;
    // It may have been made just now, by us or by a process that was killed.
    if (memory === undefined && this.#role === "target") this.#syncName();
    if (memory?.mounted !== isMounted) this.#remember({ dir: this.dir, mounted: isMounted });
  }

  /** `undefined` when the permissions of this process do not reach above the root, as when run from source. */
  #isMountPoint(info: Deno.FileInfo): boolean | undefined {
    if (!this.#seesParent) return undefined;
    try {
      const real = Deno.realPathSync(this.dir);
      if (real === "/") return false;
      return Deno.statSync(real.slice(0, real.lastIndexOf("/")) || "/").dev !== info.dev;
    } catch (error) {
      if (!["EACCES", "EPERM"].includes(osCode(error) ?? "")) throw error;
      this.#seesParent = false;
      return undefined;
    }
  }

  /** Makes the root's name survive a loss of power. */
  #syncName(): void {
    let parent: Deno.FsFile;
    try {
      parent = Deno.openSync(`${this.dir}/..`);
    } catch (error) {
      // Above the root nothing may be ours to read.
      if (["EACCES", "EPERM"].includes(osCode(error) ?? "")) return;
      throw error;
    }
    try {
      parent.syncSync();
    } catch (error) {
      if (!NO_DIRECTORY_SYNC.includes(osCode(error) ?? "")) throw error;
    } finally {
      parent.close();
    }
  }

  #recall(): RootMemory | undefined {
    if (this.#isMemoryRead) return this.#memory;
    this.#memory = undefined;
    try {
      const memory = JSON.parse(Deno.readTextFileSync(this.#memoryFile)) as RootMemory;
      if (memory.dir === this.dir) this.#memory = memory;
    } catch (error) {
      // A torn file is as good as none; it is written again.
      if (!(error instanceof SyntaxError) && !isAbsent(error)) {
        throw toDriverError(error, `Cannot read "${this.#memoryFile}"`);
      }
    }
    this.#isMemoryRead = true;
    return this.#memory;
  }

  #remember(memory: RootMemory): void {
    try {
      // Synced: after a loss of power the disk may be missing, and this is what tells.
      {
        using file = Deno.openSync(`${this.#memoryFile}.new`, { write: true, create: true, truncate: true });
        file.writeSync(new TextEncoder().encode(JSON.stringify(memory)));
        file.syncSync();
      }
      Deno.renameSync(`${this.#memoryFile}.new`, this.#memoryFile);
    } catch (error) {
      throw toDriverError(error, `Cannot write "${this.#memoryFile}"`);
    }
    this.#memory = memory;
  }
}

/** `path` without what would disturb a log line. */
export function printable(path: string): string {
  // deno-lint-ignore no-control-regex
  return path.slice(0, 300).replace(/[\u0000-\u001f\u007f]/g, "\ufffd");
}
