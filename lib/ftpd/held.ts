/**
 * What a path led to when it was checked may have been swapped for a link before it is used. So the directory is opened
 * first, the system is asked where that is, and all is done below what is open: `/proc/self/fd/<n>` leads there, whatever
 * has its name meanwhile.
 */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { type Jail, splitVirtual } from "./paths.ts";
import { Refusal } from "./refusal.ts";

const { O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;
/** Opens without a right to list, which a directory for uploads may withhold (open(2); the same on every Linux of ours). */
const O_PATH = 0o10000000;

/** A directory as it was opened. */
export class HeldDirectory implements Disposable {
  /** Leads to it, whatever has its name meanwhile. */
  readonly path: string;
  readonly #fd: number;

  /**
   * @param real its real path
   * @throws {Refusal} 550 when it lies outside of what is served
   */
  constructor(jail: Jail, real: string) {
    this.#fd = openSync(real, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    this.path = `/proc/self/fd/${this.#fd}`;
    if (jail.virtualOf(Deno.readLinkSync(this.path)) !== undefined) return;
    closeSync(this.#fd);
    throw new Refusal(550, "No such file or directory");
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/**
 * Calls `use` with a path that leads to the name `real` in its directory as it was opened. Links are not followed on the
 * way there; whether the name itself is one is for `use` to say.
 * @throws {Refusal} 550 when the directory lies outside of what is served
 */
export async function inDirectory<T>(jail: Jail, real: string, use: (path: string) => T | Promise<T>): Promise<T> {
  const { parent, name } = splitVirtual(real);
  using directory = new HeldDirectory(jail, parent);
  return await use(`${directory.path}/${name}`);
}

/**
 * Opens a regular file by its real path, to read it from its start, or to write into it as it is, made where it is not.
 * @throws {Refusal} 550 when it is none, or lies outside of what is served
 */
export async function openFile(jail: Jail, real: string, how: "read" | "write"): Promise<Deno.FsFile> {
  return await inDirectory(jail, real, (path) => {
    // To open a named pipe would wait for its other end.
    const flags = O_NOFOLLOW | O_NONBLOCK | (how === "read" ? O_RDONLY : O_WRONLY | O_CREAT);
    const file = openSync(path, flags, 0o666);
    try {
      if (!fstatSync(file).isFile()) throw new Refusal(550, "Not a regular file");
      return Deno.openSync(`/proc/self/fd/${file}`, { [how]: true });
    } finally {
      closeSync(file);
    }
  });
}
