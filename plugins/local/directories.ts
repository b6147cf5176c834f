/** Directories of a target: made one by one, fsynced in groups. */
import { DriverError, parentOf } from "../../lib/driver/mod.ts";
import { isAbsent, isPresent, NO_DIRECTORY_SYNC, osCode } from "./os_errors.ts";
import type { Root } from "./root.ts";

/** Directories whose names are remembered as durable; more are fsynced again. */
const DURABLE_MAX = 10_000;
/** Directories on the way to one file that are fsynced at once. */
const SYNCS_AT_ONCE = 4;

/**
 * Fsyncs directories. Calls that come while one is under way share the next: an fsync proves all that was done before
 * it began, and nothing after.
 */
export class DirectorySync {
  /** Directories below the root that this process knows to survive a loss of power. */
  readonly #durable = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #next = new Map<string, Promise<void>>();

  /**
   * Resolves when the name of `path` and of every directory above it would survive a loss of power. A directory that is
   * there may be another upload's, or a killed process's, that nobody has fsynced yet.
   * @param rest called between some of them: to open a directory 1,400 levels deep takes Deno 0.2 s, for all of its
   *   names are looked at for the sake of permissions
   */
  async syncNames(root: Root, path: string, rest: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    const syncs = [() => this.sync(root.join(parentOf(path)))];
    for (let directory = parentOf(path); directory !== ""; directory = parentOf(directory)) {
      if (this.#durable.has(directory)) continue;
      const made = directory;
      syncs.push(() => this.sync(root.join(parentOf(made))).then(() => this.#remember(made)));
    }
    for (let at = 0; at < syncs.length; at += SYNCS_AT_ONCE) {
      if (at > 0) await rest();
      await Promise.all(syncs.slice(at, at + SYNCS_AT_ONCE).map((sync) => sync()));
    }
  }

  /** Resolves when `directory`, or the nearest one above it that is there, would survive a loss of power as it is now. */
  async syncWhatIsThere(root: Root, directory: string): Promise<void> {
    for (let at = directory;; at = parentOf(at)) {
      try {
        return await this.sync(root.join(at));
      } catch (error) {
        if (at === "" || !isAbsent(error)) throw error;
      }
    }
  }

  /** These directories were made just now. */
  noteMade(directories: string[]): void {
    for (const directory of directories) this.#durable.delete(directory);
  }

  #remember(directory: string): void {
    if (this.#durable.size >= DURABLE_MAX) this.#durable.clear();
    this.#durable.add(directory);
  }

  /** Resolves when everything that was done in `directory` so far would survive a loss of power. */
  sync(directory: string): Promise<void> {
    const running = this.#running.get(directory);
    if (running === undefined) return this.#start(directory);
    let next = this.#next.get(directory);
    if (next === undefined) {
      const start = () => {
        this.#next.delete(directory);
        return this.#start(directory);
      };
      next = running.then(start, start);
      this.#next.set(directory, next);
    }
    return next;
  }

  #start(directory: string): Promise<void> {
    const run = syncDirectory(directory).finally(() => {
      if (this.#running.get(directory) === run) this.#running.delete(directory);
    });
    this.#running.set(directory, run);
    return run;
  }
}

async function syncDirectory(directory: string): Promise<void> {
  using file = Deno.openSync(directory);
  try {
    await file.sync();
  } catch (error) {
    if (!NO_DIRECTORY_SYNC.includes(osCode(error) ?? "")) throw error;
  }
}

/**
 * Makes the directories above `path` that are missing; returns those that it made, outermost first.
 * @throws {DriverError} `rejected` when one of them is a symbolic link or a file
 */
export function makeParents(root: Root, path: string): string[] {
  const directory = parentOf(path);
  if (directory === "") return [];
  const made: string[] = [];
  const parts = directory.split("/");
  for (let count = 1; count <= parts.length; count++) {
    const part = parts.slice(0, count).join("/");
    const wanted = root.join(part);
    try {
      if (make(wanted)) {
        made.push(part);
        requireOwn(root, wanted);
      }
    } catch (error) {
      throw root.explain(error, `Cannot make directory "${part}"`, {
        ...(count === 1 ? {} : { scope: "file" }),
        deniedHint: `chmod u+rwx "${root.join(parentOf(part))}"`,
      });
    }
    if (Deno.lstatSync(wanted).isDirectory) continue;
    throw new DriverError("rejected", `Cannot use "${part}" on the target: it is no directory`, {
      hint: "Links are not followed. Rename it, or set the target's path to another directory",
    });
  }
  return made;
}

/** Takes a directory away again that was made below another root: the disk was unmounted this very moment. */
function requireOwn(root: Root, directory: string): void {
  try {
    root.requireOwn(Deno.lstatSync(directory));
  } catch (error) {
    if (!isAbsent(error)) Deno.removeSync(directory);
    throw error;
  }
}

/** Makes a directory unless something has the name; returns whether it did. */
function make(directory: string): boolean {
  try {
    Deno.lstatSync(directory);
    return false;
  } catch (error) {
    if (osCode(error) !== "ENOENT") throw error;
  }
  try {
    Deno.mkdirSync(directory);
    return true;
  } catch (error) {
    if (isPresent(error)) return false;
    throw error;
  }
}
