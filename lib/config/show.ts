/**
 * `filesync config show`: the configuration as it is understood, in the form of the file, without secrets.
 */
import type { PluginSchemas } from "./args.ts";
import { mapValues } from "./references.ts";
import { redact, redactUrl } from "./redact.ts";
import type { Config, DeviceConfig, HookConfig, HttpConfig, JobConfig, ListenAddress, Origin } from "./types.ts";
import { formatDuration, formatRate, formatSize, formatWindow } from "./units.ts";

/** What `config show` says. */
export interface DescribeOptions {
  /** Adds where each setting came from, under `origin`. */
  origin?: boolean;
  /** The drivers' schemas, which mark secrets; what is named like one is hidden without them too. */
  plugins?: PluginSchemas;
}

/** `config` as a plain object: every default filled in, paths absolute, units readable, secrets as `"***"`. */
export function describeConfig(config: Config, options: DescribeOptions = {}): Record<string, unknown> {
  const device = ({ driver, args }: DeviceConfig) => ({
    driver,
    args: redact(args, options.plugins?.get(driver)?.args),
  });
  const named = new Set(config.devices.filter(({ place }) => place.startsWith("devices")));
  const shown: Record<string, unknown> = {
    state: config.statePath,
    spool: {
      dir: config.spool.dir,
      quota: formatSize(config.spool.quotaBytes),
      min_free: formatSize(config.spool.minFreeBytes),
      refetch: config.spool.refetch,
    },
    log: {
      level: config.log.level,
      file: config.log.file ?? null,
      console: config.log.console ?? true,
      max_size: formatSize(config.log.maxBytes),
      keep: config.log.keep,
      max_age: config.log.maxAgeMs === undefined ? null : formatDuration(config.log.maxAgeMs),
    },
    plugins: { dirs: config.pluginDirs },
    http: describeHttp(config.http),
    hooks: Object.fromEntries(Object.entries(config.hooks).map(([name, hook]) => [name, describeHook(hook)])),
    devices: Object.fromEntries([...named].map((config) => [config.name, device(config)])),
    jobs: config.jobs.map((job) => describeJob(job, (config) => named.has(config) ? config.name : device(config))),
  };
  if (options.origin === true) shown.origin = describeOrigins(config.origins ?? {});
  return shown;
}

/** Headers carry tokens under any name: what they hold is hidden, unless it is a reference. */
function describeHook(hook: HookConfig): Record<string, unknown> {
  const timeout = formatDuration(hook.timeoutMs);
  if ("command" in hook) return { command: hook.command, timeout };
  const headers = mapValues(redact(hook.headers), (value) => typeof value === "string" ? "***" : value);
  return { url: redactUrl(hook.url), headers, timeout };
}

function describeHttp({ listen, readOnly, hosts, proxy }: HttpConfig): Record<string, unknown> {
  return {
    listen: listen === undefined ? null : formatListen(listen),
    read_only: readOnly,
    hosts,
    proxy: proxy ?? null,
  };
}

function formatListen(listen: ListenAddress): string {
  if ("path" in listen) return `unix:${listen.path}`;
  return `${listen.hostname.includes(":") ? `[${listen.hostname}]` : listen.hostname}:${listen.port}`;
}

function describeJob(job: JobConfig, device: (config: DeviceConfig) => unknown): Record<string, unknown> {
  return {
    name: job.name,
    source: device(job.source),
    targets: job.targets.map(({ name, device: config }) => {
      const shown = device(config);
      return typeof shown === "object" ? { name, ...shown } : shown;
    }),
    path: job.path,
    rules: {
      include: job.rules.include,
      exclude: job.rules.exclude,
      min_size: formatSize(job.rules.minSizeBytes),
      max_size: job.rules.maxSizeBytes === undefined ? null : formatSize(job.rules.maxSizeBytes),
    },
    finder: {
      interval: formatDuration(job.finder.intervalMs),
      settle: formatDuration(job.finder.settleMs),
      order: job.finder.order,
      max_first: job.finder.maxFirst ?? null,
    },
    movers: job.movers,
    after: job.after,
    grace: formatDuration(job.graceMs),
    delete_proof: job.deleteProof,
    on_change: job.onChange ?? null,
    on_conflict: job.onConflict,
    on_uncertain: job.onUncertain,
    attempts: job.attempts,
    limits: {
      download: rate(job.limits.downloadBytesPerSecond),
      upload: rate(job.limits.uploadBytesPerSecond),
    },
    window: job.windows.map(formatWindow),
  };
}

function rate(bytesPerSecond: number | undefined): string | null {
  return bytesPerSecond === undefined ? null : formatRate(bytesPerSecond);
}

function describeOrigins(origins: Record<string, Origin>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(origins).map(([key, { from, name, line }]) => [
      key,
      from === "file" ? `file, line ${line}` : from === "default" ? "default" : `${name}`,
    ]),
  );
}
