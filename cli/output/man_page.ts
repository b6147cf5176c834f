/** The manual page of section 1, from the same words that `--help` shows. */
import type { Command, CommandContext, RouteMap } from "@stricli/core";

type Target<C extends CommandContext> = Command<C> | RouteMap<C>;

/** A flag as the routes describe it. */
interface FlagFacts {
  kind: string;
  brief: string;
  placeholder?: string;
  withNegated?: boolean;
}

/**
 * The page in the language of man(7).
 * @param version of the program; a page has no date, since the same commit gives the same bytes
 */
export function manPage<C extends CommandContext>(routes: RouteMap<C>, version: string): string {
  const lines = [
    `.TH FILESYNC 1 "" "FileSync ${roff(version)}" "User Commands"`,
    ".SH NAME",
    `filesync \\- ${roff(routes.brief)}`,
    ".SH SYNOPSIS",
    ".B filesync",
    ".I COMMAND",
    "[options]",
    ".SH DESCRIPTION",
    ...prose(routes.fullDescription ?? ""),
    ".SH COMMANDS",
    ...commands(routes, "filesync"),
    ".SH SEE ALSO",
    ".BR systemctl (1),",
    ".BR journalctl (1)",
  ];
  return `${lines.join("\n")}\n`;
}

function* commands<C extends CommandContext>(map: RouteMap<C>, prefix: string): Generator<string> {
  for (const { name, target, hidden } of map.getAllEntries()) {
    if (hidden) continue;
    const whole = `${prefix} ${name["convert-camel-to-kebab"]}`;
    if (isMap(target)) yield* commands(target, whole);
    else yield* command(target, whole);
  }
}

function* command<C extends CommandContext>({ parameters, fullDescription, brief }: Command<C>, whole: string) {
  const { positional } = parameters;
  const places = positional === undefined
    ? []
    : positional.kind === "tuple"
    ? positional.parameters.map(({ placeholder = "ARG", optional }) => optional ? `[${placeholder}]` : placeholder)
    : [`[${positional.parameter.placeholder ?? "ARG"}...]`];
  yield `.SS ${roff([whole, ...places].join(" "))}`;
  yield* prose(fullDescription ?? brief);
  const letters = new Map(Object.entries(parameters.aliases ?? {}).map(([letter, flag]) => [flag, letter]));
  for (const [name, flag] of Object.entries(parameters.flags ?? {}) as [string, FlagFacts][]) {
    const letter = letters.get(name);
    const long = `--${flag.kind === "boolean" && flag.withNegated !== false ? "[no-]" : ""}${kebab(name)}`;
    yield ".TP";
    yield `.B ${roff([...(letter === undefined ? [] : [`-${letter},`]), long].join(" "))}${
      flag.placeholder === undefined ? "" : ` ${roff(flag.placeholder)}`
    }`;
    yield* lineOf(flag.brief);
  }
}

function isMap<C extends CommandContext>(target: Target<C>): target is RouteMap<C> {
  return "getAllEntries" in target;
}

/** Paragraphs; a line that is indented stays a line of its own, and one in capitals is a heading. */
function* prose(text: string): Generator<string> {
  for (const [n, part] of text.split(/\n{2,}/).entries()) {
    // What comes first stands below its heading without one.
    if (n > 0) yield ".PP";
    let isAsIs = false;
    for (const line of part.split("\n")) {
      const indented = line.startsWith("  ");
      if (indented !== isAsIs) yield indented ? ".RS 2\n.nf" : ".fi\n.RE";
      isAsIs = indented;
      yield* /^[A-Z]+$/.test(line) ? [`.B ${roff(line)}`] : lineOf(indented ? line.slice(2) : line);
    }
    if (isAsIs) yield ".fi\n.RE";
  }
}

function* lineOf(text: string): Generator<string> {
  yield /^[.']/.test(text) ? `\\&${roff(text)}` : roff(text);
}

function roff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll('"', "\\(dq").replaceAll("'", "\\(aq");
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
