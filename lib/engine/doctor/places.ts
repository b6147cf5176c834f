/** Where devices keep their files, as far as their arguments tell: two devices may be one directory. */
import { join, posix } from "node:path";
import type { DeviceConfig } from "../../config/mod.ts";
import type { Plugin, PluginSet } from "../../host/mod.ts";
import { realPath } from "./filesystems.ts";

/** A directory somewhere. */
export interface Place {
  /** Places of equal space can be compared: this machine, or one account on one server. */
  space: string;
  /** Without a `/` at its end, but for the root. */
  dir: string;
}

/** The space of this machine's own directories. */
export const HERE = "this machine";

/** Arguments that say how a server is talked to, and not which. */
const HOW = ["connections", "secure", "ca", "pin"];

interface ArgSchema {
  format?: unknown;
  writeOnly?: unknown;
}

/** Where a device keeps its files. */
export function placeOf(device: DeviceConfig, plugin: Plugin | undefined): Place {
  const { driver, args } = device;
  const schema = (plugin?.args["properties"] ?? {}) as Record<string, ArgSchema>;
  for (const name of ["dir", "mount_point"]) {
    const value = args[name];
    if (schema[name]?.format !== "path" || typeof value !== "string" || value === "") continue;
    const { subdir } = args;
    return { space: HERE, dir: realPath(typeof subdir === "string" ? join(value, subdir) : value) };
  }
  const identity = Object.entries(args)
    .filter(([name]) => name !== "dir" && !HOW.includes(name) && schema[name]?.writeOnly !== true)
    .sort(([a], [b]) => a < b ? -1 : 1);
  const dir = typeof args["dir"] === "string" ? args["dir"] : "";
  // Where a login leads is known to the server alone.
  const absolute = dir.startsWith("/") ? dir : `/~/${dir}`;
  return { space: JSON.stringify([driver, identity]), dir: posix.normalize(absolute).replace(/(?<=.)\/$/, "") };
}

/** One directory may have two paths: it is mounted twice. */
function isSameDirectory(a: string, b: string): boolean {
  try {
    const [one, other] = [Deno.statSync(a), Deno.statSync(b)];
    return one.ino !== null && one.ino === other.ino && one.dev === other.dev;
  } catch {
    return false;
  }
}

/** The path of `inner` below `outer`: `""` when they are one, `undefined` when it is not inside. */
export function inside(outer: Place, inner: Place): string | undefined {
  if (outer.space !== inner.space) return undefined;
  if (outer.dir === inner.dir || outer.space === HERE && isSameDirectory(outer.dir, inner.dir)) return "";
  const start = outer.dir === "/" ? "/" : `${outer.dir}/`;
  return inner.dir.startsWith(start) ? inner.dir.slice(start.length) : undefined;
}

/**
 * Whether a job's source and one of its targets may be one directory though their arguments do not tell: one is here and
 * the other on a server, which may be this machine, or one server has two names. A driver with one role has no directory
 * that another could have, too.
 */
export function mayBeOne(source: DeviceConfig, target: DeviceConfig, plugins: PluginSet): boolean {
  const [from, to] = [plugins.get(source.driver), plugins.get(target.driver)];
  if (from?.roles.includes("target") !== true || to?.roles.includes("source") !== true) return false;
  return placeOf(source, from).space !== placeOf(target, to).space;
}
