/** What every command's route is made of: lazy loading, options, help with examples. */
import type { Context } from "./context.ts";
import { report } from "./errors.ts";
import type { Names } from "./commands/names.ts";

/** Loads `run` of a command's module when the command is run; errors are told here and nowhere else. */
export function lazy<Flags, Args extends (string | undefined)[]>(
  load: () => Promise<{ run: (context: Context, flags: Flags, ...args: Args) => Promise<number> }>,
) {
  return async () => {
    const { run } = await load();
    return async function (this: Context, flags: Flags, ...args: Args): Promise<void> {
      try {
        this.exitCode = await run(this, flags, ...args);
      } catch (error) {
        this.exitCode = report(error, this);
      }
    };
  };
}

/** Takes an argument as it is. */
export const text = (input: string): string => input;

/** A switch. */
export function flag(brief: string) {
  return { kind: "boolean", optional: true, withNegated: false, brief } as const;
}

/** An option with a value. */
export function value(brief: string, placeholder: string) {
  return { kind: "parsed", parse: text, optional: true, brief, placeholder } as const;
}

/** An option whose value is one of the names that `proposeCompletions` knows. */
export function name(brief: string, proposeCompletions: Names) {
  return { ...value(brief, "NAME"), proposeCompletions } as const;
}

/** `--config`. */
export const config = value("Use this configuration FILE", "FILE");
/** `--json`. */
export const json = flag("Print JSON on stdout, one object a line");

/** Help with examples. */
export function docs(brief: string, description: string, examples: [command: string, what: string][]) {
  const width = Math.max(...examples.map(([command]) => command.length));
  const lines = examples.map(([command, what]) => `  ${`filesync ${command}`.padEnd(width + 11)}${what}`);
  return { brief, fullDescription: `${description}\n\nEXAMPLES\n${lines.join("\n")}` };
}
