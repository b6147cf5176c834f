/**
 * From the checked file to the `Config` that the program works with.
 */
import { dirname, resolve } from "node:path";
import { type PluginSchemas, prepareArgs } from "./args.ts";
import { targetsOf } from "./check.ts";
import type { Path } from "./explain.ts";
import type { ConfigFile, JobFile } from "./file_schema.ts";
import type {
  Config,
  DeviceConfig,
  FinderConfig,
  HookConfig,
  HttpConfig,
  JobConfig,
  LogConfig,
  PluginSettings,
  RulesConfig,
  TargetConfig,
} from "./types.ts";

/** What the file alone does not say. */
export interface BuildOptions {
  /** The configuration file, absolute. */
  file: string;
  statePath: string;
  plugins: PluginSchemas | undefined;
  /** The key of a path in the file that was read. */
  placeOf(path: Path): string;
  notices: string[];
  legacy: boolean;
}

/** The `Config` of a file in which everything was checked. */
export function buildConfig(value: ConfigFile, options: BuildOptions): Config {
  const base = dirname(options.file);
  const devices = new Map<string, DeviceConfig>();
  const addDevice = (name: string, device: { driver: string; args: Record<string, unknown> }, path: Path) => {
    const { driver } = device;
    const args = prepareArgs(device.args, options.plugins?.get(driver)?.args, base);
    const config: DeviceConfig = { name, driver, args, place: options.placeOf(path) };
    devices.set(name, config);
    return config;
  };
  for (const [name, device] of Object.entries(value.devices)) addDevice(name, device, ["devices", name]);

  const deviceOf = (spec: string | JobFile["source"], name: string, path: Path): DeviceConfig => {
    if (typeof spec !== "string") return addDevice(name, spec, path);
    const device = devices.get(spec);
    if (device === undefined) throw new Error(`Device "${spec}" passed the check without being there`);
    return device;
  };
  const jobs: JobConfig[] = [];
  const disabledJobs: string[] = [];
  for (const [index, job] of value.jobs.entries()) {
    if (!job.enable) {
      disabledJobs.push(job.name);
      continue;
    }
    const path = ["jobs", index];
    const source = deviceOf(job.source, `${job.name}.source`, [...path, "source"]);
    const targets = targetsOf(job, path).map((entry): TargetConfig => {
      const name = entry.name ?? "";
      return { name, device: deviceOf(entry.value as JobFile["source"], `${job.name}.${name}`, entry.path) };
    });
    jobs.push(buildJob(job, source, targets));
  }
  const notices = [...options.notices];
  for (const name of disabledJobs) notices.push(`Job "${name}" is not run: "enable" is false`);
  if (jobs.length === 0 && disabledJobs.length === 0) notices.push('Nothing is moved: "jobs" is empty');
  for (const job of jobs) {
    if (job.rules.include.length === 0) notices.push(`Job "${job.name}" takes no file: "rules.include" is empty`);
  }
  const log: LogConfig = { level: value.log.level, maxBytes: value.log.max_size, keep: value.log.keep };
  if (value.log.max_age !== null) log.maxAgeMs = value.log.max_age;
  if (value.log.file !== null) log.file = resolve(base, value.log.file);
  if (!value.log.console) log.console = false;
  const config: Config = {
    file: options.file,
    statePath: options.statePath,
    spool: {
      dir: value.spool.dir === undefined ? `${options.statePath}.spool` : resolve(base, value.spool.dir),
      quotaBytes: value.spool.quota,
      minFreeBytes: value.spool.min_free,
      refetch: value.spool.refetch,
    },
    log,
    pluginDirs: value.plugins.dirs.map((dir) => resolve(base, dir)),
    pluginSettings: pluginSettings(value.plugins),
    http: buildHttp(value.http, base),
    hooks: buildHooks(value.hooks, base),
    devices: [...devices.values()],
    jobs,
    notices,
    legacy: options.legacy,
  };
  if (disabledJobs.length > 0) config.disabledJobs = disabledJobs;
  return config;
}

/** How long a hook may take that does not say so, milliseconds. */
const HOOK_MS = 30_000;

function buildHooks(hooks: ConfigFile["hooks"], base: string): Config["hooks"] {
  return Object.fromEntries(
    Object.entries(hooks).flatMap(([name, hook]) => hook === undefined ? [] : [[name, buildHook(hook, base)]]),
  );
}

function buildHook(hook: NonNullable<ConfigFile["hooks"]["idle"]>, base: string): HookConfig {
  if (typeof hook === "string") return { url: hook, headers: {}, timeoutMs: HOOK_MS };
  if (Array.isArray(hook)) return { command: hook, timeoutMs: HOOK_MS };
  if ("command" in hook) return { command: hook.command, timeoutMs: hook.timeout };
  return { url: hook.url, headers: prepareArgs(hook.headers, undefined, base), timeoutMs: hook.timeout };
}

function buildHttp({ listen, read_only, hosts, proxy }: ConfigFile["http"], base: string): HttpConfig {
  return {
    ...(listen === null ? {} : { listen: "path" in listen ? { path: resolve(base, listen.path) } : listen }),
    readOnly: read_only,
    hosts,
    ...(proxy === null ? {} : { proxy }),
  };
}

function pluginSettings({ limits, wrappers }: ConfigFile["plugins"]): Record<string, PluginSettings> {
  const settings: Record<string, PluginSettings> = {};
  for (const [name, { memory, open_files: openFiles, nice }] of Object.entries(limits)) {
    settings[name] = {
      limits: {
        ...(memory === undefined ? {} : { memoryBytes: memory }),
        ...(openFiles === undefined ? {} : { openFiles }),
        ...(nice === undefined ? {} : { nice }),
      },
    };
  }
  for (const [name, wrapper] of Object.entries(wrappers)) settings[name] = { ...settings[name], wrapper };
  return settings;
}

function buildJob(job: JobFile, source: DeviceConfig, targets: TargetConfig[]): JobConfig {
  const rules: RulesConfig = {
    include: job.rules.include,
    exclude: job.rules.exclude,
    minSizeBytes: job.rules.min_size,
  };
  if (job.rules.max_size !== null) rules.maxSizeBytes = job.rules.max_size;
  const finder: FinderConfig = {
    intervalMs: job.finder.interval,
    settleMs: job.finder.settle,
    order: job.finder.order,
  };
  if (job.finder.max_first !== null) finder.maxFirst = job.finder.max_first;
  const limits: JobConfig["limits"] = {};
  if (job.limits.download !== null) limits.downloadBytesPerSecond = job.limits.download;
  if (job.limits.upload !== null) limits.uploadBytesPerSecond = job.limits.upload;
  const config: JobConfig = {
    name: job.name,
    source,
    targets,
    path: job.path,
    rules,
    finder,
    movers: job.movers,
    after: job.after,
    graceMs: job.grace,
    deleteProof: job.delete_proof,
    onConflict: job.on_conflict,
    onUncertain: job.on_uncertain,
    attempts: job.attempts,
    limits,
    windows: job.window,
  };
  if (job.on_change !== null) config.onChange = job.on_change;
  return config;
}
