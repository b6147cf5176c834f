/** `filesync config convert`. */
import { convertLegacy, findConfigFile } from "../../lib/config/mod.ts";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { CliError, type Context } from "../context.ts";

export interface Flags {
  config?: string;
  output?: string;
}

export async function run(context: Context, flags: Flags): Promise<number> {
  const text = convertLegacy(findConfigFile(flags.config, context.variables)).trimEnd() + "\n";
  const output = context.option(flags.output, "output");
  if (output === undefined) {
    context.print(text.trimEnd());
    return 0;
  }
  try {
    // It may hold passwords.
    await Deno.writeTextFile(output, text, { createNew: true, mode: 0o600 });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      throw new CliError(EXIT.failed, `Cannot write "${output}": it exists already`, {
        hint: "Name another file, or remove this one first",
        cause: error,
      });
    }
    throw new CliError(EXIT.failed, `Cannot write "${output}": ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
  context.say(`Wrote "${output}"`);
  return 0;
}
