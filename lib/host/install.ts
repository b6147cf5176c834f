/**
 * Putting a plugin where plugins are looked for, and taking it away: by one rename each, so that a search finds a whole
 * plugin or none.
 */
import { dirname, join } from "node:path";
import { discoverPlugins, SYSTEM_DIR, userDir } from "./discover.ts";
import { BUILT_IN_MANIFESTS } from "./builtin.ts";
import { BUILT_IN_ORIGIN, MANIFEST_NAME, type Plugin } from "./manifest.ts";
import { pluginRoot, StageError, stagePlugin } from "./stage.ts";

/** Why a plugin is not installed or removed. */
export class InstallError extends Error {
  override readonly name = "InstallError";
  readonly hint: string | undefined;

  constructor(message: string, hint?: string, options?: ErrorOptions) {
    super(message, options);
    this.hint = hint;
  }
}

/** Where to, and over what. */
export interface InstallOptions {
  /** The folder of plugins, absolute. */
  dir: string;
  /** Whether one of the same name is replaced. */
  force: boolean;
  /** Tries the plugin where it was staged; what it throws ends the installation. */
  tryOut: (plugin: Plugin) => Promise<void>;
}

/** What was installed. */
export interface Installed {
  plugin: Plugin;
  /** The version that was there before. */
  replaced?: string;
}

/**
 * The folder that plugins of the user, or of the machine, are put into.
 * @throws {InstallError} If the user has no place for them
 */
export function installDir(system: boolean, env: (name: string) => string | undefined): string {
  if (system) return SYSTEM_DIR;
  const dir = userDir(env);
  if (dir === undefined) throw new InstallError("Cannot tell where your plugins are: $HOME is not set");
  return dir;
}

/**
 * Installs the plugin in a folder or an archive.
 * @throws {InstallError} If it is none, cannot be used, or is there already
 */
export async function installPlugin(source: string, { dir, force, tryOut }: InstallOptions): Promise<Installed> {
  const stage = makeStage(dir);
  try {
    await stagePlugin(source, `${stage}/new`);
    const root = pluginRoot(`${stage}/new`, MANIFEST_NAME);
    const plugin = usable(root, source);
    const place = join(dir, plugin.name);
    const before = there(place);
    if (before !== undefined && !force) {
      throw new InstallError(
        `Plugin "${plugin.name}" is in "${place}" already${before.version === "" ? "" : `, version ${before.version}`}`,
        "--force replaces it",
      );
    }
    await tryOut(plugin);
    if (before !== undefined) Deno.renameSync(place, `${stage}/old`);
    Deno.renameSync(root, place);
    const installed: Installed = { plugin: { ...plugin, origin: place } };
    return before === undefined ? installed : { ...installed, replaced: before.version };
  } catch (error) {
    if (error instanceof StageError) throw new InstallError(error.message, undefined, { cause: error });
    throw error;
  } finally {
    Deno.removeSync(stage, { recursive: true });
  }
}

/** Removes a plugin that lies in one of `dirs`. */
export function removePlugin(plugin: Plugin, dirs: readonly string[]): void {
  if (plugin.origin === BUILT_IN_ORIGIN) {
    throw new InstallError(`Driver "${plugin.name}" is built in: it goes with the program only`);
  }
  const place = Deno.realPathSync(plugin.origin);
  if (!dirs.some((dir) => realPath(dir) === dirname(place))) {
    throw new InstallError(
      `Plugin "${plugin.name}" lies in "${plugin.origin}", where "plugins install" puts none`,
      "Remove the folder yourself, or take it out of plugins.dirs or $FILESYNC_PLUGIN_PATH",
    );
  }
  const stage = makeStage(dirname(place));
  try {
    Deno.renameSync(place, `${stage}/old`);
  } finally {
    Deno.removeSync(stage, { recursive: true });
  }
}

/** A folder on the filesystem of `dir` that no search for plugins looks into, and that nobody else can write to. */
function makeStage(dir: string): string {
  try {
    Deno.mkdirSync(dir, { recursive: true, mode: 0o755 });
    const stage = Deno.makeTempDirSync({ dir: dirname(dir), prefix: ".plugin-" });
    Deno.mkdirSync(`${stage}/new`, { mode: 0o755 });
    return stage;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new InstallError(`Cannot write to "${dir}": ${why}`, undefined, { cause: error });
  }
}

function usable(root: string, source: string): Plugin {
  const found = discoverPlugins({ configDirs: [root], builtIn: [], env: () => undefined, systemDir: "" }).all();
  const plugin = found.find(({ origin }) => origin === root);
  if (plugin === undefined) {
    throw new InstallError(
      `There is no plugin in "${source}"`,
      `A plugin's folder or archive holds a ${MANIFEST_NAME}: plugins/README.md describes it`,
    );
  }
  if (plugin.problem !== undefined) {
    throw new InstallError(`Cannot use the plugin in "${source}": ${plugin.problem.replaceAll(root, source)}`);
  }
  if (BUILT_IN_MANIFESTS.some((manifest) => (manifest as { name: string }).name === plugin.name)) {
    throw new InstallError(`A plugin cannot take the built-in name "${plugin.name}"`, "Its author must rename it");
  }
  return plugin;
}

/** What lies at `place`: a plugin's version, `""` for a broken one; `undefined` when nothing does. */
function there(place: string): { version: string } | undefined {
  try {
    Deno.lstatSync(place);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const [plugin] = discoverPlugins({ configDirs: [place], builtIn: [], env: () => undefined, systemDir: "" }).all();
  if (plugin === undefined) {
    throw new InstallError(`Cannot replace "${place}": it is no plugin`, "Look what it is, and move it away");
  }
  return { version: plugin.version };
}

function realPath(path: string): string | undefined {
  try {
    return Deno.realPathSync(path);
  } catch {
    return undefined;
  }
}
