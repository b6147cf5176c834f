/**
 * JSON with comments to values, with the line of every key kept for messages.
 */
import {
  findNodeAtLocation,
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
  stripComments,
} from "jsonc-parser";
import { ConfigError, type ConfigProblem, type Flaw, formatKey, parseKey, type Path } from "./explain.ts";

/** Largest configuration file, bytes: a device node or a film given by mistake is refused, not read. */
const FILE_BYTES_MAX = 4 * 2 ** 20;

/** A parsed file. */
export interface Source {
  /** As it was named by the caller. */
  file: string;
  value: unknown;
  /** Line and column of the value (or key) at `path`, or of the nearest thing around it that exists. */
  locate(path: Path, at?: "key" | "value"): { line: number; column: number };
}

/**
 * Reads and parses a configuration file.
 * @throws {ConfigError} If it cannot be read or is no JSON with comments
 */
export function readSource(file: string): Source {
  return parseSource(file, readText(file));
}

function readText(file: string): string {
  const fail = (message: string, hint: string, cause?: unknown) =>
    new ConfigError([{ file, key: "", message, hint }], { cause });
  let bytes: Uint8Array;
  try {
    const { size, isCharDevice, isBlockDevice } = Deno.statSync(file);
    if (isCharDevice || isBlockDevice) throw fail("Expected a file, got a device node", "Name the configuration file");
    if (size > FILE_BYTES_MAX) {
      throw fail(`Expected a configuration of at most 4MiB, got ${size} bytes`, "Name the configuration file");
    }
    bytes = Deno.readFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw fail(
        "Cannot find this configuration file",
        "Name it with --config FILE, or copy config.example.json",
        error,
      );
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw fail(
        "Cannot read this configuration file: permission denied",
        "Make it readable for the user that runs filesync",
        error,
      );
    }
    if (error instanceof Deno.errors.IsADirectory) {
      throw fail("Cannot read this configuration file: it is a directory", "Name the file in it", error);
    }
    if (error instanceof ConfigError) throw error;
    throw fail(
      `Cannot read this configuration file: ${error instanceof Error ? error.message : error}`,
      "Check the disk and the path",
      error,
    );
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw fail("Expected text in UTF-8, got other bytes", "Save the file as UTF-8", error);
  }
}

/**
 * Parses the text of a configuration file: JSON with comments and trailing commas, each key once.
 * @throws {ConfigError} With every syntax error
 */
export function parseSource(file: string, text: string): Source {
  try {
    return parseTextOf(file, text);
  } catch (error) {
    // The parser recurses: its stack ends long before memory does.
    if (!(error instanceof RangeError)) throw error;
    const hint = "Check that this is the configuration file";
    throw new ConfigError([{ file, key: "", message: "Cannot parse this file: it is nested too deeply", hint }]);
  }
}

function parseTextOf(file: string, text: string): Source {
  const starts = lineStarts(text);
  const errors: ParseError[] = [];
  const tree = parseTree(text, errors, { allowTrailingComma: true, disallowComments: false });
  if (tree === undefined && stripComments(text).trim() === "") {
    const hint = "Copy config.example.json into it";
    throw new ConfigError([{ file, line: 1, column: 1, key: "", message: "Expected JSON, got an empty file", hint }]);
  }
  if (tree === undefined || errors.length > 0) {
    throw new ConfigError(
      errors.slice(0, 5).map(({ offset, error }) => ({
        file,
        ...position(starts, offset),
        key: "",
        message: syntaxMessage(error, text, offset),
        hint: "Write JSON; comments (// and /* */) and a comma after the last item are allowed",
      })),
    );
  }
  const doubles = duplicateKeys(tree);
  if (doubles.length > 0) throw new ConfigError(doubles.map(({ path, offset }) => doubled(file, starts, path, offset)));
  return {
    file,
    // The parser's objects have no prototype; what is handed on has one, and a key "__proto__" stays a key.
    value: JSON.parse(JSON.stringify(getNodeValue(tree))),
    locate: (path, at = "value") => position(starts, offsetAt(tree, path, at)),
  };
}

/** A flaw with its place in the file. */
export function problemAt(source: Source, flaw: Flaw): ConfigProblem {
  const problem: ConfigProblem = {
    file: source.file,
    ...source.locate(flaw.path, flaw.at),
    key: formatKey(flaw.path),
    message: flaw.message,
  };
  if (flaw.hint !== undefined) problem.hint = flaw.hint;
  return problem;
}

/** Problems that were found later, by their keys, with their places in `file`. */
export function locateProblems(
  file: string,
  problems: { key: string; message: string; hint?: string }[],
): ConfigProblem[] {
  const source = readSource(file);
  return problems.map(({ key, ...words }) => problemAt(source, { ...words, path: parseKey(key) }));
}

function doubled(file: string, starts: number[], path: Path, offset: number): ConfigProblem {
  return {
    file,
    ...position(starts, offset),
    key: formatKey(path),
    message: `Key "${path.at(-1)}" is there twice`,
    hint: "Remove one of them",
  };
}

function syntaxMessage(code: number, text: string, offset: number): string {
  const words: Record<string, string> = {
    InvalidSymbol: "Text is no JSON value",
    InvalidNumberFormat: "Number is not written as JSON",
    PropertyNameExpected: 'Expected a key in double quotes or "}"',
    ValueExpected: "Expected a value",
    ColonExpected: 'Expected ":"',
    CommaExpected: 'Expected ","',
    CloseBraceExpected: 'Expected "}"',
    CloseBracketExpected: 'Expected "]"',
    EndOfFileExpected: "Expected the end of the file",
    UnexpectedEndOfComment: "Comment has no end",
    UnexpectedEndOfString: "String has no closing quote",
    UnexpectedEndOfNumber: "Number has no end",
    InvalidUnicode: "String holds a wrong \\u sequence",
    InvalidEscapeCharacter: "String holds an unknown \\ sequence",
    InvalidCharacter: "String holds a control character",
  };
  const name = printParseErrorCode(code);
  const what = words[name] ?? name;
  return offset >= text.trimEnd().length ? `${what}, got the end of the file` : what;
}

function duplicateKeys(node: Node, path: Path = []): { path: Path; offset: number }[] {
  const found: { path: Path; offset: number }[] = [];
  if (node.type === "array") {
    (node.children ?? []).forEach((child, index) => found.push(...duplicateKeys(child, [...path, index])));
  } else if (node.type === "object") {
    const seen = new Set<string>();
    for (const property of node.children ?? []) {
      const [key, value] = property.children ?? [];
      if (key === undefined) continue;
      const name = String(key.value);
      const here = [...path, name];
      if (seen.has(name)) found.push({ path: here, offset: key.offset });
      seen.add(name);
      if (value !== undefined) found.push(...duplicateKeys(value, here));
    }
  }
  return found;
}

function offsetAt(tree: Node, path: Path, at: "key" | "value"): number {
  for (let length = path.length; length > 0; length--) {
    const node = findNodeAtLocation(tree, path.slice(0, length));
    if (node === undefined) continue;
    const key = node.parent?.type === "property" ? node.parent.children?.[0] : undefined;
    return at === "key" && length === path.length && key !== undefined ? key.offset : node.offset;
  }
  return tree.offset;
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

function position(starts: number[], offset: number): { line: number; column: number } {
  let line = starts.length;
  while (line > 1 && (starts[line - 1] ?? 0) > offset) line--;
  return { line, column: offset - (starts[line - 1] ?? 0) + 1 };
}

/** Line and column of a key such as `jobs[0].source.args.passwd`, `{}` when the file cannot be read any more. */
export function locateInFile(file: string, key: string): { line: number; column: number } | Record<string, never> {
  try {
    return readSource(file).locate(parseKey(key));
  } catch (error) {
    // The position only decorates a message about something else.
    if (error instanceof ConfigError) return {};
    throw error;
  }
}
