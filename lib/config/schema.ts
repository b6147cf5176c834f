/**
 * The JSON Schema of the configuration file as data, for tools such as the one that writes the README's tables. The
 * program itself asks `fileJsonSchema()`, so that a run without a wrong configuration never makes it.
 */
import type { JsonSchema } from "./json_schema.ts";
import { fileJsonSchema } from "./file_schema.ts";

/** What may be written into a configuration file, with our keyword `expected` for messages. */
export const configFileSchema: JsonSchema = fileJsonSchema();
