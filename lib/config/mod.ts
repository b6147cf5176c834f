/**
 * The configuration: found, read, checked, explained, shown, converted.
 *
 * @module
 */
export type { PluginSchema, PluginSchemas } from "./args.ts";
export { convertLegacy } from "./convert.ts";
export { configJsonSchema } from "./editor_schema.ts";
export { ConfigError, type ConfigProblem, didYouMean, formatProblem, nearest } from "./explain.ts";
export { findConfigFile } from "./find.ts";
export { locateProblems } from "./parse.ts";
export type { JsonSchema } from "./json_schema.ts";
export { loadConfig, type LoadOptions, pluginDirsIn, secretsOf } from "./load.ts";
export { type Setting, SETTINGS } from "./overrides.ts";
export { redact, redactUrl } from "./redact.ts";
export type { SecretReference } from "./references.ts";
export { resolveSecrets, type SecretOptions } from "./secrets.ts";
export { describeConfig, type DescribeOptions } from "./show.ts";
export { PATH_PLACEHOLDERS } from "./template.ts";
export type * from "./types.ts";
export { formatDuration, formatRate, formatSize, parseDuration, parseRate, parseSize } from "./units.ts";
