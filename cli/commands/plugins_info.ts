/** `filesync plugins info NAME`. */
import { checkDevice, prepareArgs } from "../../lib/config/args.ts";
import { type Capabilities, DriverError, type Role } from "../../lib/driver/mod.ts";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { BUILT_IN_ORIGIN, limitsOf, type Permissions, type Plugin } from "../../lib/host/mod.ts";
import { visible } from "../../lib/observe/visible.ts";
import { CliError, type Context } from "../context.ts";
import { formatBytes } from "../output/format.ts";
import { table } from "../output/table.ts";
import { stdoutColumns } from "../output/terminal.ts";
import { wrap } from "../output/wrap.ts";
import { handshake } from "./_handshake.ts";
import { findPlugin, readNamedFile } from "./_plugins.ts";

export interface Flags {
  config?: string;
  args?: string;
  json?: boolean;
}

/** What a driver said that it can do in a role, or why that is not known. */
interface Ability {
  role: Role;
  capabilities?: Capabilities;
  unknown?: string;
}

export async function run(context: Context, flags: Flags, name: string): Promise<number> {
  const plugin = findPlugin(context, name, flags.config);
  const args = argsOf(context.option(flags.args, "args"));
  const abilities = await learn(plugin, args);
  if (context.switch(flags.json, "json")) {
    const { version, description, roles, exclusive, origin, command, permissions, problem, hint } = plugin;
    context.printJson({
      schema: 1,
      name: plugin.name,
      version,
      description,
      roles,
      exclusive,
      origin,
      command,
      permissions,
      limits: limitsOf(plugin),
      wrapper: plugin.wrapper,
      args: plugin.args,
      capabilities: Object.fromEntries(abilities.map(({ role, capabilities }) => [role, capabilities ?? null])),
      unknown: Object.fromEntries(abilities.map(({ role, unknown }) => [role, unknown])),
      problem,
      hint,
    });
  } else describe(plugin, abilities).every((line) => context.print(line));
  return plugin.problem === undefined ? EXIT.ok : EXIT.plugin;
}

function argsOf(file: string | undefined): Record<string, unknown> | undefined {
  if (file === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readNamedFile(file));
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(EXIT.usage, `Cannot read "${file}": ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CliError(EXIT.usage, `Cannot use "${file}": expected an object of arguments`);
  }
  return value as Record<string, unknown>;
}

/** Asks the driver itself, with arguments that it would take: `initialize` never touches a device. */
async function learn(plugin: Plugin, args: Record<string, unknown> | undefined): Promise<Ability[]> {
  const abilities: Ability[] = [];
  for (const role of plugin.roles) {
    const problem = plugin.problem ?? argsProblem(plugin, args);
    abilities.push(problem === undefined ? await ask(plugin, role, args ?? {}) : { role, unknown: problem });
  }
  return abilities;
}

function argsProblem(plugin: Plugin, args: Record<string, unknown> | undefined): string | undefined {
  const filled = prepareArgs(args ?? {}, plugin.args, Deno.cwd());
  const { required } = plugin.args;
  const missing = (Array.isArray(required) ? required : []).filter((name) => filled[String(name)] === undefined);
  if (missing.length > 0) {
    const names = missing.map((name) => `"${name}"`).join(", ");
    return `only the driver can say, and it needs ${names}: --args FILE names a file with {"${missing[0]}": …}`;
  }
  const plugins = new Map([[plugin.name, plugin]]);
  const device = { driver: plugin.name, args: filled };
  const [flaw] = checkDevice(device, { path: [], plugins, roles: [], notices: new Set() });
  return flaw === undefined ? undefined : `the arguments do not fit: ${flaw.message}`;
}

async function ask(plugin: Plugin, role: Role, args: Record<string, unknown>): Promise<Ability> {
  try {
    return { role, capabilities: await handshake(plugin, role, args) };
  } catch (error) {
    if (!(error instanceof DriverError)) throw error;
    return { role, unknown: `the driver did not say: ${error.message}` };
  }
}

function describe(plugin: Plugin, abilities: Ability[]): string[] {
  const { name, version, description, problem, hint } = plugin;
  const facts: string[][] = [
    ["origin", visible(plugin.origin)],
    ...(problem === undefined ? [] : [["problem", visible(problem)]]),
    ...(hint === undefined ? [] : [["remedy", visible(hint)]]),
    ...(plugin.roles.length === 0 ? [] : [["roles", plugin.roles.join(", ")]]),
    ...(plugin.exclusive ? [["exclusive", "one process serves both roles of a device"]] : []),
    ...(plugin.command === undefined ? [] : [["command", visible(plugin.command.join(" "))]]),
    ...(problem === undefined ? [...permissionsOf(plugin), ...limitRows(plugin)] : []),
    ...abilities.map(({ role, capabilities, unknown }) => [
      `as ${role}`,
      capabilities === undefined ? `not known: ${visible(unknown ?? "")}` : visible(abilityWords(capabilities)),
    ]),
  ];
  const room = stdoutColumns();
  const width = Math.max(...facts.map(([key = ""]) => key.length));
  const lines = [
    `${visible(name)} ${visible(version)}`.trimEnd() + (description === "" ? "" : `: ${visible(description)}`),
    "",
    ...facts.flatMap(([key = "", value = ""]) => wrap(`  ${key.padEnd(width)}  ${value}`, room, width + 4)),
  ];
  const rows = argumentRows(plugin.args as Schema, "");
  if (rows.length === 0) return lines;
  const columns = ["ARGUMENT", "TYPE", "DEFAULT", "MEANING"].map((title) => ({ title }));
  return [...lines, "", ...table(columns, rows, room)];
}

function permissionsOf({ origin, permissions, command, wrapper }: Plugin): string[][] {
  const isEnforced = origin === BUILT_IN_ORIGIN ||
    (permissions !== undefined && /\.[cm]?[jt]s$/.test(command?.[0] ?? ""));
  const names: (keyof Permissions)[] = ["net", "read", "write", "run", "ffi", "sys", "env"];
  const rows = names.flatMap((name) => {
    const granted = permissions?.[name];
    if (granted === undefined || granted === false) return [];
    if (!isEnforced && name !== "env") return [];
    return [[name, granted === true ? "everything" : visible((granted as string[]).join(", "))]];
  });
  if (wrapper !== undefined) return [["held by", visible([wrapper].flat().join(" "))], ...rows];
  return isEnforced
    ? rows
    : [["may do", 'all that you may: nothing holds it back ("plugins.wrappers" would)'], ...rows];
}

function limitRows(plugin: Plugin): string[][] {
  const { memoryBytes, openFiles, nice } = limitsOf(plugin);
  return [["limits", `${formatBytes(memoryBytes)} of memory, ${openFiles} open files, nice ${nice}`]];
}

function abilityWords(can: Capabilities): string {
  const words = Object.entries(can).flatMap(([name, value]) => {
    if (value === false || value === undefined) return [];
    return value === true ? [name] : [`${name} ${Array.isArray(value) ? value.join("/") : String(value)}`];
  });
  return words.length === 0 ? "nothing beyond what its role demands" : words.join(", ");
}

interface Schema {
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  description?: string;
  default?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  writeOnly?: boolean;
  format?: string;
}

function argumentRows(schema: Schema, prefix: string): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, option]) => {
    const key = `${prefix}${name}`;
    if (option.properties !== undefined) return argumentRows(option, `${key}.`);
    const isRequired = schema.required?.includes(name) === true && option.default === undefined;
    const standard = isRequired ? "(required)" : option.default === undefined ? "-" : JSON.stringify(option.default);
    const secret = option.writeOnly === true ? " (a secret)" : "";
    return [[visible(key), visible(typeOf(option)), visible(standard), visible((option.description ?? "") + secret)]];
  });
}

function typeOf(option: Schema): string {
  if (option.enum !== undefined) return option.enum.map((value) => JSON.stringify(value)).join("|");
  if (option.const !== undefined) return JSON.stringify(option.const);
  if (option.anyOf !== undefined) return [...new Set(option.anyOf.map(typeOf))].join("|");
  if (option.format === "path") return "path";
  return option.type === undefined ? "any" : [option.type].flat().join("|");
}
