/**
 * Checks a driver's arguments against the part of JSON Schema that manifests use, in the plugin itself. The host checks
 * the whole schema with zod before it starts a plugin; this small check keeps a zod out of every driver's memory
 * (about 8 MB of RSS each) and a driver safe under another host.
 */
import { DriverError } from "../driver/mod.ts";

/** A JSON Schema of an object, as far as manifests use it. */
export interface ArgsSchema {
  properties?: Record<string, ArgSchema>;
  required?: string[];
}

/** A JSON Schema of one argument. */
export interface ArgSchema {
  type?: string | string[];
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  default?: unknown;
}

/**
 * `args` with defaults filled in.
 * @throws {DriverError} `invalid_config` with the JSON pointer of the first argument that does not fit
 */
export function checkArgs(args: Record<string, unknown>, schema: ArgsSchema | undefined): Record<string, unknown> {
  if (schema === undefined) return args;
  const properties = schema.properties ?? {};
  const checked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(args)) {
    const property = properties[name];
    if (property === undefined) throw invalid(name, `Argument "${name}" is unknown`);
    const problem = value === undefined ? undefined : valueProblem(value, property);
    if (problem !== undefined) throw invalid(name, `Argument "${name}" ${problem}`);
    checked[name] = value;
  }
  for (const name of schema.required ?? []) {
    if (checked[name] === undefined) throw invalid(name, `Argument "${name}" is missing`);
  }
  for (const [name, property] of Object.entries(properties)) {
    if (checked[name] === undefined && property.default !== undefined) checked[name] = property.default;
  }
  return checked;
}

function invalid(name: string, message: string): DriverError {
  return new DriverError("invalid_config", message, {
    pointer: `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`,
  });
}

function valueProblem(value: unknown, schema: ArgSchema): string | undefined {
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    return `must be one of ${schema.enum.map((choice) => JSON.stringify(choice)).join(", ")}`;
  }
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => isOfType(value, type))) return `must be of type ${types.join(" or ")}`;
  if (typeof value === "number") {
    if (schema.minimum !== undefined && value < schema.minimum) return `must be at least ${schema.minimum}`;
    if (schema.maximum !== undefined && value > schema.maximum) return `must be at most ${schema.maximum}`;
  }
  if (typeof value === "string" && schema.minLength !== undefined && value.length < schema.minLength) {
    return "must not be empty";
  }
  return undefined;
}

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case "integer":
      return Number.isInteger(value);
    case "array":
      return Array.isArray(value);
    case "null":
      return value === null;
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    default:
      // deno-lint-ignore valid-typeof -- the remaining JSON Schema types have the names that typeof gives
      return typeof value === type;
  }
}
