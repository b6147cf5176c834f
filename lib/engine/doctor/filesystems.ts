/** Which filesystem a path lies on, and what that means for files that must survive a loss of power. */
import { accessSync, constants, existsSync, realpathSync, statfsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Machine } from "./machine.ts";

/** One line of /proc/self/mountinfo, as far as it matters. */
export interface Mount {
  point: string;
  type: string;
  /** Options of the filesystem itself, such as `upperdir=…`. */
  options: string;
}

/** The mounts in the order in which they were made. */
export function parseMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const point = before.split(" ")[4];
    const [type, , options = ""] = after.split(" ");
    if (point === undefined || type === undefined || type === "") return [];
    // The kernel writes space, tab, newline and backslash in octal.
    return [{
      point: point.replace(/\\([0-7]{3})/g, (_, code) => String.fromCharCode(parseInt(code, 8))),
      type,
      options,
    }];
  });
}

/** The mount that holds the absolute path; the last one made wins where two have one mount point. */
export function mountOf(mounts: readonly Mount[], path: string): Mount | undefined {
  let best: Mount | undefined;
  for (const mount of mounts) {
    const isAbove = mount.point === "/" || path === mount.point || path.startsWith(`${mount.point}/`);
    if (isAbove && mount.point.length >= (best?.point.length ?? 0)) best = mount;
  }
  return best;
}

/** What a filesystem is worth for us. */
export type Kind = "disk" | "network" | "fat" | "memory";

const NETWORK =
  /^(nfs\d?|cifs|smb\w*|9p|afs|ceph|glusterfs|lustre|ncpfs|virtiofs|fuse\.(?!lxcfs|fuseiso|ntfs|exfat).+|davfs)$/;
const FAT = /^(vfat|msdos|umsdos|exfat|fuse\.exfat|fuseblk|ntfs3?|fuse\.ntfs(-3g)?)$/;
const MEMORY = /^(tmpfs|ramfs|zram)$/;

/** The kind of a filesystem. An overlay is judged by what the kernel was told: a Pi can put one in memory over its card. */
export function kindOf(mount: Mount, commandLine: string): Kind {
  if (NETWORK.test(mount.type)) return "network";
  if (FAT.test(mount.type)) return "fat";
  if (MEMORY.test(mount.type)) return "memory";
  if (mount.type === "overlay" && /(^|\s)(boot=overlay|overlayroot=tmpfs)/.test(commandLine)) return "memory";
  return "disk";
}

/** A path's filesystem; `undefined` where the system does not tell. */
export function filesystemOf(machine: Machine, path: string): { type: string; kind: Kind } | undefined {
  const mounts = parseMounts(machine.text("/proc/self/mountinfo") ?? "");
  const mount = mountOf(mounts, realPath(path));
  if (mount === undefined) return undefined;
  return { type: mount.type, kind: kindOf(mount, machine.text("/proc/cmdline") ?? "") };
}

/** The nearest part of `path` that exists. */
export function nearestExisting(path: string): string {
  let at = path;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  return at;
}

/** `path` with its links followed, as far as it exists. */
export function realPath(path: string): string {
  const existing = nearestExisting(path);
  const rest = path.slice(existing.length).split("/").filter((part) => part !== "");
  try {
    return join(realpathSync(existing), ...rest);
  } catch {
    // It went away meanwhile, or must not be looked through: its name is what is left.
    return path;
  }
}

/** Why this process cannot write to something. */
export interface Refusal {
  /** In words, without the path. */
  why: string;
  isDenied: boolean;
}

/** Why `path`, or where it does not exist the directory that it would be made in, cannot be written to. */
export function writeRefusal(path: string, kind: "file" | "directory"): Refusal | undefined {
  const existing = nearestExisting(path);
  const isItself = existing === path;
  try {
    const mode = constants.W_OK | (kind === "directory" || !isItself ? constants.X_OK : 0);
    const info = Deno.statSync(existing);
    if (isItself && kind === "file" && info.isDirectory) return { why: "it is a directory", isDenied: false };
    if (!(isItself && kind === "file") && !info.isDirectory) {
      return { why: `"${existing}" is no directory`, isDenied: false };
    }
    accessSync(existing, mode);
    return undefined;
  } catch (error) {
    const { code } = error as { code?: string };
    const where = isItself ? "" : ` in "${existing}"`;
    if (code === "EROFS") return { why: "its filesystem is mounted read-only", isDenied: true };
    if (code === "EACCES" || code === "EPERM") return { why: `permission denied${where}`, isDenied: true };
    return { why: error instanceof Error ? error.message : String(error), isDenied: false };
  }
}

/** Bytes that the filesystem of an existing path has free for us. */
export function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return Number(bavail) * Number(bsize);
}
