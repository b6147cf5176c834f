/** The release as users download it, made once for all tests of this state of the sources. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { release } from "../../cli/build/release.ts";
import { PROJECT_ROOT, projectFiles } from "./project_files.ts";

/** Where releases of this checkout are kept; the folder of the programs that a person makes is theirs. */
const KEPT = new URL("dist/.tests/", PROJECT_ROOT).pathname;
/** What was fetched for `deno task compile` serves the tests, too. */
export const RUNTIMES = new URL("dist/.runtime", PROJECT_ROOT).pathname;
/** What a program is made of. */
const SOURCES = /^(cli|lib|plugins)\/(?!.*_test\.ts$)|^deno\.(json|lock)$/;

/** The folder of the release. Test files run beside one another: the first makes it, the others wait. */
export async function sharedRelease(): Promise<string> {
  await Deno.mkdir(KEPT, { recursive: true });
  const dir = join(KEPT, sourcesKey());
  using lock = await Deno.open(join(KEPT, "lock"), { create: true, write: true });
  await lock.lock(true);
  if (exists(dir)) return dir;
  // Of the sources as they were before.
  for (const { name, isDirectory } of Deno.readDirSync(KEPT)) {
    if (isDirectory) await Deno.remove(join(KEPT, name), { recursive: true });
  }
  const made = `${dir}.new`;
  await release({ runtime: "npm", out: made, cache: RUNTIMES, say: () => {} });
  await Deno.rename(made, dir);
  return dir;
}

/** The name of the program for an architecture in `release`. */
export function programOf(release: string, arch: string): string {
  const found = [...Deno.readDirSync(release)].find(({ name }) => name.endsWith(`-${arch}`));
  if (found === undefined) throw new Error(`There is no program for ${arch} in ${release}`);
  return join(release, found.name);
}

function sourcesKey(): string {
  const hash = createHash("sha256");
  for (const path of projectFiles().filter((path) => SOURCES.test(path))) {
    hash.update(`${path}\0`).update(Deno.readFileSync(new URL(path, PROJECT_ROOT))).update("\0");
  }
  return hash.digest("hex").slice(0, 16);
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
