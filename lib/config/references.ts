/**
 * Which parts of a driver's arguments are references to secrets.
 */
import type { Path } from "./explain.ts";
import { type JsonSchema, nodesAt, takesString } from "./json_schema.ts";

/** Where a secret is kept, instead of the secret itself. */
export type SecretReference = { env: string } | { file: string } | { credential: string } | { command: string[] };

/** Whether `value` has the shape of a reference to a secret. */
export function isSecretReference(value: unknown): value is SecretReference {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const [[kind, where] = [], ...more] = Object.entries(value);
  if (more.length > 0) return false;
  if (kind === "command") {
    return Array.isArray(where) && where.length > 0 && where.every((part) => typeof part === "string");
  }
  return (kind === "env" || kind === "file" || kind === "credential") && typeof where === "string" && where !== "";
}

/** The paths in `args` at which a reference stands where a string is allowed. */
export function secretReferences(args: unknown, schema: JsonSchema | undefined): Path[] {
  const found: Path[] = [];
  walk(args, [], (value, path) => {
    if (path.length === 0 || !isSecretReference(value)) return false;
    const nodes = schema === undefined ? [] : nodesAt(schema, path);
    if (nodes.length > 0 && !nodes.some((node) => takesString(node, schema))) return false;
    found.push(path);
    return true;
  });
  return found;
}

/** Calls `visit` with every value; goes into a value only where `visit` says false. */
export function walk(value: unknown, path: Path, visit: (value: unknown, path: Path) => boolean): void {
  if (visit(value, path) || typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) value.forEach((item, index) => walk(item, [...path, index], visit));
  else for (const [key, item] of Object.entries(value)) walk(item, [...path, key], visit);
}

/** A copy of `value` in which `change` replaced what it did not return unchanged; it is asked before going in. */
export function mapValues(
  value: unknown,
  change: (value: unknown, path: Path) => unknown,
  path: Path = [],
): unknown {
  const changed = change(value, path);
  if (changed !== value || typeof value !== "object" || value === null) return changed;
  if (Array.isArray(value)) return value.map((item, index) => mapValues(item, change, [...path, index]));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapValues(item, change, [...path, key])]));
}
