/**
 * A driver that Deno does not hold may be put into a sandbox by the configuration: bubblewrap, which gives it a root of
 * its own with nothing in it but the system's programs, its own folder and what its arguments name; or any argv that
 * its own is appended to. It is the user's word: nothing is wrapped, and nothing left unwrapped, by itself.
 */
import type { Role } from "../driver/mod.ts";
import type { Plugin } from "./manifest.ts";

/** The ready-made wrapper, by its name in a configuration. */
export const BUBBLEWRAP = "bubblewrap";

/** {@linkcode BUBBLEWRAP}, or argv with `{stateDir}`, `{spoolDir}`, `{spoolRoot}`, `{folder}` and `{args.NAME}` filled in. */
export type Wrapper = typeof BUBBLEWRAP | readonly string[];

/** What a sandbox is made around. */
export interface SandboxRequest {
  plugin: Plugin;
  args: Record<string, unknown>;
  /** Those that the process serves. */
  roles: readonly Role[];
  spoolDir: string;
  spoolRoot: string;
  stateDir: string;
}

/** A wrapper's program with its arguments, and what it changes in the environment. */
export interface Sandbox {
  argv: string[];
  env: Record<string, string>;
}

/** The sandbox that `wrapper` stands for. */
export function sandboxFor(wrapper: Wrapper, request: SandboxRequest): Sandbox {
  if (wrapper === BUBBLEWRAP) return bubblewrap(request);
  return { argv: wrapper.map((word) => fill(word, request)), env: {} };
}

/** Programs and libraries; where `/bin` and its kin are links into `/usr`, they are here too. */
const SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];
/** What programs ask for names, certificates and the time of day. */
const SETTINGS = [
  "/etc/alternatives",
  "/etc/ca-certificates",
  "/etc/gai.conf",
  "/etc/group",
  "/etc/host.conf",
  "/etc/hosts",
  "/etc/ld.so.cache",
  "/etc/ld.so.conf",
  "/etc/ld.so.conf.d",
  "/etc/localtime",
  "/etc/mime.types",
  "/etc/nsswitch.conf",
  "/etc/passwd",
  "/etc/pki",
  "/etc/protocols",
  "/etc/resolv.conf",
  "/etc/services",
  "/etc/ssl",
  "/etc/timezone",
];

function bubblewrap(request: SandboxRequest): Sandbox {
  const { plugin, args, roles, spoolDir, spoolRoot, stateDir } = request;
  const isOffline = plugin.permissions?.net === false;
  const argv = [
    "bwrap",
    "--die-with-parent",
    "--unshare-user-try",
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-uts",
    "--unshare-cgroup-try",
    ...(isOffline ? ["--unshare-net"] : []),
    ...["--cap-drop", "ALL"],
    ...SYSTEM.flatMap(bindSystem),
    ...SETTINGS.flatMap((path) => ["--ro-bind-try", path, path]),
    ...["--proc", "/proc", "--dev", "/dev"],
    ...["--ro-bind", plugin.origin, plugin.origin],
    ...pathArgs(plugin.args, args).flatMap(bindArg),
    // A target reads what a source has spooled; a source has its own folder alone.
    ...(roles.includes("target") ? ["--ro-bind", spoolRoot, spoolRoot] : []),
    ...["--bind", spoolDir, spoolDir, "--bind", stateDir, stateDir],
    // Last: below a root that can be written to, a target that is not mounted would seem to be there, and take files.
    ...["--remount-ro", "/", "--chdir", stateDir, "--"],
  ];
  return { argv, env: { HOME: stateDir, TMPDIR: stateDir, PATH: "/usr/local/bin:/usr/bin:/bin" } };
}

function bindSystem(path: string): string[] {
  try {
    const { isSymlink } = Deno.lstatSync(path);
    return isSymlink ? ["--symlink", Deno.readLinkSync(path), path] : ["--ro-bind", path, path];
  } catch {
    // Not on this machine.
    return [];
  }
}

/**
 * A path that is not there fails the start, which is tried again with back-off: to bind what is above it instead would
 * show the driver its neighbours, and without it a target that is away would never be seen to come back.
 */
function bindArg(path: string): string[] {
  return [path.startsWith("/dev/") ? "--dev-bind" : "--bind", path, path];
}

/** Values of the arguments that the schema calls paths. */
function pathArgs(schema: Record<string, unknown>, args: Record<string, unknown>): string[] {
  const properties = (schema["properties"] ?? {}) as Record<string, { format?: string; default?: unknown }>;
  return Object.entries(properties).flatMap(([name, { format, default: standard }]) => {
    const value = args[name] ?? standard;
    return format === "path" && typeof value === "string" && value.startsWith("/") ? [value] : [];
  });
}

function fill(word: string, { plugin, args, spoolDir, spoolRoot, stateDir }: SandboxRequest): string {
  const values: Record<string, unknown> = { spoolDir, spoolRoot, stateDir, folder: plugin.origin };
  return word.replace(/\{(?:args\.)?(\w+)\}/g, (whole, name: string) => {
    const value = whole.startsWith("{args.") ? args[name] : values[name];
    return typeof value === "string" || typeof value === "number" ? String(value) : whole;
  });
}
