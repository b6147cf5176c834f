/**
 * Reading JSON Schema as data: which part speaks of a value, and how to say what it wants.
 */
import type { Path } from "./explain.ts";
import { listOf } from "./explain.ts";

/** A JSON Schema (draft 2020-12), as far as it is looked into here. */
export interface JsonSchema {
  type?: string | string[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  items?: JsonSchema | boolean;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  description?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  minItems?: number;
  writeOnly?: boolean;
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  /** How people name what is wanted, when the other keywords cannot say it. Ours. */
  expected?: string;
  [keyword: string]: unknown;
}

/** Every part of `schema` that may speak of the value at `path`; empty when nothing is known of it. */
export function nodesAt(schema: JsonSchema, path: Path, root: JsonSchema = schema): JsonSchema[] {
  const nodes = alternatives(schema, root);
  const [step, ...rest] = path;
  if (step === undefined) return nodes;
  return nodes.flatMap((node) => {
    const next = typeof step === "number" ? node.items : node.properties?.[step] ?? node.additionalProperties;
    return typeof next === "object" ? nodesAt(next, rest, root) : [];
  });
}

/** The keys that are known at `path`. */
export function keysAt(schema: JsonSchema, path: Path): string[] {
  return [...new Set(nodesAt(schema, path).flatMap((node) => Object.keys(node.properties ?? {})))];
}

/** The keys that are known one level below `path`, as `finder.settle`. */
export function keysBelow(schema: JsonSchema, path: Path): string[] {
  return keysAt(schema, path).flatMap((key) => keysAt(schema, [...path, key]).map((inner) => `${key}.${inner}`));
}

/** What `schema` wants, in words: `a whole number from 1 to 64`. */
export function expectedOf(schema: JsonSchema, root: JsonSchema = schema): string {
  const words = [...new Set(alternatives(schema, root).flatMap((node) => wordsOf(node, root)))];
  return words.length === 0 ? "another value" : listOf(words);
}

/** Whether `schema` takes a string; one that says nothing takes anything. */
export function takesString(schema: JsonSchema, root: JsonSchema = schema): boolean {
  return alternatives(schema, root).some((node) => {
    if (node.enum !== undefined) return node.enum.some((choice) => typeof choice === "string");
    if (node.const !== undefined) return typeof node.const === "string";
    return node.type === undefined ? node.properties === undefined : [node.type].flat().includes("string");
  });
}

function alternatives(schema: JsonSchema, root: JsonSchema): JsonSchema[] {
  const { $ref, ...beside } = schema;
  const { anyOf, oneOf, ...target } = $ref === undefined ? schema : { ...refer($ref, root), ...beside };
  const choices = anyOf ?? oneOf;
  // What is said beside the choices (a description, writeOnly) holds for each of them.
  return choices === undefined ? [target] : choices.flatMap((choice) => alternatives({ ...target, ...choice }, root));
}

function refer(ref: string, root: JsonSchema): JsonSchema {
  const name = /^#\/\$defs\/(.+)$/.exec(ref)?.[1];
  const found = name === undefined ? undefined : root.$defs?.[name];
  // A $ref to a $ref is not followed: a circle of them must not hang the program.
  return found === undefined || found.$ref !== undefined ? {} : found;
}

function wordsOf(node: JsonSchema, root: JsonSchema): string[] {
  if (node.expected !== undefined) return [node.expected];
  if (node.enum !== undefined) return node.enum.map((choice) => JSON.stringify(choice));
  if (node.const !== undefined) return [JSON.stringify(node.const)];
  return [node.type ?? []].flat().map((type) => typeWords(type, node, root));
}

function typeWords(type: string, node: JsonSchema, root: JsonSchema): string {
  switch (type) {
    case "integer":
      return `a whole number${range(node)}`;
    case "number":
      return `a number${range(node)}`;
    case "string":
      if (node.format === "uri") return "a URL";
      if (node.format === "path") return "a path";
      return (node.minLength ?? 0) > 0 ? "a string that is not empty" : "a string";
    case "boolean":
      return "true or false";
    case "array": {
      const some = (node.minItems ?? 0) > 0 ? " that is not empty" : "";
      const items = typeof node.items === "object" ? wordsOf(node.items, root) : [];
      return items.length === 1 && items[0]?.startsWith("a ") ? `a list${some} ([${items[0]}, …])` : `a list${some}`;
    }
    case "object":
      return "an object ({ … })";
    default:
      return type;
  }
}

function range(node: JsonSchema): string {
  const min = node.minimum === Number.MIN_SAFE_INTEGER ? undefined : node.minimum;
  const max = node.maximum === Number.MAX_SAFE_INTEGER ? undefined : node.maximum;
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
  if (min !== undefined) return ` of at least ${min}`;
  return max === undefined ? "" : ` of at most ${max}`;
}
