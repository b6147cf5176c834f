/** A job's stations on fake devices: a real store, a real spool, and everything that they told. */
import { join } from "node:path";
import { Downloader, type DownloaderOptions } from "../../lib/download/downloader.ts";
import type { DeviceAccess } from "../../lib/driver/mod.ts";
import { type FinderOptions, type ListingResult, listSource } from "../../lib/finder/finder.ts";
import { EventBus, type FilesyncEvent, type Log } from "../../lib/observe/mod.ts";
import { Spool } from "../../lib/spool/mod.ts";
import { type JobRow, registerDevice, registerJob, releaseRetries, Store } from "../../lib/state/mod.ts";
import { Uploader, type UploaderOptions } from "../../lib/upload/uploader.ts";
import { FakeDevice, OpenAccess } from "./fake_device.ts";

/** A row of any table, for looking only. */
export type AnyRow = Record<string, string | number | null>;

export interface BedOptions {
  targets?: string[];
  quotaBytes?: number;
  minFreeBytes?: number;
  /** Where to keep store and spool. @default a new temporary directory */
  dir?: string;
  download?: Partial<DownloaderOptions>;
  upload?: Partial<UploaderOptions>;
  find?: Partial<FinderOptions>;
  /** Replaces the always open access to a device. */
  access?: (name: string, device: FakeDevice) => DeviceAccess;
}

/** A bed that waits so long hangs, milliseconds. */
const HANGS_MS = 30_000;

/** A log that keeps its lines. */
export function keptLog(lines: string[] = []): Log & { lines: string[] } {
  const write = (level: string) => (message: string) => void lines.push(`${level}: ${message}`);
  return { lines, debug: write("debug"), info: write("info"), warning: write("warning"), error: write("error") };
}

export class Bed implements AsyncDisposable {
  readonly dir: string;
  readonly store: Store;
  readonly spool: Spool;
  readonly job: JobRow;
  readonly source = new FakeDevice();
  readonly targets: FakeDevice[] = [];
  readonly sourceAccess: DeviceAccess;
  readonly events: FilesyncEvent[] = [];
  readonly bus = new EventBus();
  readonly log = keptLog();
  readonly downloader: Downloader;
  readonly uploaders: Uploader[] = [];
  readonly deviceDir: number;
  /** Times that the downloader asked for another listing. */
  relists = 0;
  /** Times that an uploader said that there may be room in the spool. */
  releases = 0;
  readonly #options: BedOptions;
  #abort = new AbortController();
  #running: Promise<unknown> | undefined;
  #uploads = true;
  #downloads = true;
  readonly #ownsDir: boolean;

  constructor(options: BedOptions = {}) {
    this.#options = options;
    this.#ownsDir = options.dir === undefined;
    this.dir = options.dir ?? Deno.makeTempDirSync({ prefix: "filesync-engine-" });
    this.store = new Store(join(this.dir, "state.db"));
    this.spool = new Spool({
      dir: join(this.dir, "spool"),
      quotaBytes: options.quotaBytes ?? 2 ** 30,
      minFreeBytes: options.minFreeBytes ?? 0,
      storeId: "store-1",
    });
    const names = options.targets ?? ["nas"];
    this.job = registerJob(this.store, "job1", names);
    this.deviceDir = registerDevice(this.store, "drone1", "source");
    this.bus.listen((event) => this.events.push(event));
    const access = options.access ?? ((name, device) => new OpenAccess(name, device));
    this.sourceAccess = access("drone1", this.source);
    const common = { job: this.job, store: this.store, spool: this.spool, events: this.bus, log: this.log };
    this.downloader = new Downloader({
      ...common,
      source: this.sourceAccess,
      deviceDir: this.deviceDir,
      order: "name",
      movers: 4,
      attempts: 3,
      onSpooled: () => this.wake(),
      onChanged: () => this.relists++,
      ...options.download,
    });
    for (const target of this.job.targets) {
      const device = new FakeDevice();
      const deviceDir = registerDevice(this.store, target.name, "target");
      this.spool.deviceDir(deviceDir);
      this.targets.push(device);
      this.uploaders.push(
        new Uploader({
          ...common,
          target,
          device: access(target.name, device),
          deviceDir,
          path: "{path}",
          movers: 4,
          attempts: 3,
          onChange: "replace",
          onConflict: "rename",
          onUncertain: "hold",
          lends: true,
          mayRemoveItself: false,
          host: "pi",
          onReleased: () => {
            this.releases++;
            this.wake();
          },
          ...options.upload,
        }),
      );
    }
    this.spool.onRoom = () => this.downloader.wake();
  }

  get target(): FakeDevice {
    return this.targets[0]!;
  }

  /** Lists the source once. */
  async list(more: Partial<FinderOptions> = {}): Promise<ListingResult> {
    const result = await listSource({
      job: this.job,
      source: this.sourceAccess,
      store: this.store,
      isWanted: () => true,
      settleMs: 0,
      events: this.bus,
      log: this.log,
      onFound: () => {},
      ...this.#options.find,
      ...more,
    }, this.#abort.signal);
    this.downloader.fetchFrom(result.sourceId);
    return result;
  }

  wake(): void {
    this.downloader.wake();
    for (const uploader of this.uploaders) uploader.wake();
  }

  /** Starts the stations. */
  start(stations: { download?: boolean; upload?: boolean } = {}): void {
    const { signal } = this.#abort;
    this.#downloads = stations.download !== false;
    this.#uploads = stations.upload !== false;
    this.#running = Promise.all([
      this.#downloads ? this.downloader.run(signal) : undefined,
      ...(this.#uploads ? this.uploaders.map((uploader) => uploader.run(signal)) : []),
    ]);
    this.#running.catch(() => {});
  }

  /** Stops the stations; rejects with what broke them. */
  async stop(): Promise<void> {
    this.#abort.abort();
    try {
      await this.#running;
    } finally {
      this.#running = undefined;
      this.#abort = new AbortController();
    }
  }

  /** Waits until `holds`, looking at every turn of the event loop; a bed that hangs fails instead. */
  async until(holds: () => boolean): Promise<void> {
    for (const endMs = performance.now() + HANGS_MS; !holds();) {
      if (performance.now() > endMs) throw new Error(`Nothing came of it: ${this.log.lines.slice(-5).join("; ")}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Waits as `until` does, and ends every back-off at once. */
  async untilWithoutBackoff(holds: () => boolean): Promise<void> {
    await this.until(() => {
      if (releaseRetries(this.store, Number.MAX_SAFE_INTEGER)) this.wake();
      return holds();
    });
  }

  /** Waits until nothing is under way and nothing could start. */
  async quiet(): Promise<void> {
    const isIdle = () =>
      this.downloader.active === 0 && !(this.#downloads && this.downloader.hasWork()) &&
      this.uploaders.every((uploader) => uploader.active === 0 && !(this.#uploads && uploader.hasWork()));
    await this.until(isIdle);
  }

  /** Ends every back-off at once, again and again, until nothing moves and nothing waits for a retry. */
  async exhaust(): Promise<void> {
    for (;;) {
      await this.quiet();
      if (!releaseRetries(this.store, Number.MAX_SAFE_INTEGER)) return;
      this.wake();
    }
  }

  file(path: string): AnyRow {
    const row = this.store.get<AnyRow>("SELECT * FROM file WHERE path = ? ORDER BY generation DESC LIMIT 1", path);
    if (row === undefined) throw new Error(`No file "${path}"`);
    return row;
  }

  delivery(path: string, target = "nas"): AnyRow {
    const row = this.store.get<AnyRow>(
      `SELECT d.* FROM delivery d JOIN file f ON f.id = d.file_id JOIN target t ON t.id = d.target_id
         WHERE f.path = ? AND t.name = ? ORDER BY f.generation DESC LIMIT 1`,
      path,
      target,
    );
    if (row === undefined) throw new Error(`No delivery of "${path}"`);
    return row;
  }

  /** Names of the events of one kind, in order. */
  told(kind: FilesyncEvent["event"]): string[] {
    return this.events.filter((event) => event.event === kind).map((event) => "path" in event ? event.path : "");
  }

  /** What lies in the spool, by the disk. */
  spoolBytes(): number {
    let bytes = 0;
    for (const folder of Deno.readDirSync(this.spool.dir)) {
      if (!folder.isDirectory) continue;
      for (const file of Deno.readDirSync(join(this.spool.dir, folder.name))) {
        bytes += Deno.lstatSync(join(this.spool.dir, folder.name, file.name)).size;
      }
    }
    return bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.stop();
    } finally {
      this.store.close();
      if (this.#ownsDir) await Deno.remove(this.dir, { recursive: true });
    }
  }
}
