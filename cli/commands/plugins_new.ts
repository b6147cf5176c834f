/** `filesync plugins new NAME`. */
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { BUILT_IN_MANIFESTS } from "../../lib/host/builtin.ts";
import { didYouMean } from "../../lib/config/mod.ts";
import { CliError, type Context } from "../context.ts";
import { filesOf, type Language, TEMPLATES } from "../templates.ts";

export interface Flags {
  lang?: string;
  dir?: string;
}

const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;

export async function run(context: Context, flags: Flags, name: string): Promise<number> {
  const language = languageOf(context.option(flags.lang, "lang"));
  if (!NAME.test(name)) {
    throw new CliError(EXIT.usage, `Cannot call a driver "${name}": expected a-z, 0-9 and -, at most 64 characters`);
  }
  if (BUILT_IN_MANIFESTS.some((manifest) => (manifest as { name: string }).name === name)) {
    throw new CliError(EXIT.usage, `Cannot call a driver "${name}": that is the name of a built-in one`);
  }
  const dir = context.option(flags.dir, "dir") ?? `./${name}`;
  await makeEmpty(dir);
  for (const file of filesOf(language, name)) {
    const path = `${dir}/${file.name}`;
    // A plugin that others can write to is refused.
    const mode = file.isProgram ? 0o755 : 0o644;
    await Deno.writeTextFile(path, file.text, { createNew: true, mode });
    context.print(path);
  }
  const shown = dir.includes("/") ? dir : `./${dir}`;
  context.say(
    `A driver in ${TEMPLATES[language].needs.split(/[ ,]/)[0]} that works; try it: filesync plugins test ${shown}`,
  );
  return EXIT.ok;
}

function languageOf(name: string | undefined): Language {
  const known = Object.keys(TEMPLATES);
  if (name !== undefined && Object.hasOwn(TEMPLATES, name)) return name as Language;
  const hint = `--lang ${known.join(", --lang ")}`;
  if (name === undefined) throw new CliError(EXIT.usage, "In which language?", { hint });
  throw new CliError(EXIT.usage, `There is no driver to begin with in "${name}"${didYouMean(name, known)}`, { hint });
}

/** Makes the folder; one that holds something is left alone. */
async function makeEmpty(dir: string): Promise<void> {
  try {
    await Deno.mkdir(dir, { recursive: true, mode: 0o755 });
    for await (const { name } of Deno.readDir(dir)) {
      throw new CliError(EXIT.failed, `Cannot make a driver in "${dir}": it holds "${name}" already`, {
        hint: "Name another folder with --dir",
      });
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(EXIT.failed, `Cannot make "${dir}": ${(error as Error).message}`, { cause: error });
  }
}
