/** Owns lifetimes: the store and its lock, the spool, the plugins, the jobs; and ends them in the right order. */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { dirname } from "node:path";
import type { Config, JobConfig } from "../config/mod.ts";
import { Bell, type DriverError, type ErrorCode, isOfTheDevice, isPluginFailure, MemorySaver } from "../driver/mod.ts";
import type { PluginSet } from "../host/mod.ts";
import {
  type EventBus,
  type EventTeller,
  type FilesyncEvent,
  logFor,
  movingFiles,
  Progress,
  type Summary,
} from "../observe/mod.ts";
import { makeDirectory, Spool } from "../spool/mod.ts";
import {
  countUptime,
  endPauses,
  filesLeft,
  finishRetired,
  hasDenied,
  nextRetryMs,
  outstanding,
  releaseRetries,
  startUptime,
  StateError,
  Store,
} from "../state/mod.ts";
import { checkCircles } from "./circles.ts";
import { type AdminRequest, forget, retry } from "./administer.ts";
import { type ControlHandler, ControlServer } from "./control.ts";
import type { DeviceGate } from "./device_gate.ts";
import { Devices, type OpenDevice } from "./devices.ts";
import { mayBeOne } from "./doctor/places.ts";
import { asEngineError, EngineError, EXIT } from "./errors.ts";
import { exitStatus, type RunFacts } from "./exit_status.ts";
import { JobPipeline } from "./pipeline.ts";
import { checkNotLost, rebuildState } from "./rebuild.ts";
import { reconcile } from "./reconcile.ts";
import { Hooks } from "./hooks.ts";
import { Releaser } from "./releaser.ts";
import { RoomMaker } from "./room.ts";
import { tellerOf } from "./teller.ts";
import { WallClock } from "./wall_clock.ts";

/** How to run. */
export interface SyncOptions {
  /** End when all that can move has moved. */
  once: boolean;
  /** Only these jobs; absent: all. */
  jobs?: string[];
  plugins: PluginSet;
  events: EventBus;
  /** Aborted: stop, lose nothing, within 3 s. */
  signal: AbortSignal;
  version: string;
  /** Make a damaged state store anew. @default false */
  rebuildState?: boolean;
  /** Give back memory of this process that is not needed: it is the program's own. @default false */
  savesMemory?: boolean;
}

/** How long a single run waits for a retry or an absent device, milliseconds. */
const PATIENCE_MS = 10_000;
/** How often a single run that moves files looks whether it is at its end, milliseconds. */
const BUSY_LOOK_MS = 50;
/** How often the store's own clock is written, milliseconds: grace periods are counted to this precision. */
const UPTIME_MS = 60_000;
/** How often ended back-offs are looked for, milliseconds. */
const RETRY_SWEEP_MS = 500;
/** How long the end of a single run waits for devices to be let go, milliseconds. */
const RELEASE_MS = 30_000;
/** Moving files that are told to who asks. */
const MOVING_MAX = 100;
/** Codes of a closed device that no waiting mends. */
const HOPELESS: readonly ErrorCode[] = ["denied", "invalid_config", "unsupported"];

/**
 * Runs the jobs of a configuration.
 * @returns what the run came to, with the exit code of the contract
 * @throws {EngineError} when it cannot run at all
 */
export async function runSync(config: Config, options: SyncOptions): Promise<Summary> {
  try {
    return await new Engine(config, options).run();
  } catch (error) {
    throw asEngineError(error);
  }
}

/** The jobs to run, in the order of the configuration. */
export function selectJobs(config: Config, names: string[] | undefined): JobConfig[] {
  if (names === undefined || names.length === 0) return config.jobs;
  return names.map((name) => {
    const job = config.jobs.find((candidate) => candidate.name === name);
    if (job !== undefined) return job;
    const known = config.jobs.map((candidate) => `"${candidate.name}"`).join(", ");
    throw new EngineError(EXIT.usage, `Job "${name}" is not in ${config.file}`, { hint: `Jobs are ${known}` });
  });
}

class Engine {
  readonly #config: Config;
  readonly #options: SyncOptions;
  readonly #jobs: JobConfig[];
  readonly #activity = new Bell();
  readonly #counts = { found: 0, downloaded: 0, downloadedBytes: 0, delivered: 0, deliveredBytes: 0, gone: 0 };
  readonly #startedMs = performance.now();
  /** Aborted when the store turns out to be damaged. */
  readonly #broken = new AbortController();
  /** What moves now, for who asks by the socket. */
  readonly #progress = new Progress();
  readonly #teller: EventTeller;
  #onDeviceChange = () => {};

  constructor(config: Config, options: SyncOptions) {
    this.#config = config;
    this.#options = options;
    this.#jobs = selectJobs(config, options.jobs);
    this.#teller = tellerOf(config);
  }

  async run(): Promise<Summary> {
    for (const notice of checkCircles(this.#config, this.#options.plugins)) logFor("config").warning(notice);
    makeStateDirectory(this.#config.statePath);
    if (this.#options.rebuildState === true) await rebuildState(this.#config, logFor("start"));
    else checkNotLost(this.#config);
    using store = new Store(this.#config.statePath);
    // Nothing that a damaged store says counts any more: all stops.
    store.onFatal = () => this.#broken.abort();
    try {
      return await this.#run(store);
    } catch (error) {
      throw store.fatal ?? error;
    }
  }

  async #run(store: Store): Promise<Summary> {
    const { events } = this.#options;
    const spool = new Spool({
      dir: this.#config.spool.dir,
      quotaBytes: this.#config.spool.quotaBytes,
      minFreeBytes: this.#config.spool.minFreeBytes,
      storeId: storeId(store),
    });
    await reconcile(store, spool, logFor("start"));
    const stopCounting = events.listen((event) => this.#count(event));
    const devices = new Devices({
      plugins: this.#options.plugins,
      store,
      spool,
      events,
      configFile: this.#config.file,
      onChange: () => {
        this.#onDeviceChange();
        this.#activity.ring();
      },
    });
    try {
      return await this.#work(store, spool, devices);
    } finally {
      await devices.close();
      stopCounting();
      if (store.fatal === undefined) await store.durable();
    }
  }

  async #work(store: Store, spool: Spool, devices: Devices): Promise<Summary> {
    const { events, signal, once, version } = this.#options;
    const pipelines: JobPipeline[] = [];
    endPauses(store);
    const room = roomFor(pipelines, store, spool);
    const clock = new WallClock(store, logFor("clock"));
    // Sources first: the row of an exclusive device that is both names its folders.
    for (const job of this.#jobs) await devices.open(job.source, "source");
    const givesWay = () => pipelines.some((pipeline) => pipeline.isEmptying);
    for (const job of this.#jobs) {
      pipelines.push(await this.#pipeline(job, { store, spool, devices, room, clock, givesWay }));
    }
    await releaseFinished(store, spool);
    const releaser = new Releaser({ devices: () => devices.all, pipelines, events });
    const hooks = new Hooks({
      config: this.#config.hooks,
      configFile: this.#config.file,
      events,
      teller: this.#teller,
      isIdle: () =>
        unlessBroken(store, () => outstanding(store, pipelines.map((pipeline) => pipeline.row.id)).left === 0) === true,
    });
    // Nobody knows yet who is away.
    room.restore();
    this.#onDeviceChange = () => {
      if (room.restore() > 0) pipelines.forEach((pipeline) => pipeline.wake());
      // What only a device needs that has just gone may leave a full spool.
      pipelines.forEach((pipeline) => pipeline.noteRoom());
      releaser.noteOpenings();
    };
    spool.onRoom = () => pipelines.forEach((pipeline) => pipeline.noteRoom());
    const ended = new AbortController();
    const stop = AbortSignal.any([signal, ended.signal, this.#broken.signal]);
    const control = ControlServer.open(
      store,
      this.#commands({ pipelines, store, spool, signal: stop }),
      logFor("commands"),
    );
    events.emit({
      event: "start",
      version,
      pid: Deno.pid,
      config: this.#config.file,
      jobs: this.#jobs.map((job) => job.name),
    });
    // Only grace periods need it.
    if (pipelines.some((pipeline) => pipeline.removes)) startUptime(store);
    const uptime = setInterval(() => unlessBroken(store, () => countUptime(store)), UPTIME_MS);
    const saver = this.#options.savesMemory === true
      ? new MemorySaver(() => pipelines.some((pipeline) => pipeline.isBusy))
      : undefined;
    saver?.noteWork();
    const sweep = setInterval(() => {
      void spool.sweep();
      if (unlessBroken(store, () => releaseRetries(store, performance.now())) === true) {
        pipelines.forEach((pipeline) => pipeline.wake());
      }
      // A single run lets go at its end.
      if (once) return;
      unlessBroken(store, () => void releaser.look(stop));
      saver?.noteWork();
    }, RETRY_SWEEP_MS);
    try {
      const running = Promise.all(pipelines.map((pipeline) => pipeline.run(stop)));
      const first = once ? this.#untilNothingMoves(pipelines, store) : undefined;
      await Promise.race(first === undefined ? [running] : [running, first]);
      const facts = this.#facts(pipelines, store);
      if (once && !stop.aborted) await releaser.look(AbortSignal.any([stop, AbortSignal.timeout(RELEASE_MS)]));
      ended.abort();
      await running;
      if (store.fatal !== undefined) throw store.fatal;
      return this.#summarize(facts, pipelines, store);
    } finally {
      clearInterval(sweep);
      saver?.stop();
      clearInterval(uptime);
      ended.abort();
      unlessBroken(store, () => countUptime(store));
      releaser.stop();
      await hooks.end(signal.aborted);
      await control?.close();
    }
  }

  /** What others may ask of this process. */
  #commands({ pipelines, store, spool, signal }: CommandParts): Record<string, ControlHandler> {
    const running = this.#jobs.map((job) => ({ job: job.name, targets: job.targets.map(({ name }) => name) }));
    const context = { store, spool: () => spool, running, signal };
    const wake = (relist: boolean) => {
      for (const pipeline of pipelines) {
        pipeline.wake();
        if (relist) pipeline.listAgain();
      }
      this.#activity.ring();
    };
    const log = logFor("commands");
    return {
      clock: () => ({ nowMs: performance.now() }),
      moving: () => movingFiles(this.#progress, performance.now(), this.#teller).slice(0, MOVING_MAX),
      retry: async (params) => {
        const { relist, ...result } = await retry(params as AdminRequest, context);
        log.info(`Asked to retry: ${result.files + result.older} files, ${result.deliveries} deliveries`);
        wake(relist);
        return { ...result, pid: Deno.pid };
      },
      forget: async (params) => {
        const result = await forget(params as AdminRequest, context);
        log.info(`Asked to forget: ${result.files} files, ${result.deliveries} deliveries`);
        wake(false);
        return { ...result, pid: Deno.pid };
      },
    };
  }

  async #pipeline(job: JobConfig, parts: PipelineParts): Promise<JobPipeline> {
    const { store, spool, devices, room } = parts;
    const source = await devices.open(job.source, "source");
    const targets = new Map<string, OpenDevice>();
    for (const target of job.targets) targets.set(target.name, await devices.open(target.device, "target"));
    const pipeline = new JobPipeline({
      job,
      source,
      targets,
      store,
      spool,
      events: this.#options.events,
      host: hostname(),
      clock: parts.clock,
      mayBeSource: new Set(
        job.targets.filter(({ device }) => mayBeOne(job.source, device, this.#options.plugins)).map(({ name }) => name),
      ),
      room: this.#config.spool.refetch ? room : undefined,
      activity: this.#activity,
      givesWay: parts.givesWay,
      once: this.#options.once,
    });
    // It works with the numbers of its rows from now on: a full disk must not undo them unnoticed.
    await store.durable();
    return pipeline;
  }

  /** Resolves when nothing moves and nothing will within our patience. */
  async #untilNothingMoves(pipelines: JobPipeline[], store: Store): Promise<void> {
    const signal = AbortSignal.any([this.#options.signal, this.#broken.signal]);
    let quietSinceMs: number | undefined;
    while (!signal.aborted) {
      const nowMs = performance.now();
      if (pipelines.some((pipeline) => pipeline.isBusy)) {
        quietSinceMs = undefined;
        await new Bell().wait(signal, BUSY_LOOK_MS);
        continue;
      }
      quietSinceMs ??= nowMs;
      const endMs = quietSinceMs + PATIENCE_MS;
      if (!this.#isWorthWaiting(pipelines, store, endMs)) return;
      if (nowMs >= endMs) return;
      await this.#activity.wait(signal, Math.min(endMs - nowMs, RETRY_SWEEP_MS));
    }
  }

  #isWorthWaiting(pipelines: JobPipeline[], store: Store, endMs: number): boolean {
    const jobIds = pipelines.map((pipeline) => pipeline.row.id);
    const left = outstanding(store, jobIds).left > 0;
    const unlisted = pipelines.filter((pipeline) => !pipeline.isListed);
    if (!left && unlisted.length === 0) return false;
    const closed = [
      ...unlisted.map((pipeline) => pipeline.sourceGate),
      ...(left ? pipelines.flatMap((pipeline) => [pipeline.sourceGate, ...pipeline.targetGates]) : []),
    ].filter((gate) => !gate.isOpen);
    if (closed.some((gate) => !HOPELESS.includes(gate.closed!.code))) return true;
    const retryMs = nextRetryMs(store);
    return retryMs !== undefined && retryMs <= endMs;
  }

  #facts(pipelines: JobPipeline[], store: Store): RunFacts {
    const jobIds = pipelines.map((pipeline) => pipeline.row.id);
    const work = outstanding(store, jobIds);
    const gates = new Set<DeviceGate>();
    for (const pipeline of pipelines) {
      if (!pipeline.isListed || work.left > 0) gates.add(pipeline.sourceGate);
      if (work.left > 0) pipeline.targetGates.forEach((gate) => gates.add(gate));
    }
    return {
      outstanding: work,
      closed: [
        ...[...gates].flatMap((gate) => gate.closed === undefined ? [] : [gate.closed.code]),
        ...(pipelines.some((pipeline) => !pipeline.isInWindow) ? ["held" as const] : []),
        ...pipelines.flatMap(({ listingError }) => listingError === undefined ? [] : ofListing(listingError)),
        ...(hasDenied(store, jobIds) ? ["denied" as const] : []),
      ],
      listingFailed: pipelines.some((pipeline) => pipeline.listingError !== undefined),
    };
  }

  #summarize(facts: RunFacts, pipelines: JobPipeline[], store: Store): Summary {
    const jobIds = pipelines.map((pipeline) => pipeline.row.id);
    const { parked, uncertain } = outstanding(store, jobIds);
    const summary: Summary = {
      ...this.#counts,
      parked,
      uncertain,
      left: filesLeft(store, jobIds),
      elapsedMs: Math.round(performance.now() - this.#startedMs),
      exitCode: exitStatus(facts),
    };
    this.#options.events.emit({ event: "summary", ...summary });
    return summary;
  }

  #count(event: FilesyncEvent): void {
    this.#progress.apply(event, performance.now());
    switch (event.event) {
      case "found":
        this.#counts.found++;
        break;
      case "downloaded":
        this.#counts.downloaded++;
        this.#counts.downloadedBytes += event.sizeBytes;
        break;
      case "delivered":
        this.#counts.delivered++;
        this.#counts.deliveredBytes += event.sizeBytes ?? 0;
        break;
      case "gone":
        this.#counts.gone++;
        break;
    }
  }
}

/** What a listing that failed says of its device, for the exit code; of the files alone it says nothing. */
function ofListing(error: DriverError): ErrorCode[] {
  if (isPluginFailure(error)) return ["broken"];
  return isOfTheDevice(error) ? [error.code] : [];
}

interface CommandParts {
  pipelines: JobPipeline[];
  store: Store;
  spool: Spool;
  signal: AbortSignal;
}

interface PipelineParts {
  store: Store;
  spool: Spool;
  devices: Devices;
  room: RoomMaker;
  clock: WallClock;
  givesWay: () => boolean;
}

function roomFor(pipelines: JobPipeline[], store: Store, spool: Spool): RoomMaker {
  return new RoomMaker({
    store,
    spool,
    log: logFor("spool"),
    targets: () =>
      new Map(pipelines.flatMap((pipeline) => pipeline.targets.map(({ row, gate }) => [row, gate] as const))),
    source: (jobId, sourceId) => {
      const pipeline = pipelines.find((candidate) => candidate.row.id === jobId);
      if (pipeline?.sourceId !== sourceId || !pipeline.sourceGate.isOpen) return undefined;
      // Another card under the same name cannot be asked.
      return pipeline.sourceGate.deviceId === pipeline.sourceDeviceId ? pipeline.sourceGate : undefined;
    },
  });
}

/** Runs what changes the store; the failure of a store that is damaged has been told and ends the run elsewhere. */
function unlessBroken<T>(store: Store, change: () => T): T | undefined {
  try {
    return change();
  } catch (error) {
    if (store.fatal === undefined) throw error;
    return undefined;
  }
}

function makeStateDirectory(statePath: string): void {
  const dir = dirname(statePath);
  try {
    makeDirectory(dir);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const options = {
      hint: `Check that it can be written, and that the disk is healthy: ls -ld "${dir}"`,
      cause: error,
    };
    throw new StateError("unusable", `Cannot make the folder of the state store "${dir}": ${words}`, options);
  }
}

/** Frees what only targets that left the configuration still needed. */
async function releaseFinished(store: Store, spool: Spool): Promise<void> {
  const finished = finishRetired(store);
  if (finished.length === 0) return;
  await store.durable();
  for (const { id, deviceDir, sizeBytes } of finished) {
    await spool.remove(spool.filePath(deviceDir, id));
    spool.free(sizeBytes);
  }
}

/** The store's identity, made at its first start. */
function storeId(store: Store): string {
  const known = store.meta("store_id");
  if (known !== undefined) return known;
  const id = randomUUID();
  store.write(() => store.setMeta("store_id", id));
  store.flush();
  return id;
}
