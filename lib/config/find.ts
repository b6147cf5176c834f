/**
 * Where the configuration is, and where the state goes when it does not say.
 */
import { accessSync, constants } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import { ConfigError } from "./explain.ts";

type Env = Readonly<Record<string, string | undefined>>;

const STATE_NAME = "filesync.db";
/** The service's `StateDirectory`. */
const SERVICE_STATE = "/var/lib/filesync";

/**
 * The configuration file to use, absolute: `flag`, else `$FILESYNC_CONFIG`, else `./config.json`, else
 * `$XDG_CONFIG_HOME/filesync/config.json`, else `/etc/filesync/config.json`.
 * @throws {ConfigError} If there is none; a file that was named must be there
 */
export function findConfigFile(flag: string | undefined, env: Env): string {
  const named = [["--config", flag], ["$FILESYNC_CONFIG", env.FILESYNC_CONFIG]] as const;
  for (const [how, file] of named) {
    if (file === undefined || file === "") continue;
    if (exists(file)) return resolve(file);
    throw new ConfigError([{
      file,
      key: "",
      message: `Cannot find the configuration file that ${how} names`,
      hint: `Looked for ${resolve(file)}`,
    }]);
  }
  const home = env.HOME === undefined || env.HOME === "" ? undefined : join(env.HOME, ".config");
  const xdg = env.XDG_CONFIG_HOME || home;
  const candidates = [resolve("config.json")];
  if (xdg !== undefined) candidates.push(join(xdg, "filesync", "config.json"));
  candidates.push("/etc/filesync/config.json");
  const found = candidates.find(exists);
  if (found !== undefined) return found;
  throw new ConfigError([{
    file: "filesync",
    key: "",
    message: `Cannot find a configuration file: looked for ${candidates.join(", ")}`,
    hint: "Name one with --config FILE, or copy config.example.json to config.json",
  }]);
}

/** Whether something is there; what cannot be looked at is, so that reading it says why. */
function exists(file: string): boolean {
  try {
    Deno.statSync(file);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory);
  }
}

/**
 * Where the state store is when the configuration does not say: beside the configuration if that can be written to, else
 * in `$STATE_DIRECTORY`, else in `$XDG_STATE_HOME/filesync`; `undefined` when there is no such place. A configuration
 * below `/etc` has its store in `/var/lib/filesync`, whoever asks: there the service has it, and root finds it there.
 */
export function defaultStatePath(configFile: string, env: Env, system: System = THIS_SYSTEM): string | undefined {
  const beside = dirname(configFile);
  // systemd joins several StateDirectory= with colons.
  const [systemd] = (env.STATE_DIRECTORY ?? "").split(":");
  if (configFile.startsWith("/etc/") && !system.exists(join(beside, STATE_NAME))) {
    const stem = basename(configFile, extname(configFile));
    const name = stem === "config" ? STATE_NAME : `${stem}.db`;
    if (systemd !== undefined && systemd !== "") return join(systemd, name);
    if (system.isRoot || system.exists(SERVICE_STATE)) return join(SERVICE_STATE, name);
  }
  if (system.isWritable(beside)) return join(beside, STATE_NAME);
  if (systemd !== undefined && systemd !== "") return join(systemd, STATE_NAME);
  const xdg = env.XDG_STATE_HOME || (env.HOME ? join(env.HOME, ".local", "state") : "");
  return xdg === "" ? undefined : join(xdg, "filesync", STATE_NAME);
}

/** What is asked of the system, as a seam. */
interface System {
  isRoot: boolean;
  exists(path: string): boolean;
  isWritable(dir: string): boolean;
}

const THIS_SYSTEM: System = { isRoot: Deno.uid() === 0, exists, isWritable };

function isWritable(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
