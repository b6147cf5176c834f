/**
 * The root of the `local` driver: a directory with a fixed path. A target's is made once; one that was a mount point
 * is unavailable while nothing is mounted on it.
 */
import { DriverError, type Role } from "../../lib/driver/mod.ts";
import { isAbsent, NO_DIRECTORY_SYNC, osCode, toDriverError } from "./os_errors.ts";
import { Root, type RootIdentity } from "./root.ts";

/** What the driver remembers of a root between two lives of its process. */
interface RootMemory {
  dir: string;
  /** Whether the root was a mount point. */
  mounted: boolean;
}

export class LocalRoot extends Root {
  readonly dir: string;
  readonly #role: Role;
  readonly #memoryFile: string;
  #memory: RootMemory | undefined;
  #isMemoryRead = false;
  #seesParent = true;

  constructor(dir: string, role: Role, stateDir: string) {
    super();
    this.dir = dir;
    this.#role = role;
    this.#memoryFile = `${stateDir}/root.json`;
  }

  /**
   * Makes sure that the root is there. A target's root is made at its first use when its parent exists, and never
   * again: later a missing one means that the disk below it is gone.
   * @throws {DriverError} `unavailable`, or `denied`
   */
  override require(): RootIdentity {
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
