/** Names that may stand on the command line, for its completion: of jobs, targets, devices, plugins. */
import type { Context } from "../context.ts";

/** Those of some kind that begin as `partial` does. */
export type Names = (this: Context, partial: string) => Promise<string[]>;

function startingWith(partial: string, names: Iterable<string>): string[] {
  return [...new Set(names)].filter((name) => name.startsWith(partial)).sort();
}

async function configOf(context: Context) {
  const { readConfig } = await import("./_config.ts");
  return readConfig(context, undefined).config;
}

/** Jobs of the configuration. */
export const jobNames: Names = async function (partial) {
  return startingWith(partial, (await configOf(this)).jobs.map(({ name }) => name));
};

/** Targets of its jobs. */
export const targetNames: Names = async function (partial) {
  return startingWith(partial, (await configOf(this)).jobs.flatMap(({ targets }) => targets.map(({ name }) => name)));
};

/** Devices of the configuration, named and inline. */
export const deviceNames: Names = async function (partial) {
  return startingWith(partial, (await configOf(this)).devices.map(({ name }) => name));
};

/** Plugins that are found. */
export const pluginNames: Names = async function (partial) {
  const [{ discoverPlugins }, { pluginPlacesOf }] = await Promise.all([
    import("../../lib/host/mod.ts"),
    import("./_config.ts"),
  ]);
  const plugins = discoverPlugins({ ...pluginPlacesOf(this, undefined), env: this.env });
  return startingWith(partial, plugins.keys());
};
