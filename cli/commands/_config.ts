/** Finding and reading the configuration, with the drivers that it may name. */
import { ConfigError, findConfigFile, loadConfig, pluginDirsIn } from "../../lib/config/mod.ts";
import type { Config } from "../../lib/config/types.ts";
import { type DiscoverOptions, discoverPlugins, type PluginSet } from "../../lib/host/mod.ts";
import type { Context } from "../context.ts";

export interface Loaded {
  config: Config;
  plugins: PluginSet;
}

/**
 * Reads the configuration that `--config` or its variable names, or the first of the default places.
 * @param flags settings that other options give, by key
 * @throws {ConfigError} If there is none, or with everything that is wrong in it
 */
export function readConfig(
  context: Context,
  flag: string | undefined,
  flags: Record<string, string | undefined> = {},
): Loaded {
  const file = findConfigFile(flag, context.variables);
  // Plugins are looked for where the file says, and its devices are checked against what the plugins say.
  let places: PluginPlaces = { configDirs: [], settings: {} };
  try {
    places = placesOf(loadConfig(file, { env: context.variables }));
  } catch (error) {
    // Told below, with what is wrong in the devices.
    if (!(error instanceof ConfigError)) throw error;
    places.configDirs = pluginDirsIn(file);
  }
  const plugins = discoverPlugins({ ...places, env: context.env });
  return { config: loadConfig(file, { env: context.variables, flags, plugins }), plugins };
}

/** What a configuration says of plugins: for `discoverPlugins()`. */
export type PluginPlaces = Required<Pick<DiscoverOptions, "configDirs" | "settings">>;

function placesOf({ pluginDirs, pluginSettings }: Config): PluginPlaces {
  return { configDirs: pluginDirs, settings: pluginSettings };
}

/** `plugins` of a configuration, when there is one that can be read: drivers are listed without one too. */
export function pluginPlacesOf(context: Context, flag: string | undefined): PluginPlaces {
  const isNamed = context.option(flag, "config") !== undefined;
  try {
    return placesOf(loadConfig(findConfigFile(flag, context.variables), { env: context.variables }));
  } catch (error) {
    if (!(error instanceof ConfigError) || isNamed) throw error;
    if (error.problems.some((problem) => problem.key !== "" || problem.line !== undefined)) {
      context.say('Plugins that config.json names are not looked for: "filesync config check" says what is wrong', 4);
    }
    return { configDirs: [], settings: {} };
  }
}
