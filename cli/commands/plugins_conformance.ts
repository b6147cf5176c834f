/** `filesync plugins test NAME|DIR`. */
import { prepareArgs } from "../../lib/config/args.ts";
import {
  casesOf,
  type Check,
  describedFixture,
  DescriptionError,
  faultChecksOf,
  type Fixture,
  harmlessChecksOf,
  hasDirectory,
  parseDescription,
  readingChecksOf,
  TEST_FILE_NAME,
  type TestDescription,
} from "../../lib/conformance/mod.ts";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { BUILT_IN_ORIGIN, type Plugin } from "../../lib/host/mod.ts";
import { visible } from "../../lib/observe/visible.ts";
import { CliError, type Context } from "../context.ts";
import { count } from "../output/format.ts";
import { findPlugin, readNamedFile } from "./_plugins.ts";
import { StopSignals } from "./_signals.ts";

export interface Flags {
  config?: string;
  args?: string;
  only?: string;
  json?: boolean;
}

/** Checks at once: some of them wait for a rate limit, and none needs the processor for long. */
const AT_ONCE = 4;
/** Lines of a failure's words that a person is shown. */
const WORD_LINES = 12;

type Result = "passed" | "failed" | "skipped";

interface Outcome {
  check: Check;
  result: Result;
  words?: string;
}

export async function run(context: Context, flags: Flags, what: string): Promise<number> {
  const plugin = findPlugin(context, what, flags.config);
  if (plugin.problem !== undefined) {
    throw new CliError(EXIT.plugin, `Cannot use plugin "${plugin.name}": ${plugin.problem}`, {
      ...(plugin.hint === undefined ? {} : { hint: plugin.hint }),
    });
  }
  const description = descriptionOf(plugin, context.option(flags.args, "args"));
  const [guess] = isGuess(plugin, context.option(flags.args, "args")) ? Object.keys(description.args) : [];
  const fixture = describedFixture(plugin, description);
  const isWhole = hasDirectory(description);
  const only = patternOf(context.option(flags.only, "only"));
  const checks = checksOf(fixture, isWhole, description.reads).filter(({ name }) =>
    only === undefined || only.test(name)
  );
  if (checks.length === 0) throw new CliError(EXIT.usage, "No case has a name that --only would take");
  const json = context.switch(flags.json, "json");
  if (!json) {
    const cases = count(checks.length, "case");
    context.say(`Testing driver "${plugin.name}" ${plugin.version} in "${plugin.origin}": ${cases}`);
    if (!isWhole) context.say(description.reads ? READS_ONLY : NOT_WHOLE);
  }
  const signals = new StopSignals(context, undefined);
  const tally: Record<Result, number> = { passed: 0, failed: 0, skipped: 0 };
  try {
    for await (const outcome of inOrder(checks, signals.signal)) {
      tally[outcome.result]++;
      if (json) context.printJson(jsonOf(outcome));
      else linesOf(outcome, context).every((line) => context.print(line));
    }
  } finally {
    signals.end();
  }
  if (signals.exitCode !== undefined) return signals.exitCode;
  const ok = tally.failed === 0;
  if (json) context.printJson({ schema: 1, event: "summary", plugin: plugin.name, ok, whole: isWhole, ...tally });
  else {
    const skipped = tally.skipped === 0 ? "" : `, ${tally.skipped} not for what it can do`;
    const result = ok
      ? `Passed: ${count(tally.passed, "case")}`
      : `Failed: ${count(tally.failed, "case")} of ${checks.length}`;
    context.print(result + skipped);
    if (!ok && guess !== undefined) context.say(GUESSED(guess));
  }
  return ok ? EXIT.ok : EXIT.plugin;
}

const READS_ONLY = "The device is read, and nothing is changed on it";
const NOT_WHOLE =
  `Only what needs no files is tried, and the device is not touched. For all cases write "{dir}" where an
argument, or "serve", names the directory of the device; "reads": true lets it be read: plugins/README.md, "Testing a
driver"`;
const GUESSED = (name: string) =>
  `The argument "${name}" was taken for a directory of files. If it is something else, say in ${TEST_FILE_NAME} how the
device is found: plugins/README.md, "Testing a driver"`;

function patternOf(text: string | undefined): RegExp | undefined {
  if (text === undefined) return undefined;
  try {
    return new RegExp(text, "i");
  } catch (error) {
    throw new CliError(EXIT.usage, `Cannot understand --only: ${(error as Error).message}`);
  }
}

function descriptionOf(plugin: Plugin, file: string | undefined): TestDescription {
  const path = file ?? `${plugin.origin}/${TEST_FILE_NAME}`;
  try {
    if (isGuess(plugin, file)) return guessed(plugin, path);
    const description = parseDescription(readNamedFile(path));
    // As in a configuration: relative to the file, with the schema's defaults.
    const args = prepareArgs(description.args, plugin.args, path.replace(/[^/]*$/, "") || ".");
    return { ...description, args: restoreNames(args, description.args) };
  } catch (error) {
    if (!(error instanceof DescriptionError)) throw error;
    throw new CliError(EXIT.usage, `Cannot use "${path}": ${error.message}`, {
      hint: 'plugins/README.md, "Testing a driver", describes this file',
    });
  }
}

function isGuess(plugin: Plugin, file: string | undefined): boolean {
  return file === undefined && !isThere(`${plugin.origin}/${TEST_FILE_NAME}`);
}

/** What begins with a placeholder is no relative path. */
function restoreNames(args: Record<string, unknown>, raw: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(args).map(([name, value]) => {
      const written = raw[name];
      return [name, typeof written === "string" && written.startsWith("{") ? written : value];
    }),
  );
}

/** A driver of a directory needs no description: its only required argument is a path. */
function guessed(plugin: Plugin, path: string): TestDescription {
  const properties = (plugin.args["properties"] ?? {}) as Record<string, { format?: string }>;
  const required = (plugin.args["required"] ?? []) as string[];
  const [name] = required;
  const defaults = prepareArgs({}, plugin.args, ".");
  if (required.length === 0) return parseDescription(JSON.stringify({ args: defaults }));
  if (required.length === 1 && name !== undefined && properties[name]?.format === "path") {
    const args = { ...defaults, [name]: "{dir}" };
    return parseDescription(JSON.stringify({ args, refused: [{ args: {}, pointer: `/${name}` }] }));
  }
  const isBuiltIn = plugin.origin === BUILT_IN_ORIGIN;
  const missing = isBuiltIn ? "name them with --args FILE" : `"${path}" is missing`;
  throw new CliError(EXIT.usage, `Cannot tell with which arguments to test "${plugin.name}": ${missing}`, {
    hint: `${isBuiltIn ? "" : "Write it, or name one with --args FILE. "}The driver needs ${
      required.map((key) => `"${key}"`).join(", ")
    }`,
  });
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function checksOf(fixture: Fixture, isWhole: boolean, reads: boolean): Check[] {
  return fixture.roles.flatMap((role) =>
    isWhole
      ? [...casesOf(fixture, role), ...faultChecksOf(fixture, role)]
      : [...harmlessChecksOf(fixture, role), ...(reads ? readingChecksOf(fixture, role) : [])]
  );
}

/** Runs some checks at once and hands over what they came to in their order. */
async function* inOrder(checks: readonly Check[], signal: AbortSignal): AsyncGenerator<Outcome> {
  const running: Promise<Outcome>[] = [];
  let next = 0;
  const begin = () => {
    const check = signal.aborted ? undefined : checks[next];
    if (check === undefined) return;
    next++;
    running.push(outcomeOf(check));
  };
  for (let n = 0; n < AT_ONCE; n++) begin();
  for (let outcome = running.shift(); outcome !== undefined; outcome = running.shift()) {
    const done = await outcome;
    begin();
    yield done;
  }
}

async function outcomeOf(check: Check): Promise<Outcome> {
  try {
    return { check, result: await check.run() ? "passed" : "skipped" };
  } catch (error) {
    return { check, result: "failed", words: error instanceof Error ? error.message : String(error) };
  }
}

function jsonOf({ check: { name, role, group }, result, words }: Outcome): object {
  return { schema: 1, event: "case", name, role, group, result, words };
}

const COLOUR: Record<Result, string> = { passed: "32", failed: "31", skipped: "33" };

function linesOf({ check, result, words }: Outcome, context: Context): string[] {
  const word = context.terminal.stdoutColour ? `\x1b[${COLOUR[result]}m${result.padEnd(7)}\x1b[0m` : result.padEnd(7);
  const first = `${word}  ${visible(check.name)} [${check.role}]`;
  if (words === undefined) return [first];
  const lines = words.trimEnd().split("\n");
  const more = lines.length > WORD_LINES ? [`… ${lines.length - WORD_LINES} more lines with --json`] : [];
  return [first, ...[...lines.slice(0, WORD_LINES), ...more].map((line) => `         ${visible(line)}`)];
}
