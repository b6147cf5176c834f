/** The plugins that come with the program: their manifests, and where their code is when run from source. */

/** The root of the source tree. */
export const SOURCE_ROOT = new URL("../../", import.meta.url);

const BUILT_IN_NAMES = ["local", "ftp"];

/** Manifests of the built-in set, in the order of a listing. */
export const BUILT_IN_MANIFESTS: readonly unknown[] = BUILT_IN_NAMES.flatMap((name) => {
  try {
    return [JSON.parse(Deno.readTextFileSync(new URL(`plugins/${name}/filesync-plugin.json`, SOURCE_ROOT)))];
  } catch {
    return [];
  }
});
