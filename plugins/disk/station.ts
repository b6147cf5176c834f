/**
 * The drive's comings and goings: finds it, mounts it, watches it, lets it go. Everything that is done with its files
 * is done inside {@linkcode Station.use}, which knows before and after whether it is still the same drive.
 */
import { type DeviceLink, DriverError } from "../../lib/driver/mod.ts";
import type { DiskConfig } from "./config.ts";
import { DiskRoot, gone, isInPlace, type Mounted } from "./disk_root.ts";
import { drivesSignature, findVolumes, isAttached, isThere, isWriteProtected, type Volume } from "./find.ts";
import { hold, isRoot, look } from "./libc.ts";
import { mountAt, mountOf, mountVolume, remount, unmount, wayToMount } from "./mounting.ts";
import type { Mount } from "./mountinfo.ts";
import { CALM_MS, Watch } from "./watch.ts";

export class Station {
  readonly root: DiskRoot;
  readonly #config: DiskConfig;
  readonly #link: DeviceLink;
  readonly #name: string;
  /** Whether anything is to be written to it. */
  #isWritable = false;
  #isSource = false;
  #isTarget = false;
  #opening: Promise<Mounted> | undefined;
  #users = 0;
  /** The host was told that it is away. */
  #isAway = false;
  #isLettingGo = false;
  /** It was let go: the same attachment is not mounted again. */
  #released: Volume | undefined;
  #watch: Watch | undefined;
  #signature = "";
  /** When all drives were asked last, milliseconds. */
  #askedAtMs = -Infinity;

  constructor(config: DiskConfig, link: DeviceLink) {
    this.#config = config;
    this.#link = link;
    const { uuid, label, partuuid } = config.volume;
    this.#name = `"${uuid ?? label ?? partuuid}"`;
    this.root = new DiskRoot(this.#name, config.subdir);
  }

  /** A role was taken up: a target is written to. */
  serve(role: "source" | "target"): void {
    if (role === "target") this.#isTarget = this.#isWritable = true;
    else this.#isSource = true;
  }

  /**
   * Runs `work` while the drive is there and mounted. What fails because it went is `unavailable`, whatever it looked
   * like; so is what seemed to succeed on another drive.
   * @throws {DriverError} `unavailable`, `held`, `denied`
   */
  async use<T>(work: () => Promise<T>, options: { writes?: boolean } = {}): Promise<T> {
    this.#startWatch();
    const mounted = await this.#ready(options.writes === true);
    const held = hold(mounted.mount.point);
    this.#users++;
    try {
      if (held === undefined || !isInPlace(mounted)) throw this.#lost(mounted);
      let result: T;
      try {
        result = await work();
      } catch (error) {
        if (!isInPlace(mounted) && !(error instanceof DOMException)) throw this.#lost(mounted, error);
        throw error;
      }
      if (!isInPlace(mounted)) throw this.#lost(mounted);
      return result;
    } finally {
      held?.release();
      this.#users--;
    }
  }

  /**
   * Lets the drive go: unmounts it, and leaves a source alone until it was pulled.
   * @returns whether it may be pulled now
   */
  async release(): Promise<boolean> {
    const { mounted } = this.root;
    if (mounted === undefined || !isInPlace(mounted) || (this.#isTarget && this.#isSource)) return false;
    // What nobody writes to loses nothing, though the system keeps it mounted.
    const isHarmless = mounted.mount.isReadOnly;
    if (this.#config.unmount !== "done" || !this.#isToUnmount(mounted)) return isHarmless;
    if (!await this.#letGo(mounted)) return isHarmless;
    if (this.#isSource) {
      this.#released = mounted.volume;
      this.#link.state({ held: true, reason: "Everything is in the spool: the drive can be pulled" });
    }
    return true;
  }

  /** Ends the watch, and unmounts what we mounted. */
  async close(): Promise<void> {
    await this.#watch?.close();
    this.#watch = undefined;
    const { mounted } = this.root;
    if (mounted !== undefined && this.#config.unmount !== "never" && this.#isToUnmount(mounted)) {
      await this.#letGo(mounted);
    }
  }

  /** What others have mounted is theirs, unless we were told otherwise. */
  #isToUnmount(mounted: Mounted): boolean {
    return mounted.isOurs || this.#config.mount === "never";
  }

  async #letGo(mounted: Mounted): Promise<boolean> {
    this.#isLettingGo = true;
    try {
      const answer = await unmount(mounted.mount);
      if (!answer.ok && isInPlace(mounted)) {
        this.#link.log("warning", `Cannot unmount "${mounted.mount.point}": ${answer.words}`);
        return false;
      }
      this.root.mounted = undefined;
      return true;
    } finally {
      this.#isLettingGo = false;
    }
  }

  /** The drive, mounted: at once when it is, by one attempt for all who wait otherwise. */
  async #ready(writes: boolean): Promise<Mounted> {
    if (writes) this.#isWritable = true;
    if (this.#released !== undefined) {
      if (isThere(this.#released)) throw new DriverError("held", `Drive ${this.#name} waits to be pulled`);
      this.#released = undefined;
    }
    const { mounted } = this.root;
    if (mounted !== undefined && isInPlace(mounted) && this.#mayWrite(mounted)) return mounted;
    return await (this.#opening ??= this.#open().finally(() => this.#opening = undefined));
  }

  #mayWrite(mounted: Mounted): boolean {
    // What others mounted read-only stays so: it fails as a read-only disk does.
    return !this.#isWritable || !mounted.isOurs || !mounted.mount.isReadOnly || mounted.isFixed === true ||
      isWriteProtected(mounted.volume);
  }

  async #open(): Promise<Mounted> {
    const before = this.root.mounted;
    if (before !== undefined && !isInPlace(before)) await this.#dropStale(before);
    const { mountPoint, mount } = this.#config;
    const volume = await this.#find();
    let found = mountOf(volume, mountPoint);
    if (found === undefined && mount === "auto") {
      await this.#clear(mountPoint);
      await mountVolume(volume, mountPoint, { writable: this.#isWritable });
      found = mountOf(volume, mountPoint);
    }
    if (found === undefined) {
      this.#noteAway();
      throw mount === "never"
        ? new DriverError(
          "unavailable",
          `Drive ${this.#name} is there as "${volume.path}", and nobody has mounted it`,
          {
            hint: 'Mount it, or let filesync do it: "mount": "auto"',
            retryAfterMs: 10_000,
          },
        )
        : gone(this.#name);
    }
    const isOurs = mount === "auto" && (found.point === mountPoint || this.root.mounted?.isOurs === true || !isRoot());
    let isFixed = false;
    if (isOurs && found.isReadOnly && this.#isWritable && !isWriteProtected(volume)) {
      isFixed = !await this.#makeWritable(volume, found);
      found = mountOf(volume, mountPoint) ?? found;
    }
    const mounted = { volume, mount: found, isOurs, isFixed };
    if (!isInPlace(mounted)) throw gone(this.#name);
    this.root.mounted = mounted;
    this.#isAway = false;
    if (this.#config.volume.uuid === undefined && volume.uuid !== "") this.#link.state({ deviceId: volume.uuid });
    this.#makeSubdir();
    return mounted;
  }

  /** @returns whether it was for us to decide: what a line of fstab says stays */
  async #makeWritable(volume: Volume, mount: Mount): Promise<boolean> {
    const way = await wayToMount(volume, this.#config.mountPoint);
    if (way === "fstab" || way === "none") return false;
    // In user space the drive itself was opened read-only, whatever the mount says later; and udisks changes no mount.
    if (way === "root" && !mount.type.startsWith("fuse")) {
      await remount(mount, { writable: true });
      return true;
    }
    const { ok, words } = await unmount(mount);
    if (!ok) {
      throw new DriverError("unavailable", `Cannot make "${mount.point}" writable: ${words}`, { retryAfterMs: 1000 });
    }
    await mountVolume(volume, mount.point, { writable: true });
    return true;
  }

  /** @throws {DriverError} when none is there, or several are alike */
  async #find(): Promise<Volume> {
    const volumes = await findVolumes(this.#config.volume);
    const [volume] = volumes;
    if (volumes.length === 1) return volume!;
    this.#noteAway();
    if (volume === undefined) throw gone(this.#name);
    const paths = volumes.map(({ path }) => `"${path}"`).join(" and ");
    throw new DriverError("unavailable", `Drive ${this.#name} is there ${volumes.length} times: ${paths}`, {
      hint: 'Pull one of them, or tell them apart by "label" or "partuuid"',
      retryAfterMs: 10_000,
    });
  }

  /** Takes a mount away from our mount point whose drive was pulled; leaves any other alone. */
  async #clear(point: string): Promise<void> {
    for (let other = mountAt(point); other !== undefined; other = mountAt(point)) {
      if (!isDead(other)) {
        throw new DriverError("unavailable", `Cannot mount on "${point}": "${other.source}" is mounted there`, {
          hint: `sudo umount "${point}", or set "mount_point" to another directory`,
        });
      }
      const { ok, words } = await unmount(other, { force: true });
      if (!ok) throw new DriverError("unavailable", `Cannot unmount "${point}", whose drive is gone: ${words}`);
      this.#link.log("info", `Took the mount of a drive that was pulled from "${point}"`);
    }
  }

  #makeSubdir(): void {
    if (!this.#isWritable || this.#config.subdir === "") return;
    try {
      Deno.mkdirSync(this.root.dir, { recursive: true });
    } catch {
      // The root says by itself what is wrong with it.
    }
  }

  /** A mount whose drive went would hide the drive that comes back. */
  async #dropStale(mounted: Mounted): Promise<void> {
    this.root.mounted = undefined;
    const here = mountAt(mounted.mount.point);
    if (here?.id === mounted.mount.id && mounted.isOurs) await unmount(mounted.mount, { force: true });
  }

  #lost(mounted: Mounted, cause?: unknown): DriverError {
    if (this.root.mounted === mounted) this.#noteAway();
    return new DriverError("unavailable", `Drive ${this.#name} was pulled or unmounted`, { cause, retryAfterMs: 1000 });
  }

  #noteAway(): void {
    this.#isAway = true;
  }

  #startWatch(): void {
    this.#watch ??= new Watch(() => this.#look());
  }

  /** Tells the host what changed. */
  async #look(): Promise<void> {
    // What we change ourselves is no news.
    if (this.#isLettingGo || this.#opening !== undefined) return;
    try {
      const signature = drivesSignature(this.#config.volume);
      // A drive may have been formatted where it is.
      const isNews = signature !== this.#signature || performance.now() - this.#askedAtMs >= CALM_MS;
      const { mounted } = this.root;
      if (this.#released !== undefined) {
        if (isThere(this.#released)) return;
        this.#released = undefined;
        this.#isAway = true;
        this.#link.state({ held: false, available: false, reason: `Drive ${this.#name} was pulled` });
      } else if (mounted !== undefined) {
        if (isInPlace(mounted)) return;
        this.#isAway = true;
        this.#link.state({ available: false, reason: `Drive ${this.#name} was pulled or unmounted` });
        if (this.#users === 0) await this.#dropStale(mounted);
      }
      if (!this.#isAway || (!isNews && this.#config.mount === "auto")) return;
      this.#signature = signature;
      this.#askedAtMs = performance.now();
      const volumes = await findVolumes(this.#config.volume);
      if (volumes.length !== 1) return;
      if (this.#config.mount === "never" && mountOf(volumes[0]!, this.#config.mountPoint) === undefined) return;
      this.#isAway = false;
      this.#link.state({ available: true });
    } catch (error) {
      this.#link.log(
        "warning",
        `Cannot look for drive ${this.#name}: ${error instanceof Error ? error.message : error}`,
      );
    }
  }
}

/** Whether the drive below a mount is gone: its device or its medium is, or nothing can be read from it. */
function isDead({ point, source }: Mount): boolean {
  if (source.startsWith("/dev/")) {
    const device = look(source)?.isNodeOf;
    if (device === undefined || !isAttached(device)) return true;
  }
  try {
    Deno.readDirSync(point)[Symbol.iterator]().next();
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound || /os error (5|6|19|30|107)\)/.test(String(error));
  }
}
