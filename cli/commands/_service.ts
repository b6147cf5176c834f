/** What a service has to be made for, read from the configuration that it will run with. */
import { dirname, isAbsolute, resolve } from "node:path";
import { secretsOf } from "../../lib/config/mod.ts";
import type { Config, DeviceConfig } from "../../lib/config/types.ts";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { BUBBLEWRAP, BUILT_IN_ORIGIN, type Plugin, type PluginSet } from "../../lib/host/mod.ts";
import { type KnownDevice, type ServiceFacts, STATE_DIR } from "../../lib/service/mod.ts";
import { CliError, type Context } from "../context.ts";
import { readConfig } from "./_config.ts";

/** Options that say which service is meant. */
export interface ServiceFlags {
  config?: string;
  name?: string;
  user?: string;
  program?: string;
  /** The directory to serve: the service is `serve ftp` then. */
  ftp?: string;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** The unit's name: `--name`, else `standard`. */
export function serviceName(context: Context, flag: string | undefined, standard = "filesync"): string {
  const name = (context.option(flag, "name") ?? standard).replace(/\.service$/, "");
  if (NAME.test(name)) return name;
  throw new CliError(EXIT.usage, `Cannot name a service "${name}": use letters, digits, "-", "_" and "."`);
}

/** @throws {CliError} If the program is no file that can be installed */
export function serviceFacts(context: Context, flags: ServiceFlags): ServiceFacts {
  const { config, plugins } = readConfig(context, flags.config);
  const name = serviceName(context, flags.name);
  for (const driver of new Set(config.devices.map((device) => device.driver))) {
    if (plugins.get(driver)?.wrapper !== BUBBLEWRAP) continue;
    context.say(
      `Driver "${driver}" will not start in this service: its unit allows no namespaces, which bubblewrap is made of. The
unit is a sandbox by itself: take "plugins.wrappers.${driver}" out of this configuration`,
      4,
    );
  }
  const texts = config.devices.flatMap(({ args }) => textsOf(args));
  return {
    name,
    description: "FileSync: moves files from devices that are hard to reach",
    program: programFile(context, flags.program),
    args: ["sync", "--no-progress", "--config", config.file],
    configFile: config.file,
    user: serviceUser(context, flags.user, "filesync"),
    hopeless: [EXIT.usage, EXIT.config],
    listens: false,
    kept: [],
    ...placesOf(config, plugins),
    credentials: [
      ...new Set(secretsOf(config, plugins).flatMap((secret) => "credential" in secret ? [secret.credential] : [])),
    ].sort(),
    serial: texts.some((text) => /^serial:|^\/dev\/(tty|serial\/)/.test(text)),
    ...drivesOf(config),
    known: config.devices.flatMap(knownDevices),
  };
}

/** @throws {CliError} If it is no name of a user */
export function serviceUser(context: Context, flag: string | undefined, standard: string): string {
  const user = context.option(flag, "user") ?? standard;
  if (/^[a-z_][a-z0-9_-]{0,31}\$?$/.test(user)) return user;
  throw new CliError(EXIT.usage, `Cannot run as "${user}": no user's name`);
}

/**
 * The program that the service starts.
 * @throws {CliError} If it is no file that can be installed
 */
export function programFile(context: Context, flag: string | undefined): string {
  const named = context.option(flag, "program");
  if (named !== undefined) {
    if (isAbsolute(named)) return named;
    throw new CliError(EXIT.usage, `Cannot start "${named}" as a service: name the program by its whole path`);
  }
  const self = context.env("FILESYNC_SELF") ?? (Deno.build.standalone ? Deno.execPath() : undefined);
  if (self !== undefined) return self;
  throw new CliError(EXIT.failed, "Cannot make a service of a program that runs from source", {
    hint:
      "deno task compile && sudo install dist/filesync-*-$(uname -m) /usr/local/bin/filesync, then say it with that",
  });
}

function placesOf(config: Config, plugins: PluginSet): Pick<ServiceFacts, "stateDirectory" | "writable" | "readable"> {
  const writable = new Set([dirname(config.statePath), config.spool.dir]);
  const readable = new Set<string>(config.pluginDirs);
  if (config.log.file !== undefined) writable.add(dirname(config.log.file));
  const pathsOf = ({ driver, args }: DeviceConfig): string[] => {
    const plugin = plugins.get(driver);
    const names = driver === "local" ? ["dir"] : plugin === undefined ? [] : pathArguments(plugin);
    const paths = names.map((name) => args[name]).filter((path) => typeof path === "string");
    return paths.map((path) => resolve(dirname(config.file), path));
  };
  for (const job of config.jobs) {
    for (const path of pathsOf(job.source)) (job.after === "delete" ? writable : readable).add(path);
    for (const { device } of job.targets) for (const path of pathsOf(device)) writable.add(path);
  }
  const isOwn = (path: string) => path === STATE_DIR || path.startsWith(`${STATE_DIR}/`);
  const others = (paths: Set<string>) => [...paths].filter((path) => !isOwn(path)).sort();
  return {
    ...([...writable].some(isOwn) ? { stateDirectory: "filesync" } : {}),
    writable: others(writable),
    readable: others(readable),
  };
}

/** Where drives are mounted, whatever the configuration says: by udisks, and by hand. */
const MOUNT_ROOTS = ["/media", "/mnt", "/run/media"];

function drivesOf(config: Config): Pick<ServiceFacts, "drives" | "mounts" | "mountPoints"> {
  const drives = config.devices.filter(({ driver }) => driver === "disk");
  const written = config.jobs.flatMap(({ source, targets, after }) => [
    ...(after === "delete" ? [source] : []),
    ...targets.map(({ device }) => device),
  ]).filter(({ driver }) => driver === "disk");
  const points = written.flatMap(({ args }) => {
    const point = args["mount_point"];
    return typeof point === "string" && isAbsolute(point) ? [...MOUNT_ROOTS, point] : MOUNT_ROOTS;
  });
  return {
    drives: drives.length > 0,
    mounts: drives.some(({ args }) => args["mount"] !== "never" || args["unmount"] === "done"),
    mountPoints: [...new Set(points)].sort(),
  };
}

const PROPERTIES = { uuid: "ID_FS_UUID", label: "ID_FS_LABEL", partuuid: "ID_PART_ENTRY_UUID" };

/** The devices below `/dev` that a configured device names. */
function knownDevices({ driver, args }: DeviceConfig): KnownDevice[] {
  const lines = textsOf(args).flatMap((text): KnownDevice[] => {
    const [, name] = /^(?:serial:\/\/)?\/dev\/((?:tty|serial\/)[^?]*)/.exec(text) ?? [];
    if (name === undefined) return [];
    return [{ subsystem: "tty", match: name.includes("/") ? "SYMLINK" : "KERNEL", value: name }];
  });
  if (driver !== "disk") return lines;
  const drives = Object.entries(PROPERTIES).flatMap(([key, property]): KnownDevice[] => {
    const value = args[key];
    return typeof value === "string" ? [{ subsystem: "block", match: `ENV{${property}}`, value }] : [];
  });
  return [...lines, ...drives];
}

/** Arguments by which a driver of other people says where it reads and writes; of the built-in ones it is known. */
function pathArguments({ origin, args }: Plugin): string[] {
  if (origin === BUILT_IN_ORIGIN) return [];
  const properties = (args["properties"] ?? {}) as Record<string, { format?: string }>;
  return Object.entries(properties).filter(([, { format }]) => format === "path").map(([name]) => name);
}

function textsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsOf) : [];
}
