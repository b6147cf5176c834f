/** Finds the plugins on this machine. A broken one is listed with its problem; nothing here throws. */
import { BUILT_IN_MANIFESTS } from "./builtin.ts";
import type { PluginLimits } from "./limits.ts";
import {
  BUILT_IN_ORIGIN,
  checkManifest,
  type Manifest,
  MANIFEST_NAME,
  ManifestError,
  type Plugin,
  readManifest,
} from "./manifest.ts";
import type { Wrapper } from "./sandbox.ts";

/** Where packages of the machine put plugins. */
export const SYSTEM_DIR = "/usr/local/lib/filesync/plugins";

/** What a configuration says of one plugin. */
export interface PluginSettings {
  limits?: Partial<PluginLimits>;
  wrapper?: Wrapper;
}

/** Where to look for plugins. */
export interface DiscoverOptions {
  /** `plugins.dirs` of the config, absolute. */
  configDirs?: readonly string[];
  /** What the config says of single plugins, by name. */
  settings?: Readonly<Record<string, PluginSettings>>;
  /** Manifests of the built-in set. @default {those of plugins/} */
  builtIn?: readonly unknown[];
  /** @default {Deno.env.get} */
  env?: (name: string) => string | undefined;
  /** @default {"/usr/local/lib/filesync/plugins"} */
  systemDir?: string;
}

/** Plugins by name. One with a `problem` is there so that a config that names it is told why it cannot be used. */
export class PluginSet extends Map<string, Plugin> {
  /** Those whose name was taken already, each with its problem. */
  readonly shadowed: Plugin[] = [];

  /** Every plugin that was found, for a listing. */
  all(): Plugin[] {
    return [...this.values(), ...this.shadowed];
  }

  /** Names of usable plugins, sorted. */
  names(): string[] {
    return [...this.values()].filter((plugin) => plugin.problem === undefined).map((plugin) => plugin.name).sort();
  }
}

/**
 * Looks in the built-in set, the config's directories, `$FILESYNC_PLUGIN_PATH`, `$XDG_DATA_HOME/filesync/plugins` and
 * the system's directory, in this order; the first of a name wins. A directory is a plugin's folder itself or holds
 * one folder for each.
 */
export function discoverPlugins(options: DiscoverOptions = {}): PluginSet {
  const plugins = new PluginSet();
  for (const value of options.builtIn ?? BUILT_IN_MANIFESTS) plugins.set((value as Manifest).name, builtIn(value));
  const seen = new Set<string>();
  for (const dir of searchDirs(options)) {
    for (const folder of pluginFolders(dir)) {
      const real = realPath(folder);
      if (seen.has(real)) continue;
      seen.add(real);
      add(plugins, thirdParty(folder));
    }
  }
  for (const [name, settings] of Object.entries(options.settings ?? {})) {
    const plugin = plugins.get(name);
    if (plugin !== undefined) settle(plugin, settings);
  }
  return plugins;
}

function searchDirs(options: DiscoverOptions): string[] {
  const env = options.env ?? ((name) => Deno.env.get(name));
  const own = userDir(env);
  return [
    ...(options.configDirs ?? []),
    ...(env("FILESYNC_PLUGIN_PATH") ?? "").split(":").filter((dir) => dir !== ""),
    ...(own === undefined ? [] : [own]),
    options.systemDir ?? SYSTEM_DIR,
  ];
}

/** Where the plugins of the user are; `undefined` for one without a home. */
export function userDir(env: (name: string) => string | undefined): string | undefined {
  const home = env("HOME");
  const data = env("XDG_DATA_HOME") || (home ? `${home}/.local/share` : undefined);
  return data === undefined ? undefined : `${data}/filesync/plugins`;
}

function pluginFolders(dir: string): string[] {
  if (exists(`${dir}/${MANIFEST_NAME}`)) return [dir];
  try {
    return [...Deno.readDirSync(dir)]
      .filter((item) => !item.isFile && exists(`${dir}/${item.name}/${MANIFEST_NAME}`))
      .map((item) => `${dir}/${item.name}`)
      .sort();
  } catch {
    // A search directory that is not there, or not ours to read, holds no plugin for us.
    return [];
  }
}

function builtIn(value: unknown): Plugin {
  return toPlugin(checkManifest(value), BUILT_IN_ORIGIN);
}

function thirdParty(folder: string): Plugin {
  try {
    return toPlugin(readManifest(folder), folder);
  } catch (error) {
    const { pluginName, hint } = error instanceof ManifestError ? error : {};
    return {
      name: pluginName ?? folder.replace(/\/+$/, "").replace(/^.*\//, ""),
      version: "",
      description: "",
      roles: [],
      exclusive: false,
      args: {},
      origin: folder,
      problem: error instanceof Error ? error.message : String(error),
      ...(hint === undefined ? {} : { hint }),
    };
  }
}

function toPlugin(manifest: Manifest, origin: string): Plugin {
  const { name, version, description, roles, exclusive, args, command, permissions, limits } = manifest;
  const plugin: Plugin = { name, version, description, roles, exclusive: exclusive ?? false, args, origin };
  if (command !== undefined && origin !== BUILT_IN_ORIGIN) plugin.command = command;
  if (permissions !== undefined) plugin.permissions = permissions;
  if (limits !== undefined) plugin.limits = known(limits);
  return plugin;
}

/** Without the fields that are there and undefined. */
function known<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as ReturnType<
    typeof known<T>
  >;
}

/** What the configuration says of a plugin goes over what its manifest asks for. */
function settle(plugin: Plugin, { limits, wrapper }: PluginSettings): void {
  if (limits !== undefined) plugin.limits = { ...plugin.limits, ...limits };
  if (wrapper === undefined) return;
  if (plugin.origin !== BUILT_IN_ORIGIN) plugin.wrapper = wrapper;
  else {
    plugin.problem ??= "Its process is held by Deno's permissions: a wrapper is for drivers of other people";
    plugin.hint ??= `Remove "plugins.wrappers.${plugin.name}" from the configuration`;
  }
}

function add(plugins: PluginSet, plugin: Plugin): void {
  const first = plugins.get(plugin.name);
  if (first === undefined) {
    plugins.set(plugin.name, plugin);
    return;
  }
  if (plugin.problem !== undefined) {
    plugins.shadowed.push(plugin);
    return;
  }
  plugins.shadowed.push({
    ...plugin,
    problem: first.origin === BUILT_IN_ORIGIN
      ? `A plugin cannot take the built-in name "${plugin.name}"`
      : `Name "${plugin.name}" is taken by the plugin in "${first.origin}"`,
    hint: `Give the plugin in "${plugin.origin}" another name`,
  });
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    // What cannot be looked at is listed with that problem rather than left out.
    return !(error instanceof Deno.errors.NotFound) && !(error instanceof Deno.errors.NotADirectory);
  }
}

function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    return path;
  }
}
