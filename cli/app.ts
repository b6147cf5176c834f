/**
 * Reads the command line, runs the command, and answers with the exit code.
 */
import {
  AliasNotFoundError,
  type ApplicationText,
  ArgumentScannerError,
  buildApplication,
  ExitCode,
  FlagNotFoundError,
  formatMessageForArgumentScannerError,
  run,
  text_en,
} from "@stricli/core";
import { EXIT } from "../lib/engine/exit_codes.ts";
import { CliError, Context, type ContextOptions } from "./context.ts";
import { report } from "./errors.ts";
import { routes } from "./routes.ts";
import { VERSION } from "./version.ts";

/** Groups of commands: named alone they show their help, and that is a mistake in a script. */
const GROUPS = ["plugins", "config", "service", "serve"];

/** Runs one command. Never throws. */
export async function main(args: string[], options: ContextOptions): Promise<number> {
  const context = new Context(options);
  const onBug = async (error: unknown): Promise<never> => {
    const code = report(error, context);
    await context.flush();
    return context.exit(code);
  };
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    onBug(event.reason);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    onBug(event.error);
  });
  const application = buildApplication(routes, {
    name: "filesync",
    versionInfo: { currentVersion: VERSION },
    scanner: {
      caseStyle: "allow-kebab-for-camel",
      allowArgumentEscapeSequence: true,
      // Tighter than stricli's own: two typing errors are one too many for a good guess.
      distanceOptions: { threshold: 3, weights: { insertion: 1, deletion: 2, substitution: 2, transposition: 0 } },
    },
    documentation: { onlyRequiredInUsageLine: true },
    localization: { text: TEXT },
  });
  context.isUsage = isAlone(args);
  try {
    return await exitCodeOf(() => run(application, args, context), context);
  } finally {
    await context.flush();
  }
}

async function exitCodeOf(work: () => Promise<void>, context: Context): Promise<number> {
  try {
    await work();
  } catch (error) {
    return report(error, context);
  }
  if (context.lost !== undefined) {
    return report(new CliError(EXIT.failed, `Cannot write to stdout: ${context.lost.message}`), context);
  }
  const code = context.process.exitCode;
  if (code === ExitCode.UnknownCommand || code === ExitCode.InvalidArgument) return EXIT.usage;
  if (context.exitCode !== undefined) return context.exitCode;
  if (code !== ExitCode.Success) return EXIT.failed;
  return context.isUsage ? EXIT.usage : EXIT.ok;
}

/** No command, or a group of commands alone. */
function isAlone(args: string[]): boolean {
  return args.length === 0 || (args.length === 1 && GROUPS.includes(args[0]!));
}

function alternatives(corrections: readonly string[]): string {
  if (corrections.length === 0) return "";
  return `; did you mean ${corrections.map((name) => `"${name.replaceAll("`", "")}"`).join(" or ")}?`;
}

const HELP = '\n  "filesync --help" lists the commands, "filesync COMMAND --help" their options';

const TEXT: ApplicationText = {
  ...text_en,
  briefs: { ...text_en.briefs, help: "Show this help", version: "Show the version" },
  noCommandRegisteredForInput: ({ input, corrections }) =>
    `filesync: Unknown command "${input}"${alternatives(corrections)}${HELP}`,
  exceptionWhileParsingArguments: (error) => {
    if (error instanceof FlagNotFoundError) {
      return `filesync: Unknown option "--${error.input}"${
        alternatives(error.corrections.map((name) =>
          `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
        ))
      }${HELP}`;
    }
    if (error instanceof AliasNotFoundError) return `filesync: Unknown option "-${error.input}"${HELP}`;
    const words = error instanceof ArgumentScannerError
      ? formatMessageForArgumentScannerError(error, {})
      : String(error);
    return `filesync: ${words}${HELP}`;
  },
};
