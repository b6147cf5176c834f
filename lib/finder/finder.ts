/**
 * The finder: SOURCE → rows. Lists a source recursively in bounded batches, applies the rules, lets growing files
 * settle, and records what is new. A listing that fails anywhere fails as a whole and never looks like deletion.
 */
import {
  asDriverError,
  type DeviceAccess,
  DriverError,
  type Entry,
  isTemporary,
  pathProblem,
  type Turn,
} from "../driver/mod.ts";
import type { EventBus, Log } from "../observe/mod.ts";
import { Listing, registerSource, type Store } from "../state/mod.ts";

export interface FinderOptions {
  job: { id: number; name: string };
  source: DeviceAccess;
  store: Store;
  /** Whether a file is wanted; the size is absent where the listing did not tell it. */
  isWanted: (path: string, sizeBytes: number | undefined) => boolean;
  settleMs: number;
  /** Most files to take when the source is met for the first time; absent: all. */
  maxFirst?: number;
  events: EventBus;
  log: Log;
  /** Called for a file that is not wanted any more and may have a partial in the spool. */
  onAbandoned?: (device: number, fileId: number) => void;
  /** Called after each batch that brought something, with the source's row. */
  onFound: (sourceId: number) => void;
}

/** What one complete listing came to. */
export interface ListingResult {
  sourceId: number;
  found: number;
  /** Files that must be seen once more, at least `settleMs` later. */
  settling: number;
  /** How long the listing itself took, without waiting for the device's turn, milliseconds. */
  tookMs: number;
}

/**
 * Lists the source once.
 * @throws {DriverError} when any part of the listing failed; what was found until then stays found
 */
export async function listSource(options: FinderOptions, signal: AbortSignal): Promise<ListingResult> {
  const turn = await options.source.turn(options.job.name, { signal });
  try {
    await meet(options.source, turn, signal);
    const result = await new SourceWalk(options, turn, signal).run();
    turn.end();
    return result;
  } catch (error) {
    const failure = asDriverError(error);
    turn.end(failure);
    throw failure;
  }
}

/** Sources that had their chance to say who they are. */
const met = new WeakSet<DeviceAccess>();

/** Files belong to a device: one that tells its identity only when it is reached is reached before it is listed. */
async function meet(source: DeviceAccess, turn: Turn, signal: AbortSignal): Promise<void> {
  if (met.has(source) || source.deviceId !== source.name) return;
  await turn.client.stat("", { signal }).catch((error) => {
    // What else is wrong with the root, the listing says itself.
    if (["unavailable", "held"].includes(asDriverError(error).code)) throw error;
  });
  met.add(source);
}

/** The error of a folder's listing: a root that is not there is a device that is not there. */
function ofFolder(directory: string, error: unknown): DriverError {
  const failure = asDriverError(error);
  if (directory !== "" || failure.code !== "not_found") return failure;
  return new DriverError("unavailable", failure.message, { ...failure.details, cause: failure });
}

/** Folders that are listed at once, where the device has turns for so many: each waits for the way there and back. */
const LISTINGS_MAX = 8;

class SourceWalk {
  readonly #options: FinderOptions;
  readonly #turn: Turn;
  readonly #signal: AbortSignal;
  readonly #listing: Listing;
  readonly #sourceId: number;
  readonly #deviceId: string;
  /** Folders that nobody has begun to list. */
  readonly #folders = [""];
  #ignored = 0;
  #found = 0;

  constructor(options: FinderOptions, turn: Turn, signal: AbortSignal) {
    this.#options = options;
    this.#turn = turn;
    this.#signal = signal;
    this.#deviceId = options.source.deviceId;
    this.#sourceId = registerSource(options.store, options.job.id, this.#deviceId);
    this.#listing = new Listing(options.store, {
      jobId: options.job.id,
      sourceId: this.#sourceId,
      nowMs: () => performance.now(),
      settleMs: options.settleMs,
      precisionMs: turn.capabilities.modifiedPrecisionMs ?? 1,
      ...(options.maxFirst === undefined ? {} : { maxFirst: options.maxFirst }),
    });
  }

  async run(): Promise<ListingResult> {
    const { store, job, source, events, log } = this.#options;
    const startMs = performance.now();
    await this.#listAll();
    this.#checkDevice();
    // The host has told of entries that it ignored; what is missing because of them must not look deleted.
    if (this.#ignored === 0) {
      for (const paths of this.#listing.complete()) {
        await this.#letOthersWork(paths.length > 0);
        for (const path of paths) events.emit({ event: "gone", job: job.name, path });
      }
      let beyondFirst = 0;
      for (const count of this.#listing.endFirstContact()) {
        beyondFirst += count;
        await this.#letOthersWork(count > 0);
      }
      if (beyondFirst > 0) {
        log.warning(`First contact with "${source.name}": ${beyondFirst} older files wait until told`);
      }
    }
    await store.durable();
    for (const { device, fileId } of this.#listing.abandoned) this.#options.onAbandoned?.(device, fileId);
    return {
      sourceId: this.#sourceId,
      found: this.#found,
      settling: this.#listing.settling,
      tookMs: performance.now() - startMs,
    };
  }

  /** Between two steps of what may take long: a million rows must not hold up those who move files. */
  async #letOthersWork(isChanged: boolean): Promise<void> {
    if (isChanged) await this.#options.store.durable();
    else await new Promise((resolve) => setImmediate(resolve));
    this.#signal.throwIfAborted();
  }

  /** Lists all folders: with the turn that it has, and with more of them as long as folders wait and turns are free. */
  async #listAll(): Promise<void> {
    const { source } = this.#options;
    const isWide = source.callsMax > 1 || (this.#turn.capabilities.callsAhead ?? 0) > 0;
    const failing = new AbortController();
    const ending = new AbortController();
    const signal = AbortSignal.any([this.#signal, failing.signal]);
    const helpers = new Set<Promise<void>>();
    let listingCount = 0;
    const list = async (turn: Turn) => {
      listingCount++;
      try {
        for (let folder = this.#folders.pop(); folder !== undefined; folder = this.#folders.pop()) {
          await this.#listOne(turn, folder, signal);
          if (isWide) help();
        }
      } catch (error) {
        failing.abort(error);
        throw error;
      } finally {
        listingCount--;
      }
    };
    const help = () => {
      for (let wanted = this.#folders.length; wanted > 0 && helpers.size < LISTINGS_MAX - 1; wanted--) {
        const helper = this.#withTurn(AbortSignal.any([signal, ending.signal]), list)
          .catch((error) => failing.abort(error)).finally(() => helpers.delete(helper));
        helpers.add(helper);
      }
    };
    try {
      await list(this.#turn);
      // A folder that a helper lists may bring more of them.
      while (listingCount > 0 && !failing.signal.aborted) {
        await Promise.race(helpers);
        await list(this.#turn);
      }
    } catch {
      // The first failure, whose ever, is the reason why the others were ended.
    }
    ending.abort();
    await Promise.all(helpers);
    if (failing.signal.aborted) throw failing.signal.reason;
  }

  /** Works with one more turn, unless there is none before `signal` is aborted. */
  async #withTurn(signal: AbortSignal, work: (turn: Turn) => Promise<void>): Promise<void> {
    const { source, job } = this.#options;
    let turn: Turn;
    try {
      turn = await source.turn(job.name, { signal, ahead: true });
    } catch {
      return;
    }
    try {
      await work(turn);
    } finally {
      // What the device is worth after a failure, the turn of the whole listing tells.
      turn.end();
    }
  }

  async #listOne(turn: Turn, directory: string, signal: AbortSignal): Promise<void> {
    const isRecursive = turn.capabilities.recursiveList === true;
    const outcome = await turn.client.list(
      isRecursive ? { directory, recursive: true } : { directory },
      (entries) => this.#take(entries, isRecursive ? undefined : this.#folders),
      { signal },
    ).catch((error) => this.#passOver(directory, error));
    this.#ignored += outcome?.ignored ?? 0;
  }

  /** One folder that is closed to us, or that vanished since it was named, does not hold up the others. */
  async #passOver(directory: string, error: unknown): Promise<undefined> {
    const failure = ofFolder(directory, error);
    if (directory === "") throw failure;
    if (failure.code === "not_found") this.#listing.spare(directory);
    else if (failure.code === "denied" && failure.details.scope === "file") {
      await this.#take([{ path: directory, kind: "directory", problem: failure.message }], undefined);
    } else throw failure;
  }

  /** Another card, or another vehicle, has other files under the same names. */
  #checkDevice(): void {
    const { source } = this.#options;
    if (source.deviceId === this.#deviceId) return;
    throw new DriverError("unavailable", `Device "${source.name}" was swapped while it was listed`);
  }

  async #take(entries: Entry[], directories: string[] | undefined): Promise<void> {
    this.#checkDevice();
    const { isWanted, store, events, job, onFound, log } = this.#options;
    const wanted: Entry[] = [];
    for (const entry of entries) {
      const problem = entry.problem ?? pathProblem(entry.path);
      if (entry.kind === "directory") {
        if (problem === undefined) {
          directories?.push(entry.path);
          continue;
        }
        this.#listing.spare(entry.path);
        // The rules are about files: any name in it stands for those that nobody can see.
        if (isWanted(`${entry.path}/\ue000`, undefined)) {
          wanted.push({ ...entry, problem: `Folder cannot be listed: ${problem}` });
        } else {
          log.warning(`Folder "${entry.path}" cannot be listed and is left out: ${problem}`, { file: entry.path });
        }
      } else if (!isTemporary(entry.path) && isWanted(entry.path, entry.sizeBytes)) {
        wanted.push(problem === undefined || entry.problem !== undefined ? entry : { ...entry, problem });
      }
    }
    if (wanted.length === 0) return;
    const found = this.#listing.sight(wanted);
    if (found.length === 0) return;
    // The batch is on disk before the next one is read: the pipe is the back-pressure.
    await store.durable();
    for (const file of found) {
      this.#found++;
      const { sizeBytes, modifiedMs } = file.fingerprint;
      events.emit({
        event: "found",
        job: job.name,
        path: file.path,
        generation: file.generation,
        ...(sizeBytes === undefined ? {} : { sizeBytes }),
        ...(modifiedMs === undefined ? {} : { modifiedMs }),
      });
      if (file.problem !== undefined) {
        events.emit({ event: "parked", job: job.name, path: file.path, reason: file.problem, code: "unsupported" });
      }
    }
    if (!this.#listing.isFirstContact) onFound(this.#sourceId);
  }
}
