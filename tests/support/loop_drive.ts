/**
 * Flash drives for tests: images of real filesystems on loop devices, plugged in and pulled by hand. What a test made
 * is gone when it ends, also when it fails.
 */
import { hasCommand } from "./needs.ts";

/** What the tests with drives need, for {@linkcode testNeeding}. */
export const DRIVES = "root and loop devices";

/** Whether this machine lets us attach and mount images. */
export function hasDrives(): boolean {
  if (Deno.uid() !== 0 || !["losetup", "mount", "umount", "blkid", "mkfs.ext4"].every(hasCommand)) return false;
  const { success, stdout } = new Deno.Command("losetup", { args: ["--find"], stderr: "null" }).outputSync();
  return success && stdout.length > 0;
}

/** Runs a tool of the system; returns what it printed. */
export async function tool(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, stdin: "null" }).output();
  if (!success) throw new Error(`${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
  return new TextDecoder().decode(stdout).trim();
}

/** How a filesystem is mounted, where that is not how any is. */
const MOUNTED: Partial<Record<Filesystem, { argv?: string[]; options?: string }>> = {
  vfat: { options: ",utf8" },
  ...(Deno.readTextFileSync("/proc/filesystems").includes("\texfat\n")
    ? {}
    : { exfat: { argv: ["-t", "exfat-fuse"] } }),
};

/** A device whose medium is gone, with its mounts. */
interface LeftBehind {
  device: string;
  image: string;
}

/** How a drive is made. */
export interface LoopDriveOptions {
  /** @default {a new one} */
  uuid?: string;
  /** The image is sparse. @default {256} */
  sizeMib?: number;
  label?: string;
  /** @default {"ext4"} */
  filesystem?: Filesystem;
  /** Whether the filesystem is the first partition of a table, for a kernel that reads tables. @default {false} */
  partitioned?: boolean;
}

/** What a drive can be made with. */
export type Filesystem = "ext4" | "vfat" | "exfat" | "ntfs";

interface Maker {
  /** A new one in the spelling of the filesystem; absent: mkfs makes it. */
  uuid?: () => string;
  argv: (uuid: string | undefined, label: string | undefined) => string[];
}

const MAKERS: Record<Filesystem, Maker> = {
  ext4: {
    uuid: () => crypto.randomUUID(),
    argv: (uuid = "random", label = "") => [
      ...["mkfs.ext4", "-q", "-F", "-U", uuid, "-L", label, "-E", "root_owner=0:0,lazy_itable_init=0"],
    ],
  },
  vfat: {
    uuid: () => crypto.randomUUID().slice(0, 9).toUpperCase().replace(/(.{4})(.{4}).*/, "$1-$2"),
    argv: (
      uuid = "0000-0001",
      label = "NO NAME",
    ) => ["mkfs.vfat", "-F", "32", "-i", uuid.replace("-", ""), "-n", label],
  },
  exfat: { argv: (_, label) => ["mkfs.exfat", ...(label === undefined ? [] : ["-L", label])] },
  ntfs: { argv: (_, label = "") => ["mkfs.ntfs", "-q", "-F", "-Q", "-L", label] },
};

/** `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: what is not in the journal is lost, as with a hand's pull. */
const EXT4_IOC_SHUTDOWN = 0x8004587dn;
const NO_LOG_FLUSH = 2;

/** Where the first partition begins, bytes: as on any card. */
const PARTITION_AT = 1024 * 1024;
const SECTOR_BYTES = 512;
const LINUX_PARTITION = 0x83;

/** When its files were made: the same on every drive that is filled alike. */
const FILLED = new Date(1_699_999_980_000);

/** One image with a filesystem. */
export class LoopDrive implements AsyncDisposable {
  /** Another one after {@linkcode LoopDrive.vanish}. */
  image: string;
  readonly uuid: string;
  /** The loop device, while it is plugged in. */
  device: string | undefined;
  readonly filesystem: Filesystem;
  /** Of the partition that it is, as blkid says it. */
  readonly partuuid: string | undefined;
  readonly #mounts = new Set<string>();
  /** Devices that it was pulled from while they were mounted. */
  readonly #left: LeftBehind[] = [];

  private constructor(image: string, uuid: string, filesystem: Filesystem, partuuid: string | undefined) {
    this.image = image;
    this.uuid = uuid;
    this.filesystem = filesystem;
    this.partuuid = partuuid;
  }

  /** Makes an image in `dir`, not plugged in. */
  static async make(dir: string, options: LoopDriveOptions = {}): Promise<LoopDrive> {
    const { filesystem = "ext4" } = options;
    const maker = MAKERS[filesystem];
    const uuid = options.uuid ?? maker.uuid?.();
    const image = `${dir}/${crypto.randomUUID()}.img`;
    await Deno.writeFile(image, new Uint8Array(0));
    await Deno.truncate(image, (options.sizeMib ?? 256) * 1024 * 1024);
    const [command, ...args] = maker.argv(uuid, options.label);
    await tool(command!, ...args, image);
    const known = uuid ?? await tool("blkid", "-p", "-s", "UUID", "-o", "value", image);
    const partuuid = options.partitioned === true ? await makePartition(image) : undefined;
    return new LoopDrive(image, known, filesystem, partuuid);
  }

  /** Attaches it, under whatever number is free. */
  async plugIn(options: { readOnly?: boolean } = {}): Promise<string> {
    for (let attempt = 1;; attempt++) {
      try {
        const flags = [
          ...(options.readOnly === true ? ["--read-only"] : []),
          ...(this.partuuid === undefined ? [] : ["--partscan"]),
        ];
        const loop = await tool("losetup", "--find", "--show", ...flags, this.image);
        return this.device = this.partuuid === undefined ? loop : `${loop}p1`;
      } catch (error) {
        // Somebody else took the free one in between.
        if (attempt === 20) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  /** Attaches it under another number than `before`, which somebody else has by now. */
  async plugInElsewhere(before: string): Promise<string> {
    const other = `${this.image}.other`;
    await Deno.writeFile(other, new Uint8Array(4096));
    // Refused when another has taken it already, which is as good.
    const isTaken = await tool("losetup", before, other).then(() => true, () => false);
    try {
      return await this.plugIn();
    } finally {
      if (isTaken) await tool("losetup", "-d", before);
      await Deno.remove(other);
    }
  }

  /** Mounts it at `point`, as the system or a person would. */
  async mount(point: string, options = "rw"): Promise<void> {
    await Deno.mkdir(point, { recursive: true });
    const { argv = [], options: own = "" } = MOUNTED[this.filesystem] ?? {};
    await tool("mount", ...argv, "-o", `${options}${own}`, this.device!, point);
    this.#mounts.add(point);
  }

  async unmount(point: string): Promise<void> {
    await tool("umount", point);
    this.#mounts.delete(point);
  }

  /** Puts files on it while it is not plugged in. */
  async fill(files: Record<string, Uint8Array | string>): Promise<void> {
    const dir = await Deno.makeTempDir({ prefix: "filesync-drive-" });
    try {
      await this.plugIn();
      await this.mount(dir);
      for (const [path, content] of Object.entries(files)) {
        await Deno.mkdir(`${dir}/${path}`.slice(0, `${dir}/${path}`.lastIndexOf("/")), { recursive: true });
        await Deno.writeFile(
          `${dir}/${path}`,
          typeof content === "string" ? new TextEncoder().encode(content) : content,
        );
        await Deno.utime(`${dir}/${path}`, FILLED, FILLED);
      }
      await this.unmount(dir);
      await this.detach();
    } finally {
      await this.#clear();
      await Deno.remove(dir);
    }
  }

  /** The files on it by path, while it is not plugged in. */
  async files(): Promise<Map<string, Uint8Array>> {
    const dir = await Deno.makeTempDir({ prefix: "filesync-drive-" });
    const found = new Map<string, Uint8Array>();
    const walk = async (prefix: string) => {
      for await (const { name, isDirectory } of Deno.readDir(`${dir}/${prefix}`)) {
        if (isDirectory) await walk(`${prefix}${name}/`);
        else found.set(prefix + name, await Deno.readFile(`${dir}/${prefix}${name}`));
      }
    };
    try {
      await this.plugIn();
      await this.mount(dir);
      await walk("");
      found.delete("lost+found");
      return found;
    } finally {
      await this.#clear();
      await Deno.remove(dir);
    }
  }

  /**
   * Pulls it as a hand does: the filesystem is dead from now on wherever it is mounted, the device is gone, and nobody
   * unmounts anything but by force.
   * @param options.isInUse somebody has a file of it open and keeps its device: {@linkcode LoopDrive.detach} follows
   */
  async pull(options: { isInUse?: boolean } = {}): Promise<void> {
    const { device } = this;
    if (device === undefined) return;
    await this.#tear(device);
    if (options.isInUse !== true) await this.detach();
  }

  /** Ends the filesystem wherever it is mounted. */
  async #tear(device: string): Promise<void> {
    for (const point of await mountPointsOf(device)) {
      try {
        if (this.filesystem === "ext4") shutDown(point);
        await tool("umount", "-l", point);
      } catch (error) {
        // Whoever mounted it may take it away meanwhile.
        if ((await mountPointsOf(device)).includes(point)) throw error;
      }
      this.#mounts.delete(point);
    }
  }

  /** Pulls it, and leaves its mounts, as the kernel does: the filesystem is dead, the device is empty. */
  async die(): Promise<void> {
    for (const point of await mountPointsOf(this.device!)) shutDown(point);
    await Deno.truncate(this.image, 0);
    await tool("losetup", "--set-capacity", this.device!);
  }

  /** Pulls it and leaves its mounts, as {@linkcode LoopDrive.die}; then it can be plugged in again. */
  async vanish(): Promise<void> {
    const { device, image } = this;
    if (device === undefined) return;
    for (const point of await mountPointsOf(device)) shutDown(point);
    const copy = image.replace(/[^/]+$/, `${crypto.randomUUID()}.img`);
    await tool("cp", "--sparse=always", image, copy);
    await this.die();
    this.#left.push({ device, image });
    this.device = undefined;
    this.image = copy;
  }

  /** Frees the loop device, and waits until nobody has it open any more: a drive that was pulled is gone for all. */
  async detach(): Promise<void> {
    const { device } = this;
    this.device = undefined;
    if (device === undefined) return;
    const loop = device.replace(/(?<=\d)p1$/, "");
    await tool("losetup", "-d", loop);
    const file = `/sys/block/${loop.slice("/dev/".length)}/loop/backing_file`;
    for (let looks = 0; await isImage(file, this.image); looks++) {
      if (looks === 3000) throw new Error(`${device} is still in use`);
      // Whoever was mounting it in this moment has it mounted now.
      await this.#tear(device);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #clear(): Promise<void> {
    if (this.device !== undefined) {
      for (const point of await mountPointsOf(this.device)) await tool("umount", "-l", point).catch(() => {});
    }
    this.#mounts.clear();
    await this.detach().catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#clear();
    for (const { device, image } of this.#left) {
      for (const point of await mountPointsOf(device)) await tool("umount", "-l", point).catch(() => {});
      await tool("losetup", "-d", device).catch(() => {});
      await Deno.remove(image).catch(() => {});
    }
    await Deno.remove(this.image).catch(() => {});
  }
}

/**
 * Puts a table of DOS in front of the filesystem that an image is.
 * @returns the UUID of its partition: the signature of the disk, and the partition's number
 */
async function makePartition(image: string): Promise<string> {
  const signature = crypto.getRandomValues(new Uint32Array(1))[0]!;
  const table = new DataView(new ArrayBuffer(PARTITION_AT));
  table.setUint32(440, signature, true);
  table.setUint8(446 + 4, LINUX_PARTITION);
  table.setUint32(446 + 8, PARTITION_AT / SECTOR_BYTES, true);
  table.setUint32(446 + 12, (await Deno.stat(image)).size / SECTOR_BYTES, true);
  table.setUint16(510, 0xaa55, true);
  const filesystem = `${image}.filesystem`;
  await Deno.rename(image, filesystem);
  await Deno.writeFile(image, new Uint8Array(table.buffer));
  await tool("dd", `if=${filesystem}`, `of=${image}`, "bs=1M", "seek=1", "conv=sparse,notrunc");
  await Deno.truncate(image, PARTITION_AT + (await Deno.stat(filesystem)).size);
  await Deno.remove(filesystem);
  return `${signature.toString(16).padStart(8, "0")}-01`;
}

/** Ends a mounted filesystem as it is. */
function shutDown(point: string): void {
  using libc = new Libc();
  libc.shutDown(point);
}

/** The two calls that Deno does not have. */
class Libc implements Disposable {
  readonly #library = Deno.dlopen("libc.so.6", {
    open: { parameters: ["buffer", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
    ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  });

  shutDown(point: string): void {
    const { open, close, ioctl } = this.#library.symbols;
    const file = open(new TextEncoder().encode(`${point}\0`), 0);
    const failed = file < 0 || ioctl(file, EXT4_IOC_SHUTDOWN, new Uint32Array([NO_LOG_FLUSH])) !== 0;
    if (file >= 0) close(file);
    if (failed) throw new Error(`Cannot shut down the filesystem at ${point}`);
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}

async function isImage(file: string, image: string): Promise<boolean> {
  try {
    return (await Deno.readTextFile(file)).startsWith(image);
  } catch {
    return false;
  }
}

/** Where a device is mounted, the latest first. */
export async function mountPointsOf(device: string): Promise<string[]> {
  const lines = (await Deno.readTextFile("/proc/self/mountinfo")).split("\n").map((line) => line.split(" "));
  return lines.filter((fields) => fields[fields.indexOf("-") + 2] === device).map((fields) => fields[4]!).reverse();
}
