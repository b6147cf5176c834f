/** A plugin's private folder: what it may hold, and what is done when it holds more. */
import { join } from "node:path";

/** Most bytes in a `stateDir`. */
export const STATE_BYTES_MAX = 64 * 1024 * 1024;
/** Most names in a `stateDir`: looking at more of them costs more than it is worth. */
export const STATE_NAMES_MAX = 10_000;

/** What is wrong with the folder, to go on "Plugin ..."; `undefined` when it is within its limits or not there. */
export function stateDirProblem(dir: string): string | undefined {
  const found = { bytes: 0, names: 0 };
  measure(dir, found);
  const { bytes, names } = found;
  if (bytes > STATE_BYTES_MAX) return `keeps ${mib(bytes)} in its stateDir "${dir}": at most ${mib(STATE_BYTES_MAX)}`;
  if (names > STATE_NAMES_MAX) return `keeps over ${STATE_NAMES_MAX} files in its stateDir "${dir}"`;
  return undefined;
}

/** Empties a folder that holds too much, and says so: what a plugin keeps there, it can do without. */
export function trimStateDir(dir: string, warn: (message: string) => void): void {
  const problem = stateDirProblem(dir);
  if (problem === undefined) return;
  warn(`${problem}: it is emptied`);
  for (const { name } of Deno.readDirSync(dir)) Deno.removeSync(join(dir, name), { recursive: true });
}

function measure(dir: string, found: { bytes: number; names: number }): void {
  let items: Iterable<Deno.DirEntry>;
  try {
    items = [...Deno.readDirSync(dir)];
  } catch {
    // Not made yet, or being removed at this moment: then nothing is kept there.
    return;
  }
  for (const item of items) {
    if (++found.names > STATE_NAMES_MAX || found.bytes > STATE_BYTES_MAX) return;
    const path = join(dir, item.name);
    if (item.isDirectory) measure(path, found);
    else found.bytes += diskBytes(path);
  }
}

function diskBytes(path: string): number {
  try {
    const { size, blocks } = Deno.lstatSync(path);
    // A hole takes no room.
    return blocks === null ? size : blocks * 512;
  } catch {
    return 0;
  }
}

/** A size for people. */
export function mib(bytes: number): string {
  return `${Math.ceil(bytes / 1024 / 1024)} MiB`;
}
