/** What a directory holds, as a client may see it. */
import { pathProblem } from "../driver/mod.ts";
import { HeldDirectory } from "./held.ts";
import type { ListedEntry } from "./listing.ts";
import type { Jail } from "./paths.ts";

/** Options of {@linkcode entriesOf}. */
export interface DirectoryOptions {
  jail: Jail;
  /** Called for a name that FTP cannot carry or that leads outside, which is left out. */
  onUnlisted: (name: string, reason: string) => void;
}

/** The entry of something that exists, symbolic links followed. */
export async function entryOf(jail: Jail, path: string, name: string): Promise<ListedEntry> {
  return toEntry(await Deno.stat(await jail.existing(path)), name);
}

/**
 * Every entry of a directory, one after another. A link to a file is listed as the file, one to a directory as a link,
 * so that a client that walks the tree does not walk in circles.
 * @param directory its real path
 */
export async function* entriesOf(directory: string, options: DirectoryOptions): AsyncGenerator<ListedEntry> {
  const { jail, onUnlisted } = options;
  const virtual = jail.virtualOf(directory) ?? "/";
  const prefix = virtual === "/" ? "/" : `${virtual}/`;
  using held = new HeldDirectory(jail, directory);
  for await (const { name, isSymlink } of Deno.readDir(`${held.path}/`)) {
    const problem = pathProblem(name);
    if (problem !== undefined) {
      onUnlisted(name, problem);
      continue;
    }
    try {
      if (isSymlink) {
        const real = await jail.existing(prefix + name);
        const entry = toEntry(await Deno.stat(real), name);
        yield entry.kind === "directory" ? { ...entry, kind: "link", linkTo: jail.virtualOf(real) ?? "" } : entry;
        continue;
      }
      // Sync: ten times faster than async, and of one entry it takes microseconds.
      const info = Deno.lstatSync(`${held.path}/${name}`);
      if (info.isFile || info.isDirectory) yield toEntry(info, name);
    } catch (error) {
      // Removed since the directory was read, or a link that leads nowhere or outside: to a client it is not there.
      onUnlisted(name, error instanceof Error ? error.message : String(error));
    }
  }
}

function toEntry(info: Deno.FileInfo, name: string): ListedEntry {
  return {
    name,
    kind: info.isDirectory ? "directory" : "file",
    sizeBytes: info.size,
    modifiedMs: info.mtime?.getTime() ?? 0,
  };
}
