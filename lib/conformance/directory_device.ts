/** The backdoor to a device whose files lie in a directory of this machine: `local` itself, or what a server serves. */
import type { Backdoor } from "./fixture.ts";

/** The device's root is `dir`. To break it, `dir` is renamed away. */
export function directoryBackdoor(dir: string): Backdoor {
  const at = (path: string) => `${dir}/${path}`;
  return {
    async put(path, bytes, modifiedMs) {
      await Deno.mkdir(at(path).slice(0, at(path).lastIndexOf("/")), { recursive: true });
      await Deno.writeFile(at(path), bytes);
      if (modifiedMs !== undefined) await Deno.utime(at(path), new Date(modifiedMs), new Date(modifiedMs));
    },
    async read(path) {
      try {
        return await Deno.readFile(at(path));
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw error;
      }
    },
    names: () => Promise.resolve(filesBelow(dir, "").sort()),
    remove: (path) => Deno.remove(at(path), { recursive: true }),
    breakIt: () => Deno.rename(dir, `${dir}.away`),
    restore: () => Deno.rename(`${dir}.away`, dir),
  };
}

function filesBelow(dir: string, prefix: string): string[] {
  const names: string[] = [];
  for (const entry of Deno.readDirSync(`${dir}/${prefix}`)) {
    if (entry.isDirectory) names.push(...filesBelow(dir, `${prefix}${entry.name}/`));
    else names.push(prefix + entry.name);
  }
  return names;
}
