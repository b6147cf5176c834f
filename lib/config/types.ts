/**
 * A checked configuration: every default filled in, every path absolute, sizes in bytes, durations in milliseconds.
 */

export interface SpoolConfig {
  dir: string;
  quotaBytes: number;
  minFreeBytes: number;
  refetch: boolean;
}

/** The log for people. */
export interface LogConfig {
  level: "debug" | "info" | "warning" | "error";
  /** Absent: stderr only. */
  file?: string;
  maxBytes: number;
  keep: number;
  /** Absent: rotated files go by their number alone. */
  maxAgeMs?: number;
  /** Whether the log goes to stderr; absent: yes. */
  console?: boolean;
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

/** One target of a job. */
export interface TargetConfig {
  name: string;
  device: DeviceConfig;
}

/** Which files of a source are wanted. */
export interface RulesConfig {
  include: string[];
  exclude: string[];
  minSizeBytes: number;
  /** `undefined`: no limit. */
  maxSizeBytes?: number;
}

/** What is fetched first. */
export type FinderOrder = "newest" | "oldest" | "name";

/** How a source is listed. */
export interface FinderConfig {
  intervalMs: number;
  settleMs: number;
  order: FinderOrder;
  maxFirst?: number;
}

/** One source, its targets, and how files go from one to the others. */
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

/** What is said of one plugin; what is absent is the plugin's manifest's word, or that of the program. */
export interface PluginSettings {
  limits?: { memoryBytes?: number; openFiles?: number; nice?: number };
  /** What is put around its process: a ready-made sandbox, or argv that its own is appended to. */
  wrapper?: "bubblewrap" | string[];
}

/** Where a setting came from; `line` is that of the file. */
export interface Origin {
  from: "flag" | "env" | "file" | "default";
  /** The option or the variable. */
  name?: string;
  line?: number;
}

/** An address of this machine, or a Unix socket. */
export type ListenAddress = { hostname: string; port: number } | { path: string };

/** The status page. */
export interface HttpConfig {
  /** `undefined`: there is no page. */
  listen?: ListenAddress;
  readOnly: boolean;
  /** Further names by which browsers may ask for it, without port. */
  hosts: string[];
  /** A proxy that says by a header whom it has let in. */
  proxy?: { header: string; from: string[] };
}

/** What a hook is for: events, and `idle`, when nothing is left to do. */
export type HookName = "delivered" | "parked" | "held" | "safe_to_unplug" | "idle";

/** What is done on an event: a program is run, or an address is told. */
export type HookConfig =
  & ({ command: string[] } | {
    url: string;
    /** Values may be references to secrets. */
    headers: Record<string, unknown>;
  })
  & { timeoutMs: number };

/** A whole configuration. */
export interface Config {
  /** The file that was read, absolute. */
  file: string;
  statePath: string;
  spool: SpoolConfig;
  log: LogConfig;
  pluginDirs: string[];
  /** What is said of single plugins, by name. */
  pluginSettings: Record<string, PluginSettings>;
  http: HttpConfig;
  hooks: Partial<Record<HookName, HookConfig>>;
  devices: DeviceConfig[];
  jobs: JobConfig[];
  /** What a person should know, though it is no error: ignored keys of the original's files, a readable secret. */
  notices: string[];
  /** Whether the file is one of the original Python program's. */
  legacy: boolean;
  /** Jobs with `enable: false`: checked, known, and not run. */
  disabledJobs?: string[];
  /** By key, such as `spool.quota`: where each setting that an option or a variable can give came from. */
  origins?: Record<string, Origin>;
}
