/** Finding one driver by its name or its folder. */
import { didYouMean } from "../../lib/config/mod.ts";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { discoverPlugins, type Plugin } from "../../lib/host/mod.ts";
import { CliError, type Context } from "../context.ts";
import { pluginPlacesOf } from "./_config.ts";

/**
 * The driver that `what` names. What holds a `/` is a folder.
 * @throws {CliError} 2 when there is none, with the nearest name
 */
export function findPlugin(context: Context, what: string, configFlag: string | undefined): Plugin {
  if (what.includes("/") || what === "." || what === "..") return pluginInFolder(what);
  const plugins = discoverPlugins({ ...pluginPlacesOf(context, configFlag), env: context.env });
  const plugin = plugins.get(what);
  if (plugin !== undefined) return plugin;
  throw new CliError(EXIT.usage, `There is no driver "${what}"${didYouMean(what, plugins.keys())}`, {
    hint: '"filesync plugins list" shows the drivers that there are; "./NAME" is the one in a folder',
  });
}

function pluginInFolder(folder: string): Plugin {
  let path: string;
  try {
    path = Deno.realPathSync(folder);
  } catch (error) {
    throw new CliError(EXIT.usage, `Cannot look into "${folder}": ${(error as Error).message}`, { cause: error });
  }
  const found = discoverPlugins({ configDirs: [path], builtIn: [], env: () => undefined, systemDir: "" }).all();
  const plugin = found.find(({ origin }) => origin === path);
  if (plugin !== undefined) return plugin;
  const hint = found.length === 0
    ? "A driver's folder holds a filesync-plugin.json: plugins/README.md describes it"
    : `There are drivers in ${found.map(({ origin }) => `"${origin}"`).join(", ")}`;
  throw new CliError(EXIT.usage, `There is no driver in "${folder}"`, { hint });
}

/**
 * A file's text.
 * @throws {CliError} 2 when it cannot be read
 */
export function readNamedFile(file: string): string {
  try {
    return Deno.readTextFileSync(file);
  } catch (error) {
    throw new CliError(EXIT.usage, `Cannot read "${file}": ${(error as Error).message}`, { cause: error });
  }
}
