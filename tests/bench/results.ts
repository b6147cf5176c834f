/** RESULTS.md: what one command measures is one section, so that it can be measured anew by itself. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const RESULTS = fileURLToPath(new URL("./RESULTS.md", import.meta.url));
const SECTION = /<!-- measured: ([\w-]+) -->\n[\s\S]*?<!-- \/measured -->\n/g;

/** Puts a section in the place of the one of that name, or at the end. */
export function writeSection(name: string, text: string): void {
  const old = readFileSync(RESULTS, "utf8");
  const section = `<!-- measured: ${name} -->\n\n${text.trim()}\n\n<!-- /measured -->\n`;
  const has = [...old.matchAll(SECTION)].some(([, known]) => known === name);
  const next = has
    ? old.replace(SECTION, (whole, known) => known === name ? section : whole)
    : `${old.trimEnd()}\n\n${section}`;
  writeFileSync(RESULTS, next);
}

/** Writes all that is in no section. */
export function writeBody(text: string): void {
  const sections = [...readFileSync(RESULTS, "utf8").matchAll(SECTION)].map(([whole]) => whole);
  writeFileSync(RESULTS, [text.trimEnd() + "\n", ...sections].join("\n"));
}
