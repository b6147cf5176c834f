/** Arguments of the `disk` driver. */
import { DriverError, pathProblem } from "../../lib/driver/mod.ts";

/** What is known of the filesystem that is meant: all that is given must fit. */
export interface VolumeName {
  uuid?: string;
  label?: string;
  partuuid?: string;
}

export interface DiskConfig {
  volume: VolumeName;
  /** Where it is mounted, absolute; only for `mount: auto`. */
  mountPoint: string;
  mount: "auto" | "never";
  unmount: "done" | "exit" | "never";
  /** Path below the filesystem's root, `""` for the root itself. */
  subdir: string;
}

/** Where mount points are made that nobody named. */
const MOUNT_BASE = "/run/filesync";

/**
 * What `args` mean; touches nothing.
 * @throws {DriverError} `invalid_config`
 */
export function parseConfig(args: Record<string, unknown>): DiskConfig {
  const volume: VolumeName = {};
  for (const key of ["uuid", "label", "partuuid"] as const) {
    const value = args[key];
    if (value === undefined) continue;
    // It becomes part of a path below /dev/disk and of an argv.
    if (typeof value !== "string" || value === "" || /\p{Cc}/u.test(value)) {
      throw invalid(key, `Argument "${key}" must be text`);
    }
    if (key !== "label" && !/^[0-9A-Za-z-]+$/.test(value)) {
      throw invalid(key, `Argument "${key}" must consist of letters, digits and "-": "${value}"`);
    }
    volume[key] = value;
  }
  const [name] = Object.values(volume);
  if (name === undefined) throw invalid("uuid", 'One of "uuid", "label" and "partuuid" must be given');
  const mount = choice(args, "mount", ["auto", "never"] as const) ?? "auto";
  const unmount = choice(args, "unmount", ["done", "exit", "never"] as const);
  return {
    volume,
    mountPoint: mountPointOf(args["mount_point"]) ?? `${MOUNT_BASE}/${name.replace(/[^0-9A-Za-z-]/g, "_")}`,
    mount,
    unmount: unmount ?? (mount === "never" ? "never" : "done"),
    subdir: subdirOf(args["subdir"] ?? ""),
  };
}

function mountPointOf(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string" || !value.startsWith("/") || value.includes("\0")) {
    throw invalid("mount_point", 'Argument "mount_point" must be an absolute path');
  }
  const trimmed = value.replace(/\/+$/, "");
  if (trimmed === "") throw invalid("mount_point", 'Argument "mount_point" must not be "/"');
  return trimmed;
}

function subdirOf(value: unknown): string {
  if (typeof value !== "string") throw invalid("subdir", 'Argument "subdir" must be a path');
  const path = value.replace(/^\/+|\/+$/g, "");
  const problem = path === "" ? undefined : pathProblem(path);
  if (problem !== undefined) throw invalid("subdir", `Argument "subdir" cannot be used: ${problem}`);
  return path;
}

function choice<T extends string>(args: Record<string, unknown>, key: string, choices: readonly T[]): T | undefined {
  const value = args[key];
  if (value === undefined || choices.includes(value as T)) return value as T | undefined;
  throw invalid(key, `Argument "${key}" must be one of ${choices.map((one) => `"${one}"`).join(", ")}`);
}

function invalid(key: string, message: string): DriverError {
  return new DriverError("invalid_config", message, {
    pointer: `/${key}`,
    ...(key === "uuid" ? { hint: "lsblk -f shows the UUID of each drive" } : {}),
  });
}
