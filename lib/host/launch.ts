/**
 * How a plugin is started: its argv, its environment, its directory. No shell is involved, nothing of our environment
 * is handed on but a short list, and a child dies with us where the machine can see to that.
 */
import { BUILT_IN_ORIGIN, limitsOf, type Plugin, resolveCommand } from "./manifest.ts";
import { denoFlags } from "./permissions.ts";
import { SOURCE_ROOT } from "./builtin.ts";
import { PluginDeath } from "./plugin_death.ts";
import { limitsWrapper } from "./limits.ts";
import { sandboxFor, type SandboxRequest } from "./sandbox.ts";
import { basename, dirname } from "node:path";

/** The facts of one start. */
export type LaunchRequest = SandboxRequest;

/** What to spawn. */
export interface LaunchSpec {
  command: string;
  args: string[];
  /** The whole environment. */
  env: Record<string, string>;
  cwd: string;
}

/** The machine and the build, as seams. */
export interface LaunchSeams {
  /** @default {Deno.build.standalone} */
  standalone?: boolean;
  /** @default {Deno.execPath()} */
  execPath?: string;
  /** @default {Deno.env.get} */
  env?: (name: string) => string | undefined;
  /**
   * argv that the plugin's own is appended to.
   * @default {setpriv with a parent-death signal, where it works, and the plugin's limits}
   */
  wrapper?: readonly string[];
}

/** The hidden sub-command of the program that serves a built-in driver. */
export const PLUGIN_COMMAND = "__plugin";

/** The bundled program fetches nothing, and reads no configuration of Deno's that lies about. */
export const BUNDLE_FLAGS: readonly string[] = [
  "--unstable-net",
  "--no-config",
  "--no-lock",
  "--no-npm",
  "--no-remote",
  "--cached-only",
  "--node-modules-dir=none",
];

/** Flags of V8 for a driver: a Pi's memory before the last bit of speed. `MemorySaver` needs the first. */
export const DRIVER_V8_FLAGS = "--expose-gc,--max-semi-space-size=1,--max-lazy";
/**
 * Flags of V8 for the program itself. With a young generation of 1 MiB half of what files at work hold for a moment is
 * moved on as if it stayed: 250 collections for 2,000 files in the place of 35, and 20 MB more of garbage in the old
 * one, which is collected when it has grown by half.
 */
export const V8_FLAGS = "--expose-gc,--max-semi-space-size=8,--heap-growing-percent=50,--max-lazy";

const MIB = 1024 * 1024;
const ENV_OF_ALL = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];
const ENV_OF_DENO = ["DENO_DIR", "XDG_CACHE_HOME", "NO_COLOR"];
/** What a program that is started again needs to find itself. */
const ENV_OF_SELF = ["FILESYNC_SELF", "FILESYNC_CACHE_DIR", "CACHE_DIRECTORY", "XDG_CACHE_HOME"];

/**
 * The argv, environment and directory of a plugin's process.
 * @throws {PluginDeath} If what its command names is not there
 */
export function launchSpec(request: LaunchRequest, seams: LaunchSeams = {}): LaunchSpec {
  const getEnv = seams.env ?? ((name) => Deno.env.get(name));
  const { plugin } = request;
  const isBuiltIn = plugin.origin === BUILT_IN_ORIGIN;
  const self = getEnv("FILESYNC_SELF");
  // Where cli/build/package/header.sh has unpacked the program and the Deno that runs it.
  const unpacked = getEnv("FILESYNC_UNPACKED");
  const standalone = seams.standalone ?? (unpacked === undefined && (Deno.build.standalone || self !== undefined));
  const execPath = unpacked === undefined ? seams.execPath ?? Deno.execPath() : `${unpacked}/filesync`;
  const names = [...ENV_OF_ALL, ...(plugin.permissions?.env ?? [])];
  const fixed: Record<string, string> = {};
  let argv: string[];
  let isDenoRun = isBuiltIn && !standalone;
  if (isBuiltIn && standalone) {
    argv = [self ?? execPath, PLUGIN_COMMAND, plugin.name];
    names.push(...ENV_OF_SELF);
  } else if (isBuiltIn && unpacked !== undefined) {
    argv = [...denoRun(execPath, request, BUNDLE_FLAGS), `${unpacked}/app/plugins/${plugin.name}/main.js`];
  } else if (isBuiltIn) {
    const config = new URL("deno.json", SOURCE_ROOT).pathname;
    const main = new URL(`plugins/${plugin.name}/main.ts`, SOURCE_ROOT).pathname;
    argv = [...denoRun(execPath, request, ["--no-remote", "--config", decodeURI(config)]), decodeURI(main)];
  } else {
    const [first, ...rest] = resolveCommand(plugin.origin, plugin.command ?? []).map((part) => part.value);
    if (first === undefined) throw cannotStart(plugin, "its manifest names no command");
    isDenoRun = plugin.permissions !== undefined && /\.[cm]?[jt]s$/.test(first);
    argv = isDenoRun
      ? [...denoRun(denoFor(plugin, standalone, execPath, getEnv("PATH")), request, ["--no-lock"]), first, ...rest]
      : [programPath(plugin, first, getEnv("PATH")), ...rest];
  }
  const isV8 = isBuiltIn || isDenoRun || RESERVING.test(basename(argv[0]!)) || RESERVING.test(firstLineOf(argv[0]!));
  if (isDenoRun) {
    names.push(...ENV_OF_DENO);
    fixed["DENO_NO_UPDATE_CHECK"] = "1";
  }
  const env: Record<string, string> = { ...fixed };
  for (const name of names) {
    const value = getEnv(name);
    if (value !== undefined) env[name] = value;
  }
  // Our own cache goes with the version; what a plugin has fetched stays.
  if (isDenoRun && !isBuiltIn && unpacked !== undefined) env["DENO_DIR"] = `${dirname(unpacked)}/deno`;
  if (plugin.wrapper !== undefined) {
    const sandbox = sandboxFor(plugin.wrapper, request);
    const [program = "", ...words] = sandbox.argv;
    argv = [programPath(plugin, program, getEnv("PATH")), ...words, ...argv];
    Object.assign(env, sandbox.env);
  }
  const wrapper = seams.wrapper ?? [...parentDeathWrapper(), ...limitsWrapper(limitsOf(plugin), isV8)];
  const [command = "", ...args] = [...wrapper, ...argv];
  return { command, args, env, cwd: request.stateDir };
}

function denoRun(deno: string, request: LaunchRequest, flags: readonly string[]): string[] {
  const { plugin, args, spoolDir, spoolRoot, stateDir } = request;
  const permissions = denoFlags(plugin.permissions ?? {}, { args, schema: plugin.args, spoolDir, spoolRoot, stateDir });
  return [
    deno,
    "run",
    "--quiet",
    "--no-prompt",
    ...flags,
    // Half of its memory: the rest is for what V8 keeps outside of its heap, above all buffers.
    `--v8-flags=--max-old-space-size=${Math.ceil(limitsOf(plugin).memoryBytes / MIB / 2)},${DRIVER_V8_FLAGS}`,
    ...permissions,
  ];
}

function denoFor(plugin: Plugin, standalone: boolean, execPath: string, path: string | undefined): string {
  return standalone ? programPath(plugin, "deno", path) : execPath;
}

/** Looks for `program` on PATH here, so that a missing interpreter is named and not found out by a wrapper's exit code. */
function programPath(plugin: Plugin, program: string, path = "/usr/local/bin:/usr/bin:/bin"): string {
  const candidates = program.includes("/") ? [program] : path.split(":").map((dir) => `${dir || "."}/${program}`);
  const found = candidates.find(isExecutable);
  if (found !== undefined) {
    const interpreter = interpreterOf(found);
    if (interpreter === undefined || isFile(interpreter)) return found;
    const why = interpreter.endsWith("\r")
      ? `"${found}" has the line ends of Windows: sed -i 's/\\r$//' ${found}`
      : `"${found}" needs "${interpreter}", which is not there`;
    throw cannotStart(plugin, why);
  }
  throw cannotStart(
    plugin,
    !program.includes("/")
      ? `"${program}" is not on PATH`
      : isFile(program)
      ? `"${program}" may not be executed: chmod +x ${program}`
      : `"${program}" is no executable file`,
  );
}

/** Programs that map far more memory than they use. */
const RESERVING = /\b(deno|node|nodejs|bun|java)\b/;

/** Longest first line that Linux looks at, bytes (BINPRM_BUF_SIZE). */
const FIRST_LINE_MAX = 256;

/** The absolute path behind `#!`; `undefined` when there is none or the file cannot be read. */
function interpreterOf(path: string): string | undefined {
  return /^#![ \t]*(\/[^ \t\n]*)/.exec(firstLineOf(path))?.[1];
}

/** The line that begins with `#!`; empty when there is none or the file cannot be read. */
function firstLineOf(path: string): string {
  const bytes = new Uint8Array(FIRST_LINE_MAX);
  try {
    using file = Deno.openSync(path);
    const count = file.readSync(bytes) ?? 0;
    return /^#![^\n]*/.exec(new TextDecoder().decode(bytes.subarray(0, count)))?.[0] ?? "";
  } catch {
    return "";
  }
}

function isExecutable(path: string): boolean {
  return isFile(path, (mode) => (mode & 0o111) !== 0);
}

function isFile(path: string, has: (mode: number) => boolean = () => true): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && (mode === null || has(mode));
  } catch {
    return false;
  }
}

function cannotStart(plugin: Plugin, why: string): PluginDeath {
  return new PluginDeath(`Cannot start plugin "${plugin.name}": ${why}`, {
    exitCode: null,
    signal: null,
    reason: "spawn",
    killedByUs: false,
    lastWords: "",
  });
}

let wrapper: readonly string[] | undefined;

/**
 * `setpriv --pdeathsig KILL --` where it works: the kernel then kills a child whose host was killed by SIGKILL, also
 * one that does not watch its stdin. Elsewhere stdin's end and the service's cgroup must do.
 */
export function parentDeathWrapper(): readonly string[] {
  if (wrapper !== undefined) return wrapper;
  const candidate = ["/usr/bin/setpriv", "/bin/setpriv", "/usr/sbin/setpriv"].find(isExecutable);
  wrapper = [];
  if (candidate === undefined) return wrapper;
  // Busybox has a setpriv without this option, and so had util-linux before 2.33.
  const options = ["--pdeathsig", "KILL", "--"];
  const { success } = new Deno.Command(candidate, { args: [...options, "true"], stdout: "null", stderr: "null" })
    .outputSync();
  if (success) wrapper = [candidate, ...options];
  return wrapper;
}
