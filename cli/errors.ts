/**
 * How an error is told to a person, and with which code the program ends.
 */
import type { ErrorCode } from "../lib/driver/mod.ts";
import { EXIT, exitOfCode } from "../lib/engine/exit_codes.ts";
import { CliError, type Context } from "./context.ts";
import { count } from "./output/format.ts";

interface Told {
  exitCode: number;
  message: string;
  hint?: string | undefined;
  /** Whether the fault is ours. */
  isBug?: boolean;
}

/** Says what went wrong on stderr and returns the exit code. */
export function report(error: unknown, context: Pick<Context, "env" | "say">): number {
  const told = tell(error);
  context.say(told.message.startsWith("filesync: ") ? told.message : `filesync: ${told.message}`, 3);
  if (told.hint !== undefined) context.say(`  ${told.hint}`, 3);
  if (told.isBug === true) {
    context.say("  This is a bug in filesync; nothing that was found is lost. Please report it with what you did", 3);
    if (context.env("FILESYNC_DEBUG") !== "1") {
      context.say("  and with the output of the same command under FILESYNC_DEBUG=1", 3);
    }
  }
  if (context.env("FILESYNC_DEBUG") === "1") context.say(stackOf(error), 7);
  return told.exitCode;
}

// By name, so that a command that needs no engine does not load it.
function tell(error: unknown): Told {
  if (!(error instanceof Error)) {
    return { exitCode: EXIT.failed, message: `Internal error: ${String(error)}`, isBug: true };
  }
  const { message } = error;
  const { code, hint, exitCode } = error as { code?: unknown; hint?: unknown; exitCode?: unknown };
  const common = { message, ...(typeof hint === "string" ? { hint } : {}) };
  if (error instanceof CliError) return { ...common, exitCode: error.exitCode };
  switch (error.name) {
    case "ConfigError":
      return {
        exitCode: EXIT.config,
        message: configMessage(message, (error as { problems?: unknown[] }).problems ?? []),
      };
    case "EngineError":
      return { ...common, exitCode: typeof exitCode === "number" ? exitCode : EXIT.failed };
    case "ServiceError":
      return { ...common, exitCode: EXIT.failed };
    case "StateError":
    case "SpoolError":
      return { ...common, exitCode: code === "no_space" ? EXIT.failed : EXIT.state };
    case "DriverError": {
      const { details } = error as Error & { details?: { hint?: string } };
      return { message, hint: details?.hint, exitCode: exitOfCode(code as ErrorCode) };
    }
  }
  const isOurs = !Object.values(Deno.errors).some((kind) => error instanceof kind) && typeof code !== "string";
  return isOurs
    ? { exitCode: EXIT.failed, message: `Internal error: ${error.name}: ${message}`, isBug: true }
    : { exitCode: EXIT.failed, message };
}

/** A line for an editor to jump to for each problem, below a line that says what this is. */
function configMessage(message: string, problems: unknown[]): string {
  const isPlace = problems.some((problem) => (problem as { line?: number }).line !== undefined);
  return isPlace ? `Cannot use the configuration: ${count(problems.length, "problem")}\n${message}` : message;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\nCaused by: ${stackOf(error.cause)}`;
  return (error.stack ?? error.message) + cause;
}
