/** The root of a drive: a directory that is ours only while the right filesystem is mounted there. */
import { DriverError } from "../../lib/driver/mod.ts";
import { toDriverError } from "../local/os_errors.ts";
import { Root, type RootIdentity } from "../local/root.ts";
import { isThere, type Volume } from "./find.ts";
import { kernelWord } from "./kernel.ts";
import { look } from "./libc.ts";
import type { Mount } from "./mountinfo.ts";

/** A volume where it is mounted. */
export interface Mounted {
  volume: Volume;
  mount: Mount;
  /** Whether we mounted it, or a process of ours did before. */
  isOurs: boolean;
  /** Whether it stays read-only, whatever is to be done: a line of fstab says so. */
  isFixed?: boolean;
}

/** A size on FAT has 32 bits. */
const FAT_BYTES_MAX = 2 ** 32 - 1;
/** FAT and exFAT specifications, of long names. A dot or a blank at the end is dropped without a word. */
const FAT_REFUSES = /["*:<>?\\|\p{Cc}]|[. ]$/u;

export class DiskRoot extends Root {
  readonly #subdir: string;
  readonly #name: string;
  /** What is mounted now; the volume sets it. */
  mounted: Mounted | undefined;

  constructor(name: string, subdir: string) {
    super();
    this.#name = name;
    this.#subdir = subdir;
  }

  get dir(): string {
    const point = this.mounted?.mount.point ?? "/nowhere";
    return this.#subdir === "" ? point : `${point}/${this.#subdir}`;
  }

  override require(): RootIdentity {
    const { mounted } = this;
    if (mounted === undefined || !isInPlace(mounted)) throw gone(this.#name);
    let info: Deno.FileInfo;
    try {
      info = Deno.lstatSync(this.dir);
    } catch (error) {
      const meant = toDriverError(error, `Cannot use "${this.#subdir}" of ${this.#name}`);
      if (!(meant instanceof DriverError) || meant.code === "denied") throw meant;
      throw new DriverError("unavailable", meant.message, { ...meant.details, cause: error });
    }
    if (!info.isDirectory) throw new DriverError("unavailable", `"${this.#subdir}" of ${this.#name} is no directory`);
    return { dev: info.dev, ino: info.ino, mountId: mounted.mount.id };
  }

  /**
   * Says before a byte is moved what FAT and exFAT will never take.
   * @throws {DriverError} `rejected`
   */
  checkUpload(path: string, sizeBytes: number): void {
    const types = [this.mounted?.volume.type, this.mounted?.mount.type];
    const isFat = types.includes("vfat");
    if (isFat && sizeBytes > FAT_BYTES_MAX) {
      throw new DriverError("rejected", `"${path}" has ${sizeBytes} bytes: FAT takes files of less than 4 GiB`, {
        hint: "Format the drive with exFAT or ext4",
      });
    }
    if (!(isFat || types.includes("exfat")) || !path.split("/").some((name) => FAT_REFUSES.test(name))) return;
    throw new DriverError("rejected", `"${path}" cannot be on ${isFat ? "FAT" : "exFAT"}: it refuses the name`, {
      hint: 'No name may have one of "*:<>?\\| or end with a blank or a dot: rename the file',
    });
  }

  override damageWords(): string {
    const word = this.mounted === undefined ? undefined : kernelWord(this.mounted.volume);
    return word === undefined ? "" : `; the kernel says: ${word}`;
  }

  /** Between two steps the drive may have been unmounted: what was made then lies on the disk below. */
  override requireOwn(info: Deno.FileInfo): void {
    if (this.mounted === undefined || deviceOf(info.dev) !== this.mounted.mount.device) throw gone(this.#name);
  }
}

/** Whether the mount point still leads to this very mount, and the drive below it is attached. */
export function isInPlace({ volume, mount }: Mounted): boolean {
  const seen = look(mount.point);
  return seen !== undefined && seen.device === mount.device && (seen.mountId === 0n || seen.mountId === mount.id) &&
    isThere(volume);
}

export function gone(name: string): DriverError {
  // The watch says when it is back; asking does not bring it.
  return new DriverError("unavailable", `Drive ${name} is not there`, { hint: "Plug it in", retryAfterMs: 10_000 });
}

/** `major:minor` of what `stat` calls `dev`, as glibc packs it. */
function deviceOf(dev: number): string {
  const packed = BigInt(dev);
  const major = ((packed >> 8n) & 0xfffn) | ((packed >> 32n) & ~0xfffn);
  const minor = (packed & 0xffn) | ((packed >> 12n) & ~0xffn);
  return `${major}:${minor & 0xffffffffn}`;
}
