/**
 * A device's driver and arguments against what its plugin says of itself.
 */
import { resolve } from "node:path";
import * as z from "zod";
import { didYouMean, type Flaw, formatKey, listOf, type Path } from "./explain.ts";
import { flawsOf } from "./issues.ts";
import { type JsonSchema, nodesAt } from "./json_schema.ts";
import { homePathMessage, isHomePath } from "./file_schema.ts";
import { isSecret } from "./redact.ts";
import { mapValues, secretReferences, walk } from "./references.ts";

/** What a plugin's manifest says, as far as a configuration is checked against it. */
export interface PluginSchema {
  roles: readonly ("source" | "target")[];
  /** JSON Schema of the driver's arguments; `format: "path"` marks paths, `writeOnly` secrets. */
  args?: JsonSchema;
  exclusive?: boolean;
  /** Why the plugin cannot be used although it was found. */
  problem?: string;
}

/** What is known of each driver, by its name. */
export type PluginSchemas = ReadonlyMap<string, PluginSchema>;

/** The flaws of a device in one role (absent: used by no job) at `path` of the file. */
export function checkDevice(
  device: { driver: unknown; args: unknown },
  options: { path: Path; plugins: PluginSchemas; roles: readonly ("source" | "target")[]; notices: Set<string> },
): Flaw[] {
  const { path, plugins, roles, notices } = options;
  const { driver } = device;
  if (typeof driver !== "string" || driver === "") return [];
  const plugin = plugins.get(driver);
  const driverPath = [...path, "driver"];
  if (plugin === undefined) {
    return [{
      path: driverPath,
      message: `Unknown driver "${driver}"${didYouMean(driver, plugins.keys())}`,
      hint: `Known drivers: ${
        listOf([...plugins.keys()].sort(), "and")
      }; filesync plugins list says where they are found`,
    }];
  }
  if (plugin.problem !== undefined) {
    return [{
      path: driverPath,
      message: `Driver "${driver}" cannot be used: ${plugin.problem}`,
      hint: `filesync plugins info ${driver} says more`,
    }];
  }
  const flaws: Flaw[] = roles.filter((role) => !plugin.roles.includes(role)).map((role) => {
    const able = [...plugins].filter(([, { roles }]) => roles.includes(role)).map(([name]) => name).sort();
    return {
      path: driverPath,
      message: `Driver "${driver}" cannot be a ${role}: it is a ${listOf(plugin.roles, "and")}`,
      hint: able.length === 0 ? `No driver here can be a ${role}` : `Drivers that can: ${listOf(able, "and")}`,
    };
  });
  const args = device.args ?? {};
  if (typeof args !== "object" || Array.isArray(args) || plugin.args === undefined) return flaws;
  return [...flaws, ...checkArgs(driver, args, plugin.args, [...path, "args"], notices)];
}

const compiled = new WeakMap<JsonSchema, z.ZodType | Error>();

function checkArgs(driver: string, args: unknown, schema: JsonSchema, path: Path, notices: Set<string>): Flaw[] {
  const check = compile(schema);
  if (check instanceof Error) {
    notices.add(`Arguments of driver "${driver}" are checked by the driver alone: ${check.message}`);
    return [];
  }
  const references = new Set(secretReferences(args, schema).map(formatKey));
  const homes = homePaths(args, schema, path);
  const result = check.safeParse(args);
  if (result.success) return homes;
  const flaws = flawsOf(result.error.issues, {
    schema,
    value: args,
    path,
    hint: `filesync plugins info ${driver} lists the arguments`,
    keyWord: "argument",
    isSecret: (inner) => isSecret(inner, schema),
    showable: (inner) => nodesAt(schema, inner).length > 0 && !isSecret(inner, schema),
  });
  return [...homes, ...flaws.filter((flaw) => !references.has(formatKey(flaw.path.slice(path.length))))];
}

/** Only a shell expands "~": taken literally it would make a directory of that name. */
function homePaths(args: unknown, schema: JsonSchema, path: Path): Flaw[] {
  const flaws: Flaw[] = [];
  walk(args, [], (value, inner) => {
    const isHome = typeof value === "string" && isHomePath(value);
    if (isHome && nodesAt(schema, inner).some((node) => node.format === "path")) {
      flaws.push({
        path: [...path, ...inner],
        message: homePathMessage(value),
        hint: 'Write "./~" for a directory of that name',
      });
    }
    return false;
  });
  return flaws;
}

function compile(schema: JsonSchema): z.ZodType | Error {
  let check = compiled.get(schema);
  if (check === undefined) {
    try {
      const closed = { additionalProperties: false, ...schema, type: "object" };
      check = z.fromJSONSchema(closed as Parameters<typeof z.fromJSONSchema>[0]);
    } catch (error) {
      check = error instanceof Error ? error : new Error(String(error));
    }
    compiled.set(schema, check);
  }
  return check;
}

/**
 * `args` ready for use: the schema's defaults filled in, and every path absolute, that of a secret's file too.
 * @param base directory that relative paths start from
 */
export function prepareArgs(
  args: Record<string, unknown>,
  schema: JsonSchema | undefined,
  base: string,
): Record<string, unknown> {
  const filled = { ...args };
  for (const [name, property] of Object.entries(schema?.properties ?? {})) {
    if (filled[name] === undefined && property.default !== undefined) filled[name] = property.default;
  }
  const references = new Set(secretReferences(filled, schema).map(formatKey));
  return mapValues(filled, (value, path) => {
    if (references.has(formatKey(path))) {
      const { file } = value as { file?: string };
      return file === undefined ? { ...value as object } : { file: resolve(base, file) };
    }
    if (typeof value !== "string" || value === "" || schema === undefined) return value;
    return nodesAt(schema, path).some((node) => node.format === "path") ? resolve(base, value) : value;
  }) as Record<string, unknown>;
}
