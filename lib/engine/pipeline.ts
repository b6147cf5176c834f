/**
 * One job's journey, wired in its order: finder → downloader → spool → uploaders. The stations never call each other:
 * they meet in the state store and in the spool, and ring bells.
 */
import type { JobConfig } from "../config/types.ts";
import { Downloader } from "../download/downloader.ts";
import { asDriverError, backoffMs, Bell, type DriverError } from "../driver/mod.ts";
import { type ListingResult, listSource } from "../finder/finder.ts";
import { compileRules } from "../finder/rules.ts";
import { type EventBus, type Log, logFor } from "../observe/mod.ts";
import type { Spool } from "../spool/mod.ts";
import { hasUnfetched, type JobRow, registerJob, type Store } from "../state/mod.ts";
import { Remover } from "../remove/remover.ts";
import { Uploader } from "../upload/uploader.ts";
import type { DeviceGate } from "./device_gate.ts";
import { listingPauseMs, settlingPauseMs } from "./listing_pause.ts";
import type { RoomMaker } from "./room.ts";
import type { WallClock } from "./wall_clock.ts";
import { formatWindows } from "./window.ts";

export interface PipelineOptions {
  job: JobConfig;
  source: { gate: DeviceGate; row: number; reusesNames: boolean; isForeign: boolean };
  /** By name; `row` names the device's folders. */
  targets: Map<string, { gate: DeviceGate; row: number }>;
  store: Store;
  spool: Spool;
  events: EventBus;
  host: string;
  /** For the job's windows. */
  clock: WallClock;
  /** Targets that may be the source's own directory, though the configuration does not tell. */
  mayBeSource: ReadonlySet<string>;
  /** Absent: what is in the spool stays there until it is delivered. */
  room: RoomMaker | undefined;
  /** Rung at everything that changes what is under way. */
  activity: Bell;
  /** Whether a person waits for the source of another job: nothing new is fetched meanwhile. */
  givesWay: () => boolean;
  /** End the finder after the listings that one run needs. */
  once: boolean;
}

/** Failed listings are repeated after, milliseconds. */
const LISTING_RETRY = { firstMs: 1000, maxMs: 60_000 };
/** How often a job with windows looks at the clock, milliseconds. */
const WINDOW_LOOK_MS = 10_000;
/** Listings that fail in a row before a single run gives up; one is begun only while the device is there. */
const LISTING_FAILURES_MAX = 3;

/** A job at work. */
export class JobPipeline {
  readonly row: JobRow;
  readonly sourceGate: DeviceGate;
  readonly targetGates: DeviceGate[];
  readonly #options: PipelineOptions;
  readonly #log: Log;
  readonly #finderBell = new Bell();
  readonly #downloader: Downloader;
  readonly #remover: Remover | undefined;
  readonly #uploaders: { station: Uploader; gate: DeviceGate }[];
  readonly #isWanted: (path: string, sizeBytes: number | undefined) => boolean;
  #finderDone = false;
  /** The source's visit in which a listing was complete and nothing was left to settle. */
  #listedVisit: number | undefined;
  /** The source's visit in which a listing was complete. */
  #seenVisit: number | undefined;
  /** The source's row, once it was listed. */
  sourceId: number | undefined;
  /** The card or the vehicle that was listed. */
  sourceDeviceId: string | undefined;
  /** Why the last listing failed, when that was not the device's absence, or so often that it was given up. */
  listingError: DriverError | undefined;

  constructor(options: PipelineOptions) {
    const { job, source, targets, store, spool, events, host, room } = options;
    this.#options = options;
    this.#log = logFor(job.name);
    this.#isWanted = compileRules(job.rules);
    this.sourceGate = source.gate;
    this.targetGates = [...targets.values()].map(({ gate }) => gate);
    this.row = registerJob(store, job.name, job.targets.map((target) => target.name));
    const common = { job: this.row, store, spool, events, log: this.#log, movers: job.movers, attempts: job.attempts };
    const { downloadBytesPerSecond, uploadBytesPerSecond } = job.limits;
    this.#downloader = new Downloader({
      ...common,
      source: source.gate,
      deviceDir: source.row,
      order: job.finder.order,
      ...(downloadBytesPerSecond === undefined ? {} : { bytesPerSecond: downloadBytesPerSecond }),
      makeRoom: (bytes, signal) =>
        this.targetGates.some((gate) => gate.isOpen) && room !== undefined
          ? room.make(bytes, signal)
          : Promise.resolve(false),
      givesWay: () => !source.gate.canRelease && options.givesWay(),
      onSpooled: () => this.#ringUploaders(),
      onChanged: () => this.#finderBell.ring(),
    });
    if (job.after === "delete") {
      const station = { job: this.row, source: source.gate, store, proof: job.deleteProof, events, log: this.#log };
      this.#remover = new Remover(station);
    }
    this.#uploaders = this.row.targets.map((target) => {
      const { gate, row } = targets.get(target.name)!;
      const station = new Uploader({
        ...common,
        target,
        device: gate,
        deviceDir: row,
        path: job.path,
        onChange: job.onChange ?? (source.reusesNames ? "rename" : "replace"),
        onConflict: job.onConflict,
        onUncertain: job.onUncertain,
        ...(uploadBytesPerSecond === undefined ? {} : { bytesPerSecond: uploadBytesPerSecond }),
        host,
        ...(job.after === "delete" ? { removeAfterMs: job.graceMs } : {}),
        lends: !source.isForeign,
        mayRemoveItself: job.after === "delete" && options.mayBeSource.has(target.name),
        onReleased: () => {
          this.#downloader.noteRoom();
          this.#remover?.wake();
        },
        onRefetch: () => this.#downloader.wake(),
      });
      return { station, gate };
    });
  }

  /** Whether the job removes the source's copies. */
  get removes(): boolean {
    return this.#remover !== undefined;
  }

  /** Targets with their rows. */
  get targets(): { row: number; gate: DeviceGate }[] {
    return this.row.targets.map((target) => ({ row: target.id, gate: this.#options.targets.get(target.name)!.gate }));
  }

  /** Works until `signal` is aborted, inside its windows. */
  async run(signal: AbortSignal): Promise<void> {
    const { windows } = this.#options.job;
    while (!signal.aborted) {
      if (this.isInWindow) {
        const closing = new AbortController();
        const timer = setInterval(() => {
          if (!this.isInWindow) closing.abort();
        }, WINDOW_LOOK_MS);
        try {
          await this.#work(windows.length === 0 ? signal : AbortSignal.any([signal, closing.signal]));
        } finally {
          clearInterval(timer);
        }
      } else {
        this.#log.info(`Job "${this.row.name}" waits for its window ${formatWindows(windows)}`);
        while (!signal.aborted && !this.isInWindow) await new Bell().wait(signal, WINDOW_LOOK_MS);
      }
    }
  }

  /** Whether the job may work now. */
  get isInWindow(): boolean {
    return this.#options.clock.isInWindow(this.#options.job.windows);
  }

  async #work(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#find(signal),
      this.#downloader.run(signal),
      ...this.#uploaders.map(({ station }) => station.run(signal)),
      this.#remover?.run(signal),
    ]);
  }

  /** Room was made in the spool. */
  noteRoom(): void {
    this.#downloader.noteRoom();
  }

  /** Something changed outside: retries are due, room was made, a device came back. */
  wake(): void {
    this.#downloader.wake();
    this.#remover?.wake();
    for (const { station } of this.#uploaders) station.noteForgotten();
  }

  /** The source is to be listed now. */
  listAgain(): void {
    this.#finderBell.ring();
  }

  /** Whether something moves, or could start to move at once. */
  get isBusy(): boolean {
    if (!this.isInWindow) return false;
    if (this.sourceGate.isOpen && this.#remover !== undefined && (this.#remover.active || this.#remover.hasWork())) {
      return true;
    }
    if (this.#options.once && !this.#finderDone && this.sourceGate.isOpen) return true;
    if (!this.#downloader.isStarved) {
      if (this.#downloader.active > 0) return true;
      if (this.sourceGate.isOpen && !this.#downloader.waitsForRoom && this.#downloader.hasWork()) return true;
    }
    return this.#uploaders.some(({ station, gate }) => station.active > 0 || (gate.isOpen && station.hasWork()));
  }

  /** Whether the listings of a single run are complete, or given up. */
  get isListed(): boolean {
    return this.#finderDone;
  }

  /** Whether the job has nothing left to do on this device, in either role: it may be let go. */
  isDoneWith(gate: DeviceGate): boolean {
    if (gate === this.sourceGate && !this.#isDrained()) return false;
    return this.#uploaders.every((uploader) =>
      uploader.gate !== gate || (uploader.station.active === 0 && !uploader.station.hasWork())
    );
  }

  /**
   * Whether the source is one that a person waits for, and is being emptied. Not when it cannot go on now, be it for files in
   * back-off, or a full spool that nobody empties: then others need not wait for it.
   */
  get isEmptying(): boolean {
    if (!this.sourceGate.canRelease || !this.sourceGate.isOpen || !this.isInWindow) return false;
    if (this.#downloader.active > 0) return true;
    if (this.#seenVisit !== this.sourceGate.openings) return this.listingError === undefined;
    if (!this.#downloader.hasWork()) return false;
    return !(this.#downloader.waitsForRoom || this.#downloader.isStarved) ||
      this.targetGates.some((gate) => gate.isOpen);
  }

  /** What was found is in the spool, and what is due was removed. */
  #isDrained(): boolean {
    if (this.sourceId === undefined || this.#listedVisit !== this.sourceGate.openings) return false;
    if (this.#downloader.active > 0 || hasUnfetched(this.#options.store, this.sourceId)) return false;
    return this.#remover === undefined || !(this.#remover.active || this.#remover.hasWork());
  }

  #ringUploaders(): void {
    for (const { station } of this.#uploaders) station.wake();
  }

  /** The finder's loop. A single run lists once, and a second time when something has to settle. */
  async #find(signal: AbortSignal): Promise<void> {
    const { job, activity, once } = this.#options;
    let failures = 0;
    let isSecond = false;
    while (!signal.aborted) {
      this.#finderDone = false;
      let waitMs: number | undefined;
      try {
        const listed = await this.#list(signal);
        const { settling } = listed;
        failures = 0;
        const again: boolean = settling > 0 && !(once && isSecond);
        if (!once) waitMs = listingPauseMs(listed, job.finder);
        else if (again) waitMs = settlingPauseMs(job.finder);
        else if (settling > 0) this.#log.info(`${settling} files still change: they wait for the next run`);
        isSecond = again;
        this.#finderDone = once && !again;
      } catch (error) {
        const failure = asDriverError(error);
        if (signal.aborted || failure.code === "cancelled") break;
        failures++;
        waitMs = this.sourceGate.isOpen ? this.#noteListingFailure(failure, failures) : 0;
        this.#finderDone = once && failures >= LISTING_FAILURES_MAX;
        if (this.#finderDone) {
          // Also when the device comes back now: it would only fail again.
          this.listingError = failure;
          waitMs = undefined;
        }
      }
      activity.ring();
      await this.#finderBell.wait(signal, waitMs);
    }
  }

  async #list(signal: AbortSignal): Promise<ListingResult> {
    const { job, store, events } = this.#options;
    const visit = this.sourceGate.openings;
    const result = await listSource({
      job: this.row,
      source: this.sourceGate,
      store,
      isWanted: this.#isWanted,
      settleMs: job.finder.settleMs,
      events,
      log: this.#log,
      ...(job.finder.maxFirst === undefined ? {} : { maxFirst: job.finder.maxFirst }),
      onAbandoned: (device, fileId) => this.#options.spool.dropPartial(device, fileId),
      onFound: (sourceId) => {
        this.#downloader.fetchFrom(sourceId);
        // What was found will be sent: the targets' plugins start while it is fetched.
        this.targetGates.forEach((gate) => gate.prepare());
      },
    }, signal);
    this.#downloader.fetchFrom(result.sourceId);
    this.#remover?.removeFrom(result.sourceId);
    this.sourceId = result.sourceId;
    this.sourceDeviceId = this.sourceGate.deviceId;
    this.listingError = undefined;
    this.#seenVisit = visit;
    if (result.settling === 0) this.#listedVisit = visit;
    return result;
  }

  #noteListingFailure(failure: DriverError, failures: number): number {
    const isNews = this.listingError?.message !== failure.message;
    this.listingError = failure;
    const waitMs = backoffMs(failures, LISTING_RETRY);
    if (isNews) this.#log.warning(`Cannot list "${this.sourceGate.name}": ${failure.message}`);
    return waitMs;
  }
}
