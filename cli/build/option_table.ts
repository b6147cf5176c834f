/** Tables of options for the README, made from the schemas, so that they cannot say something else than the program. */

interface Schema {
  type?: string | string[];
  description?: string;
  default?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  writeOnly?: boolean;
}

interface Row {
  key: string;
  standard: string;
  meaning: string;
}

/** The table of the configuration's keys. */
export function configTable(schema: object): string {
  return table("key", rowsOf(schema as Schema, ""));
}

/** The table of a driver's arguments, from the `args` of its manifest. */
export function argsTable(args: object): string {
  return table("argument", rowsOf(args as Schema, ""));
}

function rowsOf(schema: Schema, prefix: string): Row[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, option]) => {
    if (name.startsWith("$")) return [];
    const key = prefix + name;
    if (option.properties !== undefined) return rowsOf(option, `${key}.`);
    if (option.items?.properties !== undefined) return rowsOf(option.items, `${key}[].`);
    const required = schema.required?.includes(name) === true && option.default === undefined;
    const standard = required
      ? "required"
      : option.default === undefined
      ? ""
      : `\`${JSON.stringify(option.default)}\``;
    const secret = option.writeOnly === true ? " (a secret)" : "";
    return [{ key, standard, meaning: `${option.description ?? ""}${secret}` }];
  });
}

function table(what: string, rows: Row[]): string {
  const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("<", "\\<").replaceAll("*", "\\*");
  return [
    `| ${what} | default | meaning |`,
    "| --- | --- | --- |",
    ...rows.map(({ key, standard, meaning }) => `| \`${key}\` | ${standard} | ${cell(meaning)} |`),
  ].join("\n");
}

/** The blocks of `text` between `<!-- made: NAME -->` and `<!-- end -->`, replaced by what `make` gives for the name. */
export function replaceMade(text: string, make: (name: string) => string): string {
  return text.replace(
    /(<!-- made: ([\w: -]+?) -->\n)[\s\S]*?(\n<!-- end -->)/g,
    (_, start: string, name: string, end: string) => `${start}\n${make(name)}\n${end}`,
  );
}

/** `text` without what a formatter may change in a table. */
export function withoutPadding(text: string): string {
  return text.replace(/-{3,}/g, "---").replace(/[ \t]+/g, " ");
}
