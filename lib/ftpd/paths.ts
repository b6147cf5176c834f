/**
 * From what a client asks for to a place on disk, never outside the served directory. The client's path is worked out
 * as text first (`..` ends at `/`), then every symbolic link on the way is followed and the outcome is checked.
 * A check and the use of its outcome are two steps: `held.ts` sees to what may happen between them.
 */
import { pathProblem } from "../driver/mod.ts";
import { Refusal } from "./refusal.ts";

/**
 * The absolute path, as clients see it, of `argument` seen from `directory`.
 * @throws {Refusal} 553 when the name cannot be taken
 */
export function virtualPath(directory: string, argument: string): string {
  const parts = argument.startsWith("/") ? [] : directory.split("/").filter((part) => part !== "");
  for (const part of argument.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  const problem = pathProblem(parts.join("/"));
  if (problem !== undefined) throw new Refusal(553, `Name not allowed: ${problem}`);
  return `/${parts.join("/")}`;
}

/** The directory above a virtual path and the last name in it. */
export function splitVirtual(path: string): { parent: string; name: string } {
  const slash = path.lastIndexOf("/");
  return { parent: path.slice(0, slash) || "/", name: path.slice(slash + 1) };
}

/** The served directory. */
export class Jail {
  readonly #root: string;
  readonly #prefix: string;

  /** @param root the real path of the directory */
  constructor(root: string) {
    this.#root = root;
    this.#prefix = root === "/" ? "/" : `${root}/`;
  }

  /**
   * The real path of something that exists, symbolic links followed.
   * @throws {Refusal} 550 when it leads outside; the file system's errors as they are
   */
  async existing(path: string): Promise<string> {
    const real = await Deno.realPath(this.#prefix + path.slice(1));
    if (!this.#holds(real)) throw new Refusal(550, "No such file or directory");
    return real;
  }

  /**
   * Where the name itself lies, a symbolic link not followed: to remove or to rename it.
   * @throws {Refusal} 550 for the root, which has no name
   */
  async name(path: string): Promise<string> {
    if (path === "/") throw new Refusal(550, "Not allowed on the root directory");
    const { parent, name } = splitVirtual(path);
    const real = await this.existing(parent);
    return real === "/" ? `/${name}` : `${real}/${name}`;
  }

  /**
   * Where a file may be written: a new name in an existing directory, or what is there already.
   * @throws {Refusal} 550 when it is a directory, a device, or a link that leads outside or nowhere
   */
  async writable(path: string): Promise<string> {
    const named = await this.name(path);
    let info = await infoOf(named);
    if (info === undefined) return named;
    let real = named;
    if (info.isSymlink) {
      real = await this.existing(path);
      info = await Deno.lstat(real);
    }
    if (info.isDirectory) throw new Refusal(550, "Is a directory");
    if (!info.isFile) throw new Refusal(550, "Not a regular file");
    return real;
  }

  /** A real path as clients see it; `undefined` when it lies outside. */
  virtualOf(real: string): string | undefined {
    return this.#holds(real) ? `/${real.slice(this.#prefix.length)}` : undefined;
  }

  #holds(real: string): boolean {
    return real === this.#root || real.startsWith(this.#prefix);
  }
}

/** What lies at `path`, links not followed; `undefined` when nothing does. */
export async function infoOf(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
