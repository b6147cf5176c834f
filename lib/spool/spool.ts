/**
 * The spool: files between source and targets, on the Pi's own disk. Keeps a quota and a minimum of free space by
 * reserving before a download; names come from row ids, never from a device.
 *
 * `<dir>/<device>/<file>.part` is being fetched, `<dir>/<device>/<file>.spool` is whole and has a row that says so,
 * `<dir>/<device>/<file>.loan` is a second name of such a file, which that device may take.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SpoolError } from "./errors.ts";
import { copyAside } from "./loan.ts";
import { makeDirectory, removeFile, syncDirectoryNow } from "./publish.ts";
import { discardPartial, statSpoolFile } from "./spool_file.ts";

/** Where the spool is, and how large it may become. */
export interface SpoolOptions {
  dir: string;
  quotaBytes: number;
  minFreeBytes: number;
  /** Identity of the state store that this spool belongs to. */
  storeId: string;
}

/** Room in the spool that is set aside for one download. */
export interface Reservation {
  /**
   * Sets more room aside: the file turned out larger than was known.
   * @returns `false` when there is no room for it now
   * @throws {SpoolError} `too_large` when it can never fit
   */
  growTo(sizeBytes: number): boolean;
  /** The download ended and its file, whole or partial, now holds `bytes`. Safe to call twice. */
  end(bytes: number): void;
}

const STORE_FILE = "store.id";

/** How long the disk's free space is believed, milliseconds, and how much above the minimum that takes, bytes. */
const FREE_LOOK_MS = 200;
const PLENTY_BYTES = 2 ** 30;

/** One spool directory, opened for one process's life. */
export class Spool {
  readonly dir: string;
  readonly quotaBytes: number;
  readonly #minFreeBytes: number;
  /** Files that nobody needs and that could not be removed, with their bytes. */
  readonly #unremoved = new Map<string, number>();
  readonly #distrusted = new Set<string>();
  /** Devices whose folder has a name that survives a power cut. */
  readonly #syncedDirs = new Set<number>();
  #usedBytes = 0;
  #reservedBytes = 0;
  #freeBytes = 0;
  #lookedMs = -Infinity;
  #onRoom: (() => void) | undefined;
  readonly #unsharing = new Map<string, Promise<string>>();

  /**
   * Opens the spool, makes it where it does not exist.
   * @throws {SpoolError} `foreign` when it belongs to another store
   */
  constructor(options: SpoolOptions) {
    this.dir = options.dir;
    this.quotaBytes = options.quotaBytes;
    this.#minFreeBytes = options.minFreeBytes;
    const owner = this.#attempt(() => {
      makeDirectory(this.dir, 0o700);
      return spoolOwner(this.dir);
    });
    if (owner !== undefined && owner !== options.storeId) {
      throw new SpoolError("foreign", `Spool "${this.dir}" belongs to another state store`, {
        hint: "Give each state store its own spool.dir, or remove the spool if its store is gone for good",
      });
    }
    if (owner === undefined) this.#attempt(() => this.#claim(options.storeId));
  }

  #attempt<T>(act: () => T): T {
    try {
      return act();
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      throw new SpoolError("unwritable", `Cannot use the spool "${this.dir}": ${words}`, {
        hint: `Check that it can be written, has room, and that its disk is healthy: df -h "${this.dir}"`,
        cause: error,
      });
    }
  }

  /** Whole or not at all: half an id would be another store's. */
  #claim(storeId: string): void {
    const file = join(this.dir, STORE_FILE);
    writeFileSync(`${file}.new`, `${storeId}\n`, { mode: 0o600, flush: true });
    renameSync(`${file}.new`, file);
    syncDirectoryNow(this.dir);
  }

  /** Bytes that lie in the spool, partials included. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Called when room was given back. */
  set onRoom(callback: () => void) {
    this.#onRoom = callback;
  }

  /** The folder of a device; made where it does not exist. Its name survives a power cut: rows speak of files in it. */
  deviceDir(device: number): string {
    const dir = join(this.dir, String(device));
    // Asked for each file: a look costs a fifth of a mkdir.
    if (this.#syncedDirs.has(device) && isDirectory(dir)) return dir;
    this.#attempt(() => {
      // A plugin may have put a link or a file there: nothing of ours is written through it.
      if (!isDirectory(dir)) rmSync(dir, { force: true });
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      syncDirectoryNow(this.dir);
    });
    this.#syncedDirs.add(device);
    return dir;
  }

  partialPath(device: number, fileId: number): string {
    return `${this.dir}/${device}/${fileId}.part`;
  }

  filePath(device: number, fileId: number): string {
    return `${this.dir}/${device}/${fileId}.spool`;
  }

  /** @param device the target's */
  loanPath(device: number, fileId: number): string {
    return `${this.dir}/${device}/${fileId}.loan`;
  }

  /**
   * Gives the spool a file of its own where a target shares the one that it has: there anybody may change its bytes. Who
   * asks meanwhile gets the same answer.
   * @returns SHA-256 of what the spool holds then
   * @throws the system's error when it cannot be read or written; nothing has changed then
   */
  unshare(device: number, fileId: number): Promise<string> {
    const path = this.filePath(device, fileId);
    let running = this.#unsharing.get(path);
    if (running === undefined) {
      running = copyAside(path, this.partialPath(device, fileId)).finally(() => this.#unsharing.delete(path));
      this.#unsharing.set(path, running);
    }
    return running;
  }

  /**
   * Removes a file of the spool, after a copy that is being put in its place: that would bring it back.
   * @throws the system's error
   */
  async remove(path: string): Promise<void> {
    await this.#unsharing.get(path)?.catch(() => {});
    await removeFile(path);
  }

  /** Counts files that are already there, found when the spool was reconciled. */
  addUsed(bytes: number): void {
    this.#usedBytes += bytes;
  }

  /**
   * Sets room aside for a file that will have `sizeBytes`, of which `heldBytes` lie in the spool already.
   * @returns `undefined` when there is no room now
   * @throws {SpoolError} `too_large` when it can never fit
   */
  reserve(sizeBytes: number, heldBytes: number): Reservation | undefined {
    this.#checkLimit(sizeBytes);
    let bytes = Math.max(0, sizeBytes - heldBytes);
    if (!this.#hasRoom(bytes)) return undefined;
    this.#reservedBytes += bytes;
    let open = true;
    return {
      growTo: (largerBytes) => {
        this.#checkLimit(largerBytes);
        const moreBytes = largerBytes - heldBytes - bytes;
        if (moreBytes <= 0) return true;
        if (!open || !this.#hasRoom(moreBytes)) return false;
        this.#reservedBytes += moreBytes;
        bytes += moreBytes;
        return true;
      },
      end: (endBytes) => {
        if (!open) return;
        open = false;
        this.#reservedBytes -= bytes;
        this.#usedBytes = Math.max(0, this.#usedBytes + endBytes - heldBytes);
        if (endBytes < heldBytes + bytes) this.#onRoom?.();
      },
    };
  }

  #hasRoom(bytes: number): boolean {
    if (this.#usedBytes + this.#reservedBytes + bytes > this.quotaBytes) return false;
    return this.#recentFreeBytes() - this.#reservedBytes - bytes >= this.#minFreeBytes;
  }

  /** Whether `bytes` more would leave the disk less than must stay free, whatever the quota says. */
  isDiskShort(bytes: number): boolean {
    return this.freeBytes() - this.#reservedBytes - bytes < this.#minFreeBytes;
  }

  /** How many bytes must leave the spool, or the disk, before `bytes` more have room: 0 when they have. */
  missingBytes(bytes: number): number {
    const wanted = this.#reservedBytes + bytes;
    const ofQuota = this.#usedBytes + wanted - this.quotaBytes;
    return Math.max(0, ofQuota, this.#minFreeBytes + wanted - this.freeBytes());
  }

  /** What the disk had free a moment ago, as long as that is plenty: asked for each small file, it would cost more than it tells. */
  #recentFreeBytes(): number {
    const nowMs = performance.now();
    if (
      nowMs - this.#lookedMs < FREE_LOOK_MS && this.#freeBytes - this.#reservedBytes - this.#minFreeBytes > PLENTY_BYTES
    ) return this.#freeBytes;
    this.#freeBytes = this.freeBytes();
    this.#lookedMs = nowMs;
    return this.#freeBytes;
  }

  #checkLimit(sizeBytes: number): void {
    if (sizeBytes > this.quotaBytes) {
      throw new SpoolError(
        "too_large",
        `File of ${sizeBytes} bytes is larger than the spool's quota of ${this.quotaBytes}`,
        { hint: "Raise spool.quota, or leave such files out with rules.max_size" },
      );
    }
  }

  /** Bytes that the disk has free for us. */
  freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.dir);
    return Number(bavail) * Number(bsize);
  }

  /**
   * Drops the file at `path`, whose fsync failed. One that cannot be removed is not believed: {@linkcode Spool.believes}.
   */
  async distrust(path: string): Promise<void> {
    this.#distrusted.add(path);
    try {
      await removeFile(path);
      this.#distrusted.delete(path);
    } catch {
      // A disk that failed may be read-only now.
    }
  }

  /** Whether what lies at `path` may be continued. */
  believes(path: string): boolean {
    return !this.#distrusted.has(path);
  }

  /** A new file was begun at `path`. */
  noteFresh(path: string): void {
    this.#distrusted.delete(path);
  }

  /** Drops what was fetched of a file that is not wanted any more. */
  dropPartial(device: number, fileId: number): void {
    const path = this.partialPath(device, fileId);
    const stat = statSpoolFile(path);
    if (stat === undefined) return;
    discardPartial(path);
    this.free(stat.sizeBytes);
  }

  /**
   * Removes a file that nobody needs any more, and gives its room back. What cannot be removed now is tried again by
   * {@linkcode Spool.sweep}.
   * @throws the system's error, at the first of those that cannot be removed
   */
  async release(path: string, sizeBytes: number): Promise<void> {
    await this.sweep();
    try {
      await this.remove(path);
    } catch (error) {
      this.#unremoved.set(path, sizeBytes);
      if (this.#unremoved.size > 1) return;
      throw error;
    }
    this.free(sizeBytes);
  }

  /** Removes what could not be removed before; gives up at the first that still cannot. */
  async sweep(): Promise<void> {
    for (const [path, sizeBytes] of this.#unremoved) {
      try {
        await this.remove(path);
      } catch {
        return;
      }
      // Another call may have been faster.
      if (this.#unremoved.delete(path)) this.free(sizeBytes);
    }
  }

  /** A file left the spool. */
  free(bytes: number): void {
    this.#usedBytes = Math.max(0, this.#usedBytes - bytes);
    this.#onRoom?.();
  }
}

/** Identity of the store that the spool in `dir` belongs to; `undefined` when it belongs to none yet. */
export function spoolOwner(dir: string): string | undefined {
  try {
    // A power cut in an older version may have left the file empty.
    return readFileSync(join(dir, STORE_FILE), "utf8").replace(/[\s\0]+/g, "") || undefined;
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
}

function isDirectory(path: string): boolean {
  try {
    return Deno.lstatSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
