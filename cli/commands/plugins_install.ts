/** `filesync plugins install DIR|ARCHIVE`. */
import { describedFixture, parseDescription, TEST_FILE_NAME } from "../../lib/conformance/mod.ts";
import { DriverError } from "../../lib/driver/mod.ts";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { discoverPlugins, type Plugin } from "../../lib/host/mod.ts";
import { installDir, InstallError, installPlugin } from "../../lib/host/install.ts";
import { CliError, type Context } from "../context.ts";
import { pluginPlacesOf } from "./_config.ts";
import { handshake } from "./_handshake.ts";

export interface Flags {
  config?: string;
  system?: boolean;
  force?: boolean;
  json?: boolean;
}

export async function run(context: Context, flags: Flags, source: string): Promise<number> {
  const path = whole(source);
  try {
    const { plugin, replaced } = await installPlugin(path, {
      dir: installDir(context.switch(flags.system, "system"), context.env),
      force: context.switch(flags.force, "force"),
      tryOut,
    });
    const { name, version, roles, origin } = plugin;
    const config = { [roles[0]!]: { driver: name, args: exampleArgs(plugin) } };
    if (context.switch(flags.json, "json")) {
      context.printJson({ schema: 1, event: "installed", name, version, roles, origin, replaced, config });
    } else {
      context.print(origin);
      const over = replaced === undefined ? "" : replaced === "" ? " over a broken one" : ` over ${replaced}`;
      context.say(`Installed driver "${name}" ${version}${over}. In a job of the configuration:`);
      context.say(`  ${JSON.stringify(config).slice(1, -1)}`);
      context.say(
        `"filesync plugins info ${name}" tells its arguments; a sync that runs knows it after its next start`,
      );
    }
    warnOfShadow(context, flags, plugin);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof InstallError)) throw error;
    throw new CliError(EXIT.failed, error.message, {
      cause: error,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
  }
}

function whole(source: string): string {
  try {
    return Deno.realPathSync(source);
  } catch (error) {
    throw new CliError(EXIT.usage, `Cannot read "${source}": ${(error as Error).message}`, { cause: error });
  }
}

/** Starts it once, with arguments that it would take if it says which: what does not speak is not installed. */
async function tryOut(plugin: Plugin): Promise<void> {
  for (const role of plugin.roles) {
    try {
      await handshake(plugin, role, argsToTry(plugin));
    } catch (error) {
      if (!(error instanceof DriverError)) throw error;
      // It understood the question, and wants other arguments.
      if (error.code === "invalid_config") continue;
      throw new InstallError(
        `Plugin "${plugin.name}" does not work as a ${role}: ${error.message}`,
        error.details.hint ?? "Nothing was installed",
        { cause: error },
      );
    }
  }
}

function argsToTry(plugin: Plugin): Record<string, unknown> {
  try {
    const description = parseDescription(Deno.readTextFileSync(`${plugin.origin}/${TEST_FILE_NAME}`));
    return describedFixture(plugin, description).absentArgs;
  } catch {
    // Without a description, or with one that "plugins test" will find fault with.
    return {};
  }
}

/** The arguments that must be given, each with its type in the place of its value. */
function exampleArgs({ args }: Plugin): Record<string, string> {
  const { required = [], properties = {} } = args as {
    required?: string[];
    properties?: Record<string, { type?: string; format?: string; default?: unknown }>;
  };
  return Object.fromEntries(
    required.filter((name) => properties[name]?.default === undefined)
      .map((name) => [name, `<${properties[name]?.format ?? properties[name]?.type ?? "value"}>`]),
  );
}

/** A plugin of the same name may lie where it is found first. */
function warnOfShadow(context: Context, flags: Flags, { name, origin }: Plugin): void {
  const found = discoverPlugins({ ...pluginPlacesOf(context, flags.config), env: context.env }).get(name);
  if (found === undefined || found.origin === origin) return;
  context.say(`The plugin "${name}" in "${found.origin}" is found first, and used instead of this one`, 4);
}
