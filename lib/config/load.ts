/**
 * Reads, checks and completes a configuration.
 */
import { dirname, resolve } from "node:path";
import type { PluginSchemas } from "./args.ts";
import { buildConfig } from "./build.ts";
import { checkWhole } from "./check.ts";
import { ConfigError, type ConfigProblem, type Flaw, formatKey, type Path } from "./explain.ts";
import { defaultStatePath } from "./find.ts";
import { flawsOf, valueAt } from "./issues.ts";
import { type Converted, fromLegacy, isLegacy, legacyPath } from "./legacy.ts";
import { applyOverrides, type Flags, lineOf, outsideOf } from "./overrides.ts";
import { problemAt, readSource, type Source } from "./parse.ts";
import { literalSecrets } from "./redact.ts";
import { type SecretReference, secretReferences } from "./references.ts";
import { type ConfigFile, configSchema, fileJsonSchema } from "./file_schema.ts";
import type { Config, Origin } from "./types.ts";

/** What a configuration is read with. */
export interface LoadOptions {
  /** For `FILESYNC_*` and the directories of the state; by default nothing is set. */
  env?: Readonly<Record<string, string | undefined>>;
  /** What is known of each driver; without it drivers and their arguments are not checked. */
  plugins?: PluginSchemas;
  /** Texts of command line options, by the key of their setting: `{"log.level": "debug"}`. */
  flags?: Flags;
}

/**
 * The configuration in `file`, checked and complete.
 * @throws {ConfigError} With every problem at once
 */
export function loadConfig(file: string, options: LoadOptions = {}): Config {
  const source = readSource(file);
  const checked = checkSource(source, options);
  const { env = {}, plugins } = options;
  const absolute = resolve(file);
  const statePath = checked.value.state === undefined
    ? defaultStatePath(absolute, env)
    : resolve(dirname(absolute), checked.value.state);
  if (statePath === undefined) {
    throw new ConfigError([{
      file,
      key: "state",
      message: "Cannot choose a place for the state: the directory of this file cannot be written to, and neither " +
        "$STATE_DIRECTORY nor $XDG_STATE_HOME nor $HOME is set",
      hint: 'Set "state" to a path',
    }]);
  }
  const config = buildConfig(checked.value, {
    file: absolute,
    statePath,
    plugins,
    placeOf: (path) => formatKey(checked.placeOf(path)),
    notices: checked.notices,
    legacy: checked.converted !== undefined,
  });
  config.origins = checked.origins;
  const secret = readableSecret(file, config, plugins);
  if (secret !== undefined) config.notices.push(secret);
  config.notices.push(...readableKeys(config, plugins));
  return config;
}

/**
 * `plugins.dirs` of a file that may be wrong elsewhere, absolute: drivers are looked for there before the file is
 * checked, lest one mistake make strangers of them all.
 * @throws {ConfigError} If it cannot be read or is no JSON with comments
 */
export function pluginDirsIn(file: string): string[] {
  const dirs = valueAt(readSource(file).value, ["plugins", "dirs"]);
  const base = dirname(resolve(file));
  return Array.isArray(dirs) ? dirs.filter((dir) => typeof dir === "string").map((dir) => resolve(base, dir)) : [];
}

/** A file that passed every check, in today's form. */
export interface Checked {
  value: ConfigFile;
  /** The original's form, converted; absent when the file has today's. */
  converted?: Converted;
  origins: Record<string, Origin>;
  notices: string[];
  placeOf(path: Path): Path;
}

/**
 * Checks a parsed file against everything that is known.
 * @throws {ConfigError} With every problem at once
 */
export function checkSource(source: Source, options: LoadOptions): Checked {
  const converted = isLegacy(source.value) ? fromLegacy(source.value) : undefined;
  const placeOf = (path: Path) => converted === undefined ? path : legacyPath(path, converted.moved);
  const { value, origins } = applyOverrides(converted === undefined ? source.value : converted.value, {
    flags: options.flags ?? {},
    env: options.env ?? {},
    locate: (path) => lineOf(source)(placeOf(path)),
  });
  const notices = new Set(converted?.notices);
  const result = configSchema.safeParse(value);
  const flaws: Flaw[] = result.success ? [] : flawsOf(result.error.issues, {
    schema: fileJsonSchema(),
    value,
    path: [],
    hint: "filesync config schema describes every key",
    keyWord: "key",
    // Nothing that a driver gets is shown: it may be a secret in the wrong place.
    showable: (path) => !path.includes("args"),
  });
  flaws.push(...checkWhole(value, options.plugins, notices));
  if (!result.success || flaws.length > 0) {
    throw new ConfigError(sorted(flaws.map((flaw) => {
      const outside = outsideOf(flaw, origins);
      const problem = problemAt(source, { ...flaw, path: placeOf(flaw.path) });
      if (outside === undefined) return problem;
      const { line: _line, column: _column, ...rest } = problem;
      return { ...rest, file: outside, key: "" };
    })));
  }
  const checked: Checked = { value: result.data, origins, notices: [...notices], placeOf };
  if (converted !== undefined) checked.converted = converted;
  return checked;
}

/** In the order of the file, each once. */
function sorted(problems: ConfigProblem[]): ConfigProblem[] {
  const seen = new Set<string>();
  return problems
    .filter(({ key, message }) => !seen.has(`${key}\n${message}`) && seen.add(`${key}\n${message}`))
    .sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

/** The notice of a secret in a file that everyone can read. */
function readableSecret(file: string, config: Config, plugins: PluginSchemas | undefined): string | undefined {
  const { mode } = Deno.statSync(file);
  if (mode === null || (mode & 0o004) === 0) return undefined;
  for (const { driver, args, place } of config.devices) {
    const [path] = literalSecrets(args, plugins?.get(driver)?.args);
    if (path === undefined) continue;
    const key = `${place}.args.${formatKey(path)}`;
    return `"${file}" holds a secret (${key}) and everyone can read it: chmod 600 ${shellWord(file)}`;
  }
  return undefined;
}

/** Where the secrets of all devices are kept, as far as they are not in the configuration itself. */
export function secretsOf(config: Config, plugins: PluginSchemas | undefined): SecretReference[] {
  const holders = [
    ...config.devices.map(({ driver, args }) => ({ args, schema: plugins?.get(driver)?.args })),
    ...Object.values(config.hooks).flatMap((hook) => "url" in hook ? [{ args: hook.headers, schema: undefined }] : []),
  ];
  return holders.flatMap(({ args, schema }) =>
    secretReferences(args, schema).map((path) => valueAt(args, path) as SecretReference)
  );
}

/** Files of secrets that everyone can read. */
function readableKeys(config: Config, plugins: PluginSchemas | undefined): string[] {
  const files = secretsOf(config, plugins).flatMap((secret) => "file" in secret ? [secret.file] : []);
  return [...new Set(files)].filter((file) => {
    try {
      const { mode, isFile } = Deno.statSync(file);
      return isFile && mode !== null && (mode & 0o004) !== 0;
    } catch {
      return false; // Told where the secret is read.
    }
  }).map((file) => `Everyone can read the secret in "${file}": chmod 600 ${shellWord(file)}`);
}

function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
