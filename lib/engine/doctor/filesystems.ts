/** Which filesystem a path lies on, and what that means for files that must survive a loss of power. */
import { accessSync, constants, existsSync, realpathSync, statfsSync } from "node:fs";
import { dirname, join } from "node:path";
import { shellWord } from "./finding.ts";
import { type Machine, userName } from "./machine.ts";

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
  /^(nfs\d?|cifs|smb\w*|9p|afs|ceph|glusterfs|lustre|virtiofs|davfs|fuse\.(sshfs|rclone|davfs2?|gvfsd-fuse|s3fs|curlftpfs|glusterfs|ceph.*))$/;
const FAT = /^(vfat|msdos|umsdos|exfat|fuse\.exfat|fuseblk|ntfs3?|fuse\.ntfs(-3g)?)$/;
const MEMORY = /^(tmpfs|ramfs)$/;

/** The kind of a filesystem. An overlay is judged by what the kernel was told: a Pi can put one in memory over its card. */
export function kindOf(mount: Mount, commandLine: string): Kind {
  if (NETWORK.test(mount.type)) return "network";
  if (FAT.test(mount.type)) return "fat";
  if (MEMORY.test(mount.type)) return "memory";
  if (mount.type === "overlay" && /(^|\s)(boot=overlay|overlayroot=tmpfs)/.test(commandLine)) return "memory";
  return "disk";
}

/** The filesystem that a path lies on. */
export interface Filesystem {
  point: string;
  type: string;
  kind: Kind;
}

/** A path's filesystem; `undefined` where the system does not tell. */
export function filesystemOf(machine: Machine, path: string): Filesystem | undefined {
  const mounts = parseMounts(machine.text("/proc/self/mountinfo") ?? "");
  const mount = mountOf(mounts, realPath(path));
  if (mount === undefined) return undefined;
  return { point: mount.point, type: mount.type, kind: kindOf(mount, machine.text("/proc/cmdline") ?? "") };
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
  remedy: string;
}

/** Why `path`, or where it does not exist the directory that it would be made in, cannot be written to. */
export function writeRefusal(machine: Machine, path: string, kind: "file" | "directory"): Refusal | undefined {
  const existing = nearestExisting(path);
  const isFile = existing === path && kind === "file";
  try {
    if (Deno.statSync(existing).isDirectory === isFile) {
      const why = isFile ? "it is a directory" : `"${existing}" is no directory`;
      return { why, isDenied: false, remedy: `See what is there: ls -ld ${shellWord(existing)}` };
    }
    accessSync(existing, isFile ? constants.W_OK : constants.W_OK | constants.X_OK);
    // After an error ext4 refuses every change and says nothing of it when it is asked (Linux 6.14).
    const mount = mountOf(parseMounts(machine.text("/proc/self/mountinfo") ?? ""), realPath(existing));
    if (mount?.options.split(",").includes("emergency_ro") === true) {
      return refusalFor(machine, { code: "EROFS" }, existing);
    }
    return undefined;
  } catch (error) {
    return refusalFor(machine, error, existing, existing === path ? "" : ` in "${existing}"`);
  }
}

/** The refusal behind a system's error about an existing path. */
export function refusalFor(machine: Machine, error: unknown, existing: string, where = ""): Refusal {
  const { code } = error as { code?: string };
  switch (code) {
    case "EROFS":
      return {
        why: `the filesystem is mounted read-only${where}`,
        isDenied: true,
        remedy: "Mount it for writing; a disk with errors is made read-only: dmesg | tail",
      };
    case "EACCES":
    case "EPERM":
      return { why: `permission denied${where}`, isDenied: true, remedy: ownerRemedy(machine, existing) };
    case "ENOSPC":
    case "EDQUOT":
      return { why: "no space left", isDenied: false, remedy: "Make room: df -h shows how much is missing" };
    default:
      return {
        why: error instanceof Error ? error.message : String(error),
        isDenied: false,
        remedy: "Look at: dmesg | tail",
      };
  }
}

function ownerRemedy(machine: Machine, existing: string): string {
  const { uid } = machine;
  const owner = Deno.statSync(existing).uid;
  if (uid === undefined || owner === null) return `See who may write there: ls -ld ${shellWord(existing)}`;
  if (owner === uid) return `chmod u+rwX ${shellWord(existing)}`;
  const names = `${userName(machine, uid).replace("#", "")} ${shellWord(existing)}`;
  return `Run as "${userName(machine, owner)}", to whom it belongs, or give it away: sudo chown ${names}`;
}

/** Bytes that the filesystem of an existing path has free for us. */
export function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return Number(bavail) * Number(bsize);
}
