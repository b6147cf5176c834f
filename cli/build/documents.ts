/** Writes the tables of options in the documents anew: `deno run -A cli/build/documents.ts`, then `deno fmt README.md docs`. */
import { configJsonSchema } from "../../lib/config/mod.ts";
import { argsTable, configTable, replaceMade } from "./option_table.ts";

const ROOT = new URL("../../", import.meta.url);

/** The documents for users that hold such tables. */
export const DOCUMENTS: readonly string[] = ["README.md", "docs/drivers.md"];

/** A document as its tables should be. */
export function freshDocument(text: string): string {
  return replaceMade(text, (name) => {
    if (name === "config") return configTable(configJsonSchema());
    const manifest = new URL(`plugins/${name.replace(/^driver: /, "")}/filesync-plugin.json`, ROOT);
    const { args } = JSON.parse(Deno.readTextFileSync(manifest)) as { args: object };
    return argsTable(args);
  });
}

if (import.meta.main) {
  for (const name of DOCUMENTS) {
    const path = new URL(name, ROOT);
    Deno.writeTextFileSync(path, freshDocument(Deno.readTextFileSync(path)));
  }
}
