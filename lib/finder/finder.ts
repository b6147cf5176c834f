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

class SourceWalk {
  readonly #options: FinderOptions;
  readonly #turn: Turn;
  readonly #signal: AbortSignal;
  readonly #listing: Listing;
  readonly #sourceId: number;
  readonly #deviceId: string;
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
    let ignored = 0;
    const recursive = this.#turn.capabilities.recursiveList === true;
    const directories = [""];
    for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
      const outcome = await this.#turn.client.list(
        recursive ? { directory, recursive } : { directory },
        (entries) => this.#take(entries, recursive ? undefined : directories),
        { signal: this.#signal },
      ).catch((error) => this.#passOver(directory, error));
      ignored += outcome?.ignored ?? 0;
    }
    this.#checkDevice();
    // The host has told of entries that it ignored; what is missing because of them must not look deleted.
    if (ignored === 0) {
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
