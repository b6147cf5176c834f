/** `filesync plugins list`. */
import { discoverPlugins, type Plugin } from "../../lib/host/mod.ts";
import { visible } from "../../lib/observe/visible.ts";
import type { Context } from "../context.ts";
import { table } from "../output/table.ts";
import { stdoutColumns } from "../output/terminal.ts";
import { pluginPlacesOf } from "./_config.ts";

export interface Flags {
  config?: string;
  json?: boolean;
}

export function run(context: Context, flags: Flags): Promise<number> {
  const plugins = discoverPlugins({ ...pluginPlacesOf(context, flags.config) }).all();
  if (context.switch(flags.json, "json")) {
    for (const plugin of plugins) {
      const { name, version, description, roles, exclusive, args, origin, problem, hint } = plugin;
      if (
        !context.printJson({ schema: 1, name, version, description, roles, exclusive, origin, args, problem, hint })
      ) break;
    }
    return Promise.resolve(0);
  }
  const rows = plugins.map((plugin) => [
    visible(plugin.name),
    visible(plugin.version) || "-",
    plugin.roles.join(", ") || "-",
    visible(plugin.origin),
    plugin.problem === undefined ? visible(plugin.description) : "cannot be used, see below",
  ]);
  const columns = ["NAME", "VERSION", "ROLES", "ORIGIN", "DESCRIPTION"].map((title) => ({ title }));
  for (const line of table(columns, rows, stdoutColumns())) context.print(line);
  for (const plugin of plugins) tellProblem(context, plugin);
  return Promise.resolve(0);
}

function tellProblem(context: Context, plugin: Plugin): void {
  if (plugin.problem === undefined) return;
  context.say(`\nCannot use plugin "${plugin.name}" in "${plugin.origin}": ${plugin.problem}`, 4);
  if (plugin.hint !== undefined) context.say(`  ${plugin.hint}`, 4);
}
