/**
 * `filesync config schema`: the JSON Schema of the configuration, for editors.
 */
import type { PluginSchemas } from "./args.ts";
import { type JsonSchema, takesString } from "./json_schema.ts";
import { fileJsonSchema } from "./file_schema.ts";

const SECRET: JsonSchema = {
  description: "Where the secret is kept, instead of the secret itself",
  oneOf: [
    reference("env", { type: "string", minLength: 1, description: "Environment variable" }),
    reference("file", { type: "string", minLength: 1, description: "File, relative to the configuration" }),
    reference("credential", { type: "string", minLength: 1, description: "Credential of systemd (LoadCredential=)" }),
    reference("command", {
      type: "array",
      items: { type: "string" },
      minItems: 1,
      description: "Program and arguments; the secret is what it prints",
    }),
  ],
};

function reference(kind: string, schema: JsonSchema): JsonSchema {
  return { type: "object", properties: { [kind]: schema }, required: [kind], additionalProperties: false };
}

/**
 * The JSON Schema (draft 2020-12) of a configuration file.
 * @param plugins adds the names of the drivers and the arguments of each
 */
export function configJsonSchema(plugins?: PluginSchemas): JsonSchema {
  const schema = withoutOurs(fileJsonSchema()) as JsonSchema;
  schema.title = "Configuration of FileSync";
  if (plugins === undefined) return schema;
  schema.$defs = { ...schema.$defs, secret: SECRET };
  const drivers = [...plugins.keys()].sort();
  return extendDevices(schema, (device) => {
    const driver = device.properties?.driver;
    if (driver !== undefined) driver.enum = drivers;
    device.allOf = [...plugins].map(([name, { args }]) => ({
      if: { properties: { driver: { const: name } }, required: ["driver"] },
      then: {
        properties: { args: argsSchema(args) },
        ...(args?.required === undefined || args.required.length === 0 ? {} : { required: ["args"] }),
      },
    }));
  }) as JsonSchema;
}

function argsSchema(args: JsonSchema | undefined): JsonSchema {
  if (args === undefined) return { type: "object" };
  const { $schema: _dialect, ...rest } = args;
  return { additionalProperties: false, ...withSecrets(rest), type: "object" };
}

/** Lets a reference stand wherever the schema takes a string. */
function withSecrets(schema: JsonSchema): JsonSchema {
  const inner: JsonSchema = { ...schema };
  if (schema.properties !== undefined) {
    inner.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([name, property]) => [name, withSecrets(property)]),
    );
  }
  if (typeof schema.additionalProperties === "object") {
    inner.additionalProperties = withSecrets(schema.additionalProperties);
  }
  if (typeof schema.items === "object") inner.items = withSecrets(schema.items);
  const saysMore = schema.type !== undefined || schema.enum !== undefined || schema.anyOf !== undefined;
  if (!saysMore || !takesString(schema)) return inner;
  const { description, default: preset, ...value } = inner;
  return {
    ...(description === undefined ? {} : { description }),
    ...(preset === undefined ? {} : { default: preset }),
    anyOf: [value, { $ref: "#/$defs/secret" }],
  };
}

/** Calls `extend` with a copy of every part that describes a device. */
function extendDevices(value: unknown, extend: (device: JsonSchema) => void): unknown {
  if (Array.isArray(value)) return value.map((item) => extendDevices(item, extend));
  if (typeof value !== "object" || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, extendDevices(item, extend)]));
  const properties = (copy as JsonSchema).properties;
  if (properties?.driver !== undefined && properties.args !== undefined) extend(copy as JsonSchema);
  return copy;
}

/** Without the keyword that only our messages use. */
function withoutOurs(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutOurs);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([key, item]) => key !== "expected" || typeof item !== "string")
      .map(([key, item]) => [key, withoutOurs(item)]),
  );
}
