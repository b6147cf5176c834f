/**
 * A checked configuration: every default filled in, every path absolute, sizes in bytes, durations in milliseconds.
 */

export interface SpoolConfig {
  dir: string;
  quotaBytes: number;
  minFreeBytes: number;
  refetch: boolean;
}

export interface LogConfig {
  level: "debug" | "info" | "warning" | "error";
  /** Absent: stderr only. */
  file?: string;
  maxBytes: number;
  keep: number;
}

/** One configured device. Secrets in `args` are still references here: `resolveSecrets` reads them. */
export interface DeviceConfig {
  /** From `devices`, or `<job>.source`, `<job>.<target>` for an inline one. */
  name: string;
  driver: string;
  args: Record<string, unknown>;
  /** Where it stands in the file, for messages: `jobs[0].source`. */
  place: string;
}

export interface TargetConfig {
  name: string;
  device: DeviceConfig;
}

export interface RulesConfig {
  include: string[];
  exclude: string[];
  minSizeBytes: number;
  /** `undefined`: no limit. */
  maxSizeBytes?: number;
}

export type FinderOrder = "newest" | "oldest" | "name";

export interface FinderConfig {
  intervalMs: number;
  settleMs: number;
  order: FinderOrder;
  maxFirst?: number;
}

export interface JobConfig {
  name: string;
  source: DeviceConfig;
  targets: TargetConfig[];
  /** Template of the name on the target: `{path}` `{job}` `{device}` `{host}` `{date}`. */
  path: string;
  rules: RulesConfig;
  finder: FinderConfig;
  movers: number;
  after: "keep" | "delete";
  graceMs: number;
  deleteProof: "size" | "checksum" | "accepted";
  /** `undefined`: the driver's default. */
  onChange?: "replace" | "rename";
  onConflict: "rename" | "replace" | "park";
  onUncertain: "hold" | "retry";
  attempts: number;
  /** Bytes per second; `undefined`: no limit. */
  limits: { downloadBytesPerSecond?: number; uploadBytesPerSecond?: number };
  /** Windows of local time, minutes since midnight; empty: always. */
  windows: { fromMinute: number; toMinute: number }[];
}

export interface Config {
  /** The file that was read, absolute. */
  file: string;
  statePath: string;
  spool: SpoolConfig;
  log: LogConfig;
  pluginDirs: string[];
  http: { listen?: string };
  hooks: Record<string, unknown>;
  devices: DeviceConfig[];
  jobs: JobConfig[];
  /** What a person should know, though it is no error: ignored keys of the original's files, a readable secret. */
  notices: string[];
  /** Whether the file is one of the original Python program's. */
  legacy: boolean;
}
