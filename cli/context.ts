/**
 * What a command is given: streams, the environment, its options with their variables, a way to say how it ended.
 */
import type { StricliProcess } from "@stricli/core";
import { EXIT } from "../lib/engine/exit_codes.ts";
import { visible } from "../lib/observe/visible.ts";
import { stderrOutlet } from "../lib/observe/outlet.ts";
import { writeAllSync } from "../lib/observe/write_all.ts";
import { detectTerminal, stderrColumns, type Terminal } from "./output/terminal.ts";
import { wrapAll } from "./output/wrap.ts";

/** How long a reader of stderr that takes nothing is waited for at the end, milliseconds. */
const FLUSH_MS = 500;

/** An error of the command line's own, for people. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: number;
  readonly hint: string | undefined;

  constructor(exitCode: number, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = exitCode;
    this.hint = options.hint;
  }
}

export interface ContextOptions {
  /** Ends the process at once. */
  exit: (code: number) => never;
}

export class Context {
  /** What stricli needs. */
  readonly process: StricliProcess;
  readonly terminal: Terminal;
  readonly exit: (code: number) => never;
  /** Set by the command that ran. */
  exitCode: number | undefined;
  /** Why a result could not be written; absent when all was, or when its reader had enough (`| head`). */
  lost: Error | undefined;
  /** What is printed is no result: help for someone who gave no command. */
  isUsage = false;
  #isStdoutOpen = true;

  constructor(options: ContextOptions) {
    this.exit = options.exit;
    this.terminal = detectTerminal(this.env);
    const depth = (colour: boolean) => () => colour ? 8 : 1;
    this.process = {
      stdout: {
        write: (text) => this.isUsage ? this.say(text.replace(/\n$/, "")) : this.#write(text),
        getColorDepth: depth(this.terminal.stdoutColour),
      },
      stderr: { write: (text) => this.say(text.replace(/\n$/, "")), getColorDepth: depth(false) },
    };
  }

  /** All variables of the environment. */
  readonly variables: Record<string, string> = Deno.env.toObject();

  readonly env = (name: string): string | undefined => this.variables[name];

  /**
   * One line of a result, on stdout.
   * @returns `false` when nobody reads any more (`| head`): a command may end, and what it has said was enough
   */
  print(line: string): boolean {
    return this.#write(line + "\n");
  }

  /** One object as a line of JSON that is safe to look at: what could move a cursor is escaped. */
  printJson(value: unknown): boolean {
    return this.print(safeJson(value));
  }

  #write(text: string): boolean {
    if (this.#isStdoutOpen) {
      this.#isStdoutOpen = writeAllSync(Deno.stdout, text, Infinity, (error) => {
        if (error instanceof Error && !(error instanceof Deno.errors.BrokenPipe)) this.lost = error;
      });
    }
    return this.#isStdoutOpen;
  }

  /** Words for a person, on stderr; may be several lines. In the journal they are of level info unless told. */
  say(text: string, priority = 6): void {
    const prefix = this.terminal.journal ? `<${priority}>` : "";
    const lines = wrapAll(text.split("\n").map(visible), stderrColumns()).map((line) => prefix + line);
    stderrOutlet().write(lines.join("\n") + "\n");
  }

  /** Waits until what was said has been written; not long for a reader that does not read. */
  flush(): Promise<void> {
    return stderrOutlet().flush(FLUSH_MS);
  }

  /** A switch: the flag, else its variable, else `fallback`. */
  switch(flag: boolean | undefined, name: string, fallback = false): boolean {
    if (flag !== undefined) return flag;
    const variable = variableOf(name);
    const value = this.env(variable)?.trim().toLowerCase();
    if (value === undefined || value === "") return fallback;
    if (["1", "true", "yes", "on"].includes(value)) return true;
    if (["0", "false", "no", "off"].includes(value)) return false;
    throw new CliError(EXIT.usage, `Cannot understand ${variable}="${value}": expected 1 or 0`);
  }

  /** An option with a value: the flag, else its variable. */
  option(flag: string | undefined, name: string): string | undefined {
    return flag ?? (this.env(variableOf(name)) || undefined);
  }

  /** An option that may be given more than once; its variable separates by commas. */
  options(flag: readonly string[] | undefined, name: string): string[] | undefined {
    if (flag !== undefined && flag.length > 0) return [...flag];
    const names = (this.env(variableOf(name)) ?? "").split(",").map((part) => part.trim()).filter((part) =>
      part !== ""
    );
    return names.length > 0 ? names : undefined;
  }
}

function variableOf(name: string): string {
  return `FILESYNC_${name.replaceAll("-", "_").toUpperCase()}`;
}

/** JSON in which also the characters above U+007E that terminals act on are escaped. */
export function safeJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
