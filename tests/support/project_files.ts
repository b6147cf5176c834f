/** The project's own files, and what a TypeScript file imports: for the tests that keep the house in order. */

/** The project's root. */
export const PROJECT_ROOT = new URL("../../", import.meta.url);

const PASSED_OVER = new Set(["node_modules", "temp", "dist", "coverage"]);
const HIDDEN_TAKEN = new Set([".ci", ".githooks", ".gitignore"]);

/** Every file below `directory` that is kept in the repository, relative to the root, in order. */
export function projectFiles(directory = ""): string[] {
  const files: string[] = [];
  for (const entry of Deno.readDirSync(new URL(directory === "" ? "." : `${directory}/`, PROJECT_ROOT))) {
    if (PASSED_OVER.has(entry.name) || (entry.name.startsWith(".") && !HIDDEN_TAKEN.has(entry.name))) continue;
    const path = directory === "" ? entry.name : `${directory}/${entry.name}`;
    if (entry.isDirectory) files.push(...projectFiles(path));
    else if (entry.isFile) files.push(path);
  }
  return files.sort();
}

/** The text of a file of the project. */
export function readProjectFile(path: string): string {
  return Deno.readTextFileSync(new URL(path, PROJECT_ROOT));
}

/** One import or re-export. */
export interface ImportLine {
  specifier: string;
  /** Erased when the program runs. */
  typeOnly: boolean;
  /** `import(…)`: loaded when it is wanted. */
  isLazy: boolean;
}

const STATIC =
  /^(?:import|export)(?<type>\s+type\b)?\s*(?<names>[\w\s{},*$]*?)(?:(?<=^import\s*)|\bfrom\s+)["'](?<specifier>[^"'\n]+)["']/gm;
const DYNAMIC = /\bimport\(\s*["'](?<specifier>[^"'\n]+)["']/g;

/** What a TypeScript file imports. Relies on `deno fmt`: statements start at the first column. */
export function importsOf(source: string): ImportLine[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const found: ImportLine[] = [];
  for (const { groups } of code.matchAll(STATIC)) {
    const { type, names = "", specifier = "" } = groups ?? {};
    const list = /\{([\s\S]*)\}/.exec(names)?.[1]?.split(",").map((name) => name.trim()).filter((name) => name !== "");
    const allTypes = /^\s*\{/.test(names) && list !== undefined && list.length > 0 &&
      list.every((name) => name.startsWith("type "));
    found.push({ specifier, typeOnly: type !== undefined || allTypes, isLazy: false });
  }
  for (const { groups } of code.matchAll(DYNAMIC)) {
    found.push({ specifier: groups?.["specifier"] ?? "", typeOnly: false, isLazy: true });
  }
  return found;
}
