/** `filesync plugins remove NAME`. */
import { ConfigError, findConfigFile, loadConfig } from "../../lib/config/mod.ts";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { installDir, InstallError, removePlugin } from "../../lib/host/install.ts";
import { CliError, type Context } from "../context.ts";
import { findPlugin } from "./_plugins.ts";

export interface Flags {
  config?: string;
  force?: boolean;
  json?: boolean;
}

export function run(context: Context, flags: Flags, name: string): Promise<number> {
  const plugin = findPlugin(context, name, flags.config);
  if (!context.switch(flags.force, "force")) refuseUsed(context, flags, plugin.name);
  try {
    removePlugin(plugin, [false, true].flatMap((system) => placeOf(system, context)));
  } catch (error) {
    if (!(error instanceof InstallError)) throw error;
    throw new CliError(EXIT.failed, error.message, {
      cause: error,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
  }
  const { version, origin } = plugin;
  if (context.switch(flags.json, "json")) {
    context.printJson({ schema: 1, event: "removed", name: plugin.name, version, origin });
  } else context.print(`Removed driver "${plugin.name}"${version === "" ? "" : ` ${version}`} from "${origin}"`);
  return Promise.resolve(EXIT.ok);
}

function placeOf(system: boolean, context: Context): string[] {
  try {
    return [installDir(system, context.env)];
  } catch (error) {
    if (error instanceof InstallError) return [];
    throw error;
  }
}

/** Its jobs would stand still. */
function refuseUsed(context: Context, flags: Flags, name: string): void {
  let users: string[];
  try {
    const config = loadConfig(findConfigFile(flags.config, context.variables), { env: context.variables });
    users = config.devices.filter(({ driver }) => driver === name).map((device) => device.name);
    if (users.length === 0) return;
    const devices = users.map((user) => `"${user}"`).join(", ");
    throw new CliError(EXIT.failed, `Driver "${name}" is used by ${devices} of "${config.file}"`, {
      hint: "Take it out of the configuration first, or use --force",
    });
  } catch (error) {
    // Without a configuration that can be read nothing uses it.
    if (!(error instanceof ConfigError)) throw error;
  }
}
