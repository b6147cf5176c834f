/**
 * What is going on, made of events: the moving files with their rates, and counts. Bounded by what moves at once.
 */
import type { FilesyncEvent } from "./events.ts";
import type { EventTeller } from "./told_event.ts";

/** Weight of the past in a rate fades with this time, ms. */
const RATE_TAU_MS = 5000;
const SAMPLE_MS = 100;
/** Progress comes a few times a second: a gap up to here says nothing. */
const SILENCE_MS = 1500;
/** A file without a sign of life for so long is no longer shown as moving: the stall watchdog has struck by then. */
const FORGET_MS = 65_000;
/** An estimate of the time that is left needs this much watching, ms. */
const ETA_AFTER_MS = 2000;
const ETA_MAX_MS = 10 * 86_400_000;

/** A speed that forgets: an exponentially weighted mean, corrected for its start at zero. */
export class Rate {
  #mean = 0;
  #weight = 0;
  #pending = 0;
  #firstMs: number | undefined;
  #lastMs = 0;

  /** Counts `bytes` moved until `nowMs`. The first call starts the clock. */
  add(bytes: number, nowMs: number): void {
    if (this.#firstMs === undefined) this.#firstMs = this.#lastMs = nowMs;
    this.#pending += bytes;
    const elapsedMs = nowMs - this.#lastMs;
    // Events of one moment are one sample.
    if (elapsedMs < SAMPLE_MS) return;
    const weight = 1 - Math.exp(-elapsedMs / RATE_TAU_MS);
    this.#mean += (this.#pending / elapsedMs * 1000 - this.#mean) * weight;
    this.#weight += (1 - this.#weight) * weight;
    this.#pending = 0;
    this.#lastMs = nowMs;
  }

  /** Bytes per second; fades when nothing is added. */
  at(nowMs: number): number {
    if (this.#weight === 0) return 0;
    const silentMs = Math.max(0, nowMs - this.#lastMs - SILENCE_MS);
    return this.#mean / this.#weight * Math.exp(-silentMs / RATE_TAU_MS);
  }

  /** Whether there was a sample yet. */
  get isKnown(): boolean {
    return this.#weight > 0;
  }

  /** How long it was watched, milliseconds. */
  ageMs(nowMs: number): number {
    return this.#firstMs === undefined ? 0 : nowMs - this.#firstMs;
  }
}

/** A file that is on its way. */
export interface Moving {
  job: string;
  path: string;
  /** Absent while it is downloaded. */
  target?: string;
  doneBytes: number;
  sizeBytes?: number;
  rate: Rate;
  /** When `doneBytes` last changed, ms. */
  grewMs: number;
  seenMs: number;
}

/** Counts since the program started. */
export interface Totals {
  found: number;
  downloaded: number;
  downloadedBytes: number;
  delivered: number;
  deliveredBytes: number;
  parked: number;
  uncertain: number;
  /** Deliveries that are still to come. */
  waiting: number;
}

/** The files that move and the counts, kept by applying each event. */
export class Progress {
  readonly #targetsOf: Map<string, number>;
  readonly #moving = new Map<string, Moving>();
  readonly #away = new Map<string, { held: boolean }>();
  readonly rate = new Rate();
  readonly totals: Totals = {
    found: 0,
    downloaded: 0,
    downloadedBytes: 0,
    delivered: 0,
    deliveredBytes: 0,
    parked: 0,
    uncertain: 0,
    waiting: 0,
  };

  /**
   * @param targetsOf how many targets each job has
   * @param waiting deliveries that earlier runs have left
   */
  constructor(targetsOf: Map<string, number> = new Map(), waiting: number = 0) {
    this.#targetsOf = targetsOf;
    this.totals.waiting = waiting;
  }

  /** Whether anything moves, so that time alone changes what is to be shown. */
  get isMoving(): boolean {
    return this.#moving.size > 0;
  }

  /** Moving files, those that started first on top. */
  moving(nowMs: number): Moving[] {
    for (const [key, file] of this.#moving) {
      if (nowMs - file.seenMs > FORGET_MS) this.#moving.delete(key);
    }
    return [...this.#moving.values()];
  }

  /** Names of devices that are away or held. */
  away(): { device: string; held: boolean }[] {
    return Array.from(this.#away, ([device, { held }]) => ({ device, held }));
  }

  apply(event: FilesyncEvent, nowMs: number): void {
    const { totals } = this;
    switch (event.event) {
      case "found":
        totals.found++;
        this.#wait(this.#targets(event.job));
        break;
      case "progress":
        this.#progress(event, nowMs);
        break;
      case "downloaded":
        this.#end(event.job, event.path, undefined, event.sizeBytes, nowMs);
        totals.downloaded++;
        totals.downloadedBytes += event.sizeBytes;
        break;
      case "delivered":
        this.#end(event.job, event.path, event.target, event.receipt.sizeBytes, nowMs);
        totals.delivered++;
        totals.deliveredBytes += event.receipt.sizeBytes;
        this.#wait(-1);
        break;
      case "parked":
        this.#end(event.job, event.path, event.target);
        totals.parked++;
        this.#wait(event.target === undefined ? -this.#targets(event.job) : -1);
        break;
      case "uncertain":
        this.#end(event.job, event.path, event.target);
        totals.uncertain++;
        this.#wait(-1);
        break;
      case "gone":
        this.#end(event.job, event.path, undefined);
        this.#wait(-this.#targets(event.job));
        break;
      case "device":
        if (event.available && event.held !== true) this.#away.delete(event.device);
        else this.#away.set(event.device, { held: event.held === true });
        break;
    }
  }

  #targets(job: string): number {
    return this.#targetsOf.get(job) ?? 1;
  }

  #wait(deliveries: number): void {
    // A file that changed or came back is counted as found anew.
    this.totals.waiting = Math.max(0, this.totals.waiting + deliveries);
  }

  #progress(event: FilesyncEvent & { event: "progress" }, nowMs: number): void {
    const key = keyOf(event.job, event.path, event.target);
    const known = this.#moving.get(key);
    if (known === undefined) {
      const file: Moving = {
        job: event.job,
        path: event.path,
        ...(event.target === undefined ? {} : { target: event.target }),
        ...(event.sizeBytes === undefined ? {} : { sizeBytes: event.sizeBytes }),
        doneBytes: event.doneBytes,
        rate: new Rate(),
        grewMs: nowMs,
        seenMs: nowMs,
      };
      // Starts the clocks: bytes of an earlier attempt were not moved now, and the time before was idle.
      file.rate.add(0, nowMs);
      if (!this.isMoving) this.rate.add(0, nowMs);
      this.#moving.set(key, file);
      return;
    }
    const grown = event.doneBytes - known.doneBytes;
    if (event.sizeBytes !== undefined) known.sizeBytes = event.sizeBytes;
    known.seenMs = nowMs;
    known.doneBytes = event.doneBytes;
    if (grown !== 0) known.grewMs = nowMs;
    if (grown > 0) {
      known.rate.add(grown, nowMs);
      this.rate.add(grown, nowMs);
    }
  }

  #end(job: string, path: string, target: string | undefined, sizeBytes?: number, nowMs = 0): void {
    const key = keyOf(job, path, target);
    const file = this.#moving.get(key);
    this.#moving.delete(key);
    // A small file ends without having told of any progress.
    if (sizeBytes !== undefined) this.rate.add(Math.max(0, sizeBytes - (file?.doneBytes ?? 0)), nowMs);
  }
}

function keyOf(job: string, path: string, target: string | undefined): string {
  return JSON.stringify([job, path, target]);
}

/** A file that is on its way, as it is told to others. */
export interface MovingFile {
  job: string;
  path: string;
  /** Absent while it is downloaded. */
  target?: string;
  /** The device that it comes from or goes to, where that is known. */
  device?: string;
  doneBytes: number;
  sizeBytes?: number;
  /** Absent until there was something to measure. */
  bytesPerSecond?: number;
  etaMs?: number;
  /** For how long nothing has moved. */
  silentMs: number;
}

/** What moves at a moment, those that started first on top. */
export function movingFiles(progress: Progress, nowMs: number, teller?: EventTeller): MovingFile[] {
  return progress.moving(nowMs).map((file) => {
    const device = teller?.deviceOf(file.job, file.target);
    const eta = etaMs(file, nowMs);
    return {
      job: file.job,
      path: file.path,
      ...(file.target === undefined ? {} : { target: file.target }),
      ...(device === undefined ? {} : { device }),
      doneBytes: file.doneBytes,
      ...(file.sizeBytes === undefined ? {} : { sizeBytes: file.sizeBytes }),
      ...(file.rate.isKnown ? { bytesPerSecond: Math.round(file.rate.at(nowMs)) } : {}),
      ...(eta === undefined ? {} : { etaMs: Math.round(eta) }),
      silentMs: Math.round(nowMs - file.grewMs),
    };
  });
}

/** Milliseconds that a file still needs, when a guess makes sense. */
export function etaMs(file: Moving, nowMs: number): number | undefined {
  if (file.sizeBytes === undefined || file.doneBytes >= file.sizeBytes) return undefined;
  if (file.rate.ageMs(nowMs) < ETA_AFTER_MS) return undefined;
  const rate = file.rate.at(nowMs);
  if (rate <= 0) return undefined;
  const ms = (file.sizeBytes - file.doneBytes) / rate * 1000;
  return ms > ETA_MAX_MS ? undefined : ms;
}
