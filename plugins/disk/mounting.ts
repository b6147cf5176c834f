/** Mounting and unmounting: by mount(8) as root or by a line of fstab, by udisks otherwise. */
import { DriverError } from "../../lib/driver/mod.ts";
import type { Volume } from "./find.ts";
import { isRoot, look, readSystemFile } from "./libc.ts";
import { type Mount, parseMountinfo } from "./mountinfo.ts";
import { run, type ToolAnswer } from "./tools.ts";

/** How this process may mount. */
export type Way = "root" | "fstab" | "udisks" | "none";

/** Nothing on a drive may run, be a device or gain rights. */
const SAFE = ["nosuid", "nodev", "noexec"];

/** What else a filesystem is mounted with. Without it the kernel's own character set decides, and `?` stands for the rest. */
const OPTIONS: Record<string, readonly string[]> = { vfat: ["utf8"] };

/** Types to mount with where the kernel does not know one, since Debian's exfat-fuse has no `mount.exfat`. */
const IN_USER_SPACE: Record<string, string> = { exfat: "exfat-fuse" };

/** What to install where the kernel does not know a filesystem, by its type. Debian and Raspberry Pi OS. */
const PACKAGES: Record<string, string> = {
  exfat: "exfat-fuse",
  ntfs: "ntfs-3g",
  ntfs3: "ntfs-3g",
  btrfs: "btrfs-progs",
  xfs: "xfsprogs",
  f2fs: "f2fs-tools",
  hfsplus: "hfsprogs",
};

export function mounts(): Mount[] {
  return parseMountinfo(readSystemFile("/proc/self/mountinfo") ?? "");
}

/**
 * Where the volume is mounted as a whole, and can be seen: the mount at `preferred` before others. Filesystems in user
 * space have a device number of their own, so the name of the device counts too.
 */
export function mountOf(volume: Volume, preferred: string): Mount | undefined {
  const found = mounts().filter((mount) =>
    mount.root === "/" && (mount.device === volume.device || look(mount.source)?.isNodeOf === volume.device) &&
    isOnTop(mount)
  );
  return found.find((mount) => mount.point === preferred) ?? found[0];
}

/** The mount that a path leads to, when it is a mount point. */
export function mountAt(point: string): Mount | undefined {
  return mounts().findLast((mount) => mount.point === point && isOnTop(mount));
}

function isOnTop(mount: Mount): boolean {
  const seen = look(mount.point);
  return seen !== undefined && seen.device === mount.device && (seen.mountId === 0n || seen.mountId === mount.id);
}

export async function wayToMount(volume: Volume, mountPoint: string): Promise<Way> {
  if (isRoot()) return "root";
  if (hasFstabLine(readSystemFile("/etc/fstab") ?? "", volume, mountPoint)) return "fstab";
  return (await run("udisksctl", ["help"])).code === 127 ? "none" : "udisks";
}

/** Whether fstab lets a user mount it at this point. */
export function hasFstabLine(fstab: string, volume: { uuid: string; path: string }, mountPoint: string): boolean {
  return fstab.split("\n").some((line) => {
    const [spec = "", point = "", , options = ""] = line.trim().split(/\s+/);
    if (spec.startsWith("#") || point !== mountPoint) return false;
    const isIt = spec === volume.path || spec.toLowerCase() === `uuid=${volume.uuid}`.toLowerCase() ||
      spec.toLowerCase() === `/dev/disk/by-uuid/${volume.uuid}`.toLowerCase();
    return isIt && options.split(",").some((option) => option === "user" || option === "users");
  });
}

/** A line that lets any user mount the volume there. */
export function fstabLine({ uuid, type }: Volume, mountPoint: string): string {
  const options = ["noauto", "user", "ro", ...(OPTIONS[type ?? ""] ?? [])].join(",");
  return `UUID=${uuid} ${mountPoint} auto ${options} 0 0`;
}

/**
 * Mounts the volume.
 * @throws {DriverError} `denied` when we may not, `unavailable` with the system's words otherwise
 */
export async function mountVolume(volume: Volume, point: string, options: { writable: boolean }): Promise<void> {
  const way = await wayToMount(volume, point);
  let answer: ToolAnswer;
  switch (way) {
    case "root":
      makePoint(point);
      answer = await mountAsRoot(volume, point, options.writable);
      break;
    case "fstab":
      answer = await run("mount", [point]);
      break;
    case "udisks":
      answer = await run("udisksctl", [
        "mount",
        "--no-user-interaction",
        "-b",
        volume.path,
        "-o",
        optionsOf(options.writable),
      ]);
      break;
    case "none":
      throw new DriverError("denied", `Cannot mount "${volume.path}": only root may`, {
        hint: `sudo apt install udisks2, or let fstab allow it: ${fstabLine(volume, point)}`,
      });
  }
  if (!answer.ok) throw mountError(volume, answer);
}

async function mountAsRoot(volume: Volume, point: string, isWritable: boolean): Promise<ToolAnswer> {
  const own = OPTIONS[volume.type ?? ""] ?? [];
  const mount = async (writable: boolean) => {
    const args = ["-o", [optionsOf(writable), ...own].join(","), volume.path, point];
    const answer = await run("mount", args);
    const type = IN_USER_SPACE[unknownType(answer) ?? ""];
    if (type === undefined) return answer;
    const instead = await run("mount", ["-t", type, ...args]);
    // Not installed: what the kernel does not know is the news.
    return unknownType(instead) === type ? answer : instead;
  };
  let answer = await mount(isWritable);
  // Somebody has it mounted for writing, maybe where we cannot see it: then ours alone is read-only.
  if (!answer.ok && !isWritable && /already mounted|busy/.test(answer.words)) answer = await mount(true);
  return answer.ok ? await restrict(point, isWritable) : answer;
}

/** Filesystems in user space pass over some of what they were asked for. */
async function restrict(point: string, isWritable: boolean): Promise<ToolAnswer> {
  const wanted = optionsOf(isWritable);
  const given = mountAt(point)?.options ?? [];
  if (wanted.split(",").every((option) => given.includes(option))) return { ok: true, code: 0, out: "", words: "" };
  return await run("mount", ["-o", `remount,bind,${wanted}`, point]);
}

function optionsOf(isWritable: boolean): string {
  return [isWritable ? "rw" : "ro", ...SAFE].join(",");
}

function unknownType({ words }: ToolAnswer): string | undefined {
  return /unknown filesystem type '([^']+)'/.exec(words)?.[1];
}

/** Makes a mounted volume writable, or read-only again. */
export async function remount(mount: Mount, options: { writable: boolean }): Promise<void> {
  const answer = await run("mount", ["-o", `remount,${options.writable ? "rw" : "ro"}`, mount.point]);
  if (answer.ok) return;
  throw new DriverError("no_space", `Cannot make "${mount.point}" writable: ${answer.words}`, {
    hint: "Look at the drive's write-protect switch, and at: dmesg | tail",
  });
}

/** Unmounts, writing what is still in memory; with `force` also what is in use or gone: nothing waits for it then. */
export async function unmount(mount: Mount, options: { force?: boolean } = {}): Promise<ToolAnswer> {
  if (options.force === true) return await run("umount", ["-l", mount.point]);
  const answer = await run("umount", [mount.point]);
  if (answer.ok || isRoot()) return answer;
  return await run("udisksctl", ["unmount", "--no-user-interaction", "-b", mount.source]);
}

function makePoint(point: string): void {
  try {
    Deno.mkdirSync(point, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw new DriverError(
      "denied",
      `Cannot make the mount point "${point}": ${error instanceof Error ? error.message : error}`,
      {
        hint: `sudo mkdir -p "${point}"`,
      },
    );
  }
}

/** What mount(8) says, as the contract's. */
export function mountError(volume: Volume, answer: ToolAnswer): DriverError {
  const message = `Cannot mount "${volume.path}": ${answer.words === "" ? `exit code ${answer.code}` : answer.words}`;
  const type = unknownType(answer);
  if (type !== undefined) {
    const name = PACKAGES[type];
    const hint = name === undefined
      ? `Install what teaches this system the filesystem "${type}": sudo modprobe ${type}`
      : `sudo apt install ${name}`;
    return new DriverError("unavailable", message, { hint });
  }
  if (/only root|not authorized|permission denied|not permitted|NotAuthorized/i.test(answer.words)) {
    return new DriverError("denied", message, {
      hint:
        `Run filesync as root, allow it in polkit (org.freedesktop.udisks2.filesystem-mount), or use fstab with "user"`,
    });
  }
  return new DriverError("unavailable", message, {
    hint: `Look at: dmesg | tail. To repair it: sudo fsck ${volume.path}`,
  });
}
