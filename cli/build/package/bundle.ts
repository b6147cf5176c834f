/** The program's modules as few minified files: what all commands share, and what each command and driver adds to it. */
import { createHash } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { BUILT_IN_MANIFESTS, SOURCE_ROOT } from "../../../lib/host/builtin.ts";

/** What the bundler puts into a name to make it one of its own: `chunk-6QF7YGLZ.js`. */
const OWN_NAME = /^(.+)-([A-Z0-9]{8})\.js$/;

/**
 * Writes `cli/main.js`, `plugins/<name>/main.js` and what they share into `dir`. The same sources give the same files,
 * wherever they lie.
 * @throws {Error} If `deno bundle` fails
 */
export async function bundleProgram(dir: string): Promise<void> {
  const drivers = BUILT_IN_MANIFESTS.map((manifest) => `plugins/${(manifest as { name: string }).name}/main.ts`);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--minify", "--code-splitting", "--platform", "deno", "--outdir", dir].concat(
      "cli/main.ts",
      drivers,
    ),
    cwd: SOURCE_ROOT,
    stdin: "null",
  }).output();
  if (!success) throw new Error(`Cannot bundle the program: ${new TextDecoder().decode(stderr).trim()}`);
  renameByContent(dir);
}

/** Every file of the bundle, as paths within `dir`. */
export function bundledFiles(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((name) => statSync(join(dir, name)).isFile())
    .sort();
}

/** The bundler's hashes know where the packages lie on this machine: names by content take their place. */
function renameByContent(dir: string): void {
  const texts = new Map(bundledFiles(dir).map((path) => [path, Deno.readTextFileSync(join(dir, path))]));
  const hashes = [...texts.keys()].map((path) => OWN_NAME.exec(basename(path))?.[2]).filter((hash) =>
    hash !== undefined
  );
  if (hashes.length === 0) return;
  const anyHash = new RegExp(`-(${hashes.join("|")})\\.js`, "g");
  const names = new Map<string, string>();
  for (const [path, text] of texts) {
    const [, stem, hash] = OWN_NAME.exec(basename(path)) ?? [];
    if (stem === undefined || hash === undefined) continue;
    const own = createHash("sha256").update(text.replace(anyHash, ".js")).digest("hex").slice(0, 12);
    names.set(hash, own);
  }
  if (new Set(names.values()).size < names.size) throw new Error("Cannot name the bundle's files: two are the same");
  for (const [path, text] of texts) {
    const renamed = (from: string) => from.replace(anyHash, (_, hash: string) => `-${names.get(hash)}.js`);
    Deno.removeSync(join(dir, path));
    Deno.writeTextFileSync(join(dir, renamed(path)), renamed(text));
  }
}
