/**
 * Arguments for people: what is secret is never shown, whoever wrote the driver.
 */
import { formatKey, type Path } from "./explain.ts";
import { type JsonSchema, nodesAt } from "./json_schema.ts";
import { mapValues, secretReferences, walk } from "./references.ts";

const SHOWN_INSTEAD = "***";

/** Arguments that are secrets even where a third party's schema forgets `writeOnly`. */
const SECRET_NAME =
  /^(pass(wd|word|phrase)?|pwd|secret|token|authorization|cookie)$|[_-](passwd|password|secret|token)$|^(signing|api|private|access)[_-]?key$/i;

/** Whether the value at `path` in a driver's args must never be shown. */
export function isSecret(path: Path, schema: JsonSchema | undefined): boolean {
  for (let length = 1; length <= path.length; length++) {
    const at = path.slice(0, length);
    const name = at.at(-1);
    if (typeof name === "string" && SECRET_NAME.test(name)) return true;
    if (schema !== undefined && nodesAt(schema, at).some((node) => node.writeOnly === true)) return true;
  }
  return false;
}

/**
 * `args` for people: `"***"` for a secret, the reference itself for a reference (a command's arguments are hidden), and
 * no password inside a URL.
 * @param schema the driver's args schema, whose `writeOnly` marks secrets
 */
export function redact(args: Record<string, unknown>, schema?: JsonSchema): Record<string, unknown> {
  const references = new Set(secretReferences(args, schema).map(formatKey));
  return mapValues(args, (value, path) => {
    if (references.has(formatKey(path))) {
      const { command } = value as { command?: string[] };
      return command === undefined
        ? { ...value as object }
        : { command: [command[0], ...command.slice(1).map(() => SHOWN_INSTEAD)] };
    }
    if (value !== null && value !== "" && isSecret(path, schema)) return SHOWN_INSTEAD;
    return typeof value === "string" ? redactUrl(value) : value;
  }) as Record<string, unknown>;
}

/** `text` without the password of a URL in it. */
export function redactUrl(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/[^/?#@\s:]*):[^/?#@\s]+@/gi, `$1:${SHOWN_INSTEAD}@`);
}

/** The paths of secrets that stand in `args` themselves. */
export function literalSecrets(args: Record<string, unknown>, schema: JsonSchema | undefined): Path[] {
  const references = new Set(secretReferences(args, schema).map(formatKey));
  const found: Path[] = [];
  walk(args, [], (value, path) => {
    if (references.has(formatKey(path))) return true;
    const literal = typeof value === "string" && value !== "" && (isSecret(path, schema) || redactUrl(value) !== value);
    if (literal) found.push(path);
    return literal;
  });
  return found;
}
