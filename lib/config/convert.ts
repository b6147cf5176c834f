/**
 * `filesync config convert`: the original's configuration, written in the form of today.
 */
import { basename } from "node:path";
import type { LoadOptions } from "./load.ts";
import { checkSource } from "./load.ts";
import { ConfigError } from "./explain.ts";
import { readSource } from "./parse.ts";

/**
 * The text of today's form of one of the original's files. Saved beside it, it loads to the same configuration: relative
 * paths stay relative. A secret that stands in the file stands in the text too.
 * @throws {ConfigError} If the file has today's form already, or is wrong
 */
export function convertLegacy(file: string, options: Pick<LoadOptions, "plugins"> = {}): string {
  const source = readSource(file);
  const { converted } = checkSource(source, options);
  if (converted === undefined) {
    throw new ConfigError([{
      file,
      key: "",
      message: "Expected a configuration of the original program, got one of today's form",
      hint: "There is nothing to convert",
    }]);
  }
  const comments = [
    `Converted from ${
      JSON.stringify(basename(file))
    }. Keep this file beside it: relative paths start from its directory.`,
    ...converted.notices,
  ];
  return `${comments.map((line) => `// ${line}\n`).join("")}${JSON.stringify(converted.value, null, 2)}\n`;
}
