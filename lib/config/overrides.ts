/**
 * Settings that an option or an environment variable can give: option > variable > file > default.
 */
import { resolve } from "node:path";
import { type Flaw, formatKey, type Path } from "./explain.ts";
import { valueAt } from "./issues.ts";
import type { Source } from "./parse.ts";
import type { Origin } from "./types.ts";

/** A setting, the variable and the option that give it, and how their text is read. */
export interface Setting {
  key: string;
  env: string;
  flag: string;
  kind: "text" | "path" | "number" | "boolean";
}

const TABLE: readonly (readonly [key: string, kind: Setting["kind"]])[] = [
  ["state", "path"],
  ["spool.dir", "path"],
  ["spool.quota", "text"],
  ["spool.min_free", "text"],
  ["spool.refetch", "boolean"],
  ["log.level", "text"],
  ["log.file", "path"],
  ["log.console", "boolean"],
  ["log.max_size", "text"],
  ["log.keep", "number"],
  ["log.max_age", "text"],
  ["http.listen", "text"],
];

/** Every setting that can be given from outside the file: `spool.quota` is `$FILESYNC_SPOOL_QUOTA`, `--spool-quota`. */
export const SETTINGS: readonly Setting[] = TABLE.map(([key, kind]) => ({
  key,
  env: `FILESYNC_${key.toUpperCase().replaceAll(".", "_")}`,
  flag: `--${key.replaceAll(/[._]/g, "-")}`,
  kind,
}));

/** Texts of options, by key. */
export type Flags = Readonly<Record<string, string | undefined>>;

/**
 * `value` with the settings from outside put in, and where each setting came from. Relative paths from outside are
 * relative to the working directory, as everywhere on a command line.
 */
export function applyOverrides(
  value: unknown,
  options: { flags: Flags; env: Readonly<Record<string, string | undefined>>; locate: (path: Path) => number },
): { value: unknown; origins: Record<string, Origin> } {
  const origins: Record<string, Origin> = {};
  let result = value;
  for (const { key, env, flag, kind } of SETTINGS) {
    const path = key.split(".");
    const [text, origin]: [string | undefined, Origin] = options.flags[key] !== undefined
      ? [options.flags[key], { from: "flag", name: flag }]
      : [options.env[env] || undefined, { from: "env", name: env }];
    if (text !== undefined) {
      result = put(result, path, read(text, kind));
      origins[key] = origin;
    } else {
      const written = valueAt(value, path);
      origins[key] = written === undefined ? { from: "default" } : { from: "file", line: options.locate(path) };
    }
  }
  return { value: result, origins };
}

function read(text: string, kind: Setting["kind"]): unknown {
  if (kind === "path") return text === "" || text.startsWith("~") ? text : resolve(text);
  if (kind === "number") return /^\d+$/.test(text) ? Number(text) : text;
  if (kind === "boolean") {
    const word = text.toLowerCase();
    return ["1", "true", "yes"].includes(word) ? true : ["0", "false", "no"].includes(word) ? false : text;
  }
  return text;
}

/** A copy of `value` with `item` at `path`; unchanged where something that is no object stands in the way. */
function put(value: unknown, path: readonly string[], item: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return item;
  if (value !== undefined && (typeof value !== "object" || value === null || Array.isArray(value))) return value;
  const object = value as Record<string, unknown> | undefined;
  return { ...object, [key]: put(object?.[key], rest, item) };
}

/** Which option or variable a flaw comes from, when it does not come from the file. */
export function outsideOf(flaw: Flaw, origins: Record<string, Origin>): string | undefined {
  const origin = origins[formatKey(flaw.path)];
  return origin?.from === "flag" || origin?.from === "env" ? origin.name : undefined;
}

/** The line of a path in `source`, as `applyOverrides` asks for it. */
export function lineOf(source: Source): (path: Path) => number {
  return (path) => source.locate(path).line;
}
