/**
 * What zod found wrong, as flaws that a person can act on.
 */
import type * as z from "zod";
import { didYouMean, type Flaw, listOf, nearest, type Path } from "./explain.ts";
import { expectedOf, type JsonSchema, keysAt, keysBelow, nodesAt } from "./json_schema.ts";

type Issue = z.core.$ZodIssue;

/** How to word the flaws of one checked value. */
export interface Wording {
  /** The JSON Schema of the value, which says what is wanted. */
  schema: JsonSchema;
  /** What was checked. */
  value: unknown;
  /** Where it stands in the file. */
  path: Path;
  /** What to do about a value that the schema does not describe. */
  hint?: string;
  /** The word for a key: `key` or `argument`. */
  keyWord: string;
  /** Whether the value at `path`, relative to what was checked, may be shown. */
  showable(path: Path): boolean;
  /** Whether a secret stands at `path`, in whose place a reference may stand. */
  isSecret?(path: Path): boolean;
}

/** The flaws that `issues` tell of, one for each thing that is wrong. */
export function flawsOf(issues: readonly Issue[], wording: Wording): Flaw[] {
  return issues.flatMap((issue) => flawsOfIssue(issue, [], wording));
}

function flawsOfIssue(issue: Issue, base: Path, wording: Wording): Flaw[] {
  const path = [...base, ...issue.path.map((part) => typeof part === "number" ? part : String(part))];
  const at = [...wording.path, ...path];
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(wording.schema, path);
    return issue.keys.map((key) => ({
      path: [...at, key],
      at: "key",
      message: `Unknown ${wording.keyWord} "${key}"${
        didYouMean(key, known) || meantBelow(key, keysBelow(wording.schema, path))
      }`,
      hint: known.length === 0 ? "Remove it" : `Known here: ${listOf(known, "and")}`,
    }));
  }
  if (issue.code === "invalid_union") {
    // Of a union of kinds, the one that fits the value's kind knows what is wrong inside it.
    const fitting = issue.errors.filter((branch) =>
      !branch.some((inner) => inner.path.length === 0 && isOfKind(inner))
    );
    const [branch] = fitting;
    if (branch !== undefined) return branch.flatMap((inner) => flawsOfIssue(inner, path, wording));
  }
  const value = valueAt(wording.value, path);
  const hint = meaningOf(wording.schema, path) ?? wording.hint;
  const flaw: Flaw = issue.code === "custom"
    ? { path: at, message: issue.message }
    : value === undefined && path.length > 0
    ? { path: at.slice(0, -1), message: `Missing ${wording.keyWord} "${path.at(-1)}"` }
    : {
      path: at,
      message: `Expected ${expectedAt(wording.schema, path)}${
        isObject(value) && wording.isSecret?.(path) === true ? REFERENCES : ""
      }, got ${wording.showable(path) ? show(value) : showKind(value)}`,
    };
  if (hint !== undefined) flaw.hint = hint;
  return [flaw];
}

/** What may stand in the place of a secret. */
const REFERENCES = ', or one of {"env": "NAME"}, {"file": "path"}, {"credential": "name"}, {"command": ["program", …]}';

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

/** What the value at `path` means; of an item of a list, what the list means. */
function meaningOf(schema: JsonSchema, path: Path): string | undefined {
  const own = nodesAt(schema, path).find(({ description }) => description !== undefined)?.description;
  return own === undefined && typeof path.at(-1) === "number" ? meaningOf(schema, path.slice(0, -1)) : own;
}

/** A key that stands one level too high. */
function meantBelow(key: string, below: readonly string[]): string {
  const best = nearest(key, below.map((name) => name.slice(name.indexOf(".") + 1)));
  const whole = below.find((name) => name.endsWith(`.${best}`));
  return whole === undefined ? "" : `; did you mean "${whole}"?`;
}

function isOfKind(issue: Issue): boolean {
  return issue.code === "invalid_type" || issue.code === "invalid_value" || issue.code === "invalid_union";
}

function expectedAt(schema: JsonSchema, path: Path): string {
  return expectedOf({ anyOf: nodesAt(schema, path) }, schema);
}

/** The value at `path` in `value`, `undefined` when there is none. */
export function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const part of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as Record<string | number, unknown>)[part];
  }
  return at;
}

/** A value for a message: short things as they are, others by their kind. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  return typeof value === "object" && value !== null ? showKind(value) : String(value);
}

/** The kind of a value, for a message that must not show it. */
export function showKind(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  return { string: "a string", number: "a number", boolean: "true or false" }[typeof value as string] ?? "an object";
}
