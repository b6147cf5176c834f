/** Writes the README's tables of options anew: `deno run -A cli/build/readme.ts`, then `deno fmt README.md`. */
import { configJsonSchema } from "../../lib/config/mod.ts";
import { argsTable, configTable, replaceMade } from "./option_table.ts";

const ROOT = new URL("../../", import.meta.url);

/** The README as its tables should be. */
export function freshReadme(text: string): string {
  return replaceMade(text, (name) => {
    if (name === "config") return configTable(configJsonSchema());
    const manifest = new URL(`plugins/${name.replace(/^driver: /, "")}/filesync-plugin.json`, ROOT);
    const { args } = JSON.parse(Deno.readTextFileSync(manifest)) as { args: object };
    return argsTable(args);
  });
}

if (import.meta.main) {
  const readme = new URL("README.md", ROOT);
  Deno.writeTextFileSync(readme, freshReadme(Deno.readTextFileSync(readme)));
}
