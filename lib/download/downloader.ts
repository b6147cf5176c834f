/**
 * The downloader: SOURCE → SPOOL. Takes found files in order, reserves room, lets the driver append to a partial, proves
 * and publishes it in the spool, and only then says `spooled`.
 */
import {
  asDriverError,
  Bell,
  type DeviceAccess,
  DriverError,
  isSmallFile,
  MoverPlaces,
  SharedLimit,
  type Turn,
} from "../driver/mod.ts";
import type { EventBus, Log } from "../observe/mod.ts";
import { diskTrouble, isNoSpace, type Reservation, type Spool, SpoolError, statSpoolFile } from "../spool/mod.ts";
import {
  markDownloading,
  nextFiles,
  type QueuedFile,
  recordWhenWritable,
  StateError,
  type Store,
} from "../state/mod.ts";
import { type FailurePolicy, settleFailure } from "./failure.ts";
import { type FetchOutcome, fetchToSpool } from "./fetch.ts";
import { FULL, SpoolWait } from "./spool_wait.ts";

export interface DownloaderOptions {
  job: { id: number; name: string };
  source: DeviceAccess;
  /** The device's row, which names its folder in the spool. */
  deviceDir: number;
  store: Store;
  spool: Spool;
  order: "newest" | "oldest" | "name";
  movers: number;
  attempts: number;
  /** Bytes per second for the whole station; absent: no limit. */
  bytesPerSecond?: number;
  events: EventBus;
  log: Log;
  /** Asks for room in a full spool; returns whether any was made. Absent: what is full stays full. */
  makeRoom?: (bytes: number, signal: AbortSignal) => Promise<boolean>;
  /** Whether another source is to be emptied first: nothing new is started meanwhile. Absent: never. */
  givesWay?: () => boolean;
  /** Called when a file is in the spool. */
  onSpooled: () => void;
  /** Called when the source turned out to differ from its listing: list again soon. */
  onChanged: () => void;
}

/** Rows of the queue that are read at once. */
const PAGE = 64;
/** Files at once whose bytes are there and whose fsync, rename or commit is under way: these are shared. */
const UNDER_WAY_MAX = 128;
/** How long the station rests when the disk is full, milliseconds. */
const NO_SPACE_PAUSE_MS = 5000;
/** How often a station that gives way looks whether it still has to, milliseconds. */
const GIVE_WAY_MS = 250;

/** So many tries that found no room mean that there is none. */
const STARVED_AFTER = 2;

/** The download station of one job. */
export class Downloader {
  readonly #options: DownloaderOptions;
  readonly #bell = new Bell();
  #queue: QueuedFile[] = [];
  /** Nothing waits but what is in {@linkcode Downloader.#queue} or under way: until something changed nobody is asked. */
  #isDrained = false;
  readonly #underWay = new Set<Promise<void>>();
  readonly #claimed = new Set<number>();
  readonly #places: MoverPlaces;
  readonly #limit: SharedLimit;
  #sourceId: number | undefined;
  /** The card or the vehicle whose files these are. */
  #deviceId: string | undefined;
  readonly #wait: SpoolWait;
  /** Downloads in a row that ended because something was full. */
  #fullInARow = 0;

  constructor(options: DownloaderOptions) {
    this.#options = options;
    this.#places = new MoverPlaces(options.movers);
    this.#limit = new SharedLimit(options.bytesPerSecond);
    this.#wait = new SpoolWait(options.store, options.job.name, options.log);
  }

  /** Downloads under way. */
  get active(): number {
    return this.#underWay.size;
  }

  /** Whether the queue waits for room in the spool. */
  get waitsForRoom(): boolean {
    return this.#wait.isWaiting;
  }

  /** Whether every try of late ended because something was full: the next one is no progress. */
  get isStarved(): boolean {
    return this.#fullInARow >= STARVED_AFTER;
  }

  /** Which device's files are fetched: those of the card that was listed last. */
  fetchFrom(sourceId: number): void {
    this.#sourceId = sourceId;
    this.#deviceId = this.#options.source.deviceId;
    this.wake();
  }

  /** Room was made in the spool. */
  noteRoom(): void {
    if (this.#wait.isWaiting) this.#bell.ring();
  }

  /** There may be work: files were found, a retry is due, the device is back. */
  wake(): void {
    this.#queue = [];
    this.#isDrained = false;
    this.#bell.ring();
  }

  /** Whether a file could be started now if the source is there. */
  hasWork(): boolean {
    return this.#next() !== undefined;
  }

  /** Works until `signal` is aborted; what is under way is cancelled then and awaited. */
  async run(signal: AbortSignal): Promise<void> {
    const { source, job } = this.#options;
    while (!signal.aborted) {
      const file = this.#next();
      if (file === undefined || !this.#hasPlace(file)) {
        await this.#bell.wait(signal);
        continue;
      }
      if (this.#options.givesWay?.() === true) {
        await new Bell().wait(signal, GIVE_WAY_MS);
        continue;
      }
      let turn: Turn;
      try {
        turn = await source.turn(job.name, { signal, alone: file.breaks > 0, ahead: this.#mayWait(file) });
      } catch {
        break;
      }
      // While we waited for the turn the queue may have changed.
      const current = this.#next();
      if (
        current === undefined || (current.breaks > 0) !== (file.breaks > 0) || !this.#hasPlace(current) ||
        this.#mayWait(current) !== this.#mayWait(file)
      ) {
        turn.end();
        continue;
      }
      const reservation = this.#reserve(current);
      if (reservation === undefined) {
        turn.end();
        // Never with a turn in our hands: making room asks the source.
        const { spool, makeRoom } = this.#options;
        const needBytes = spool.missingBytes((current.fingerprint.sizeBytes ?? 0) - this.#heldBytes(current));
        if (this.#wait.isWaiting && !(needBytes > 0 && await makeRoom?.(needBytes, signal))) {
          await this.#bell.wait(signal, NO_SPACE_PAUSE_MS);
        }
        continue;
      }
      const moving = this.#move(current, turn, reservation, signal).finally(() => {
        this.#underWay.delete(moving);
        this.#claimed.delete(current.id);
        // It may be in the queue again.
        this.#isDrained = false;
        this.#bell.ring();
      });
      this.#underWay.add(moving);
    }
    await Promise.allSettled(this.#underWay);
  }

  #hasPlace(file: QueuedFile): boolean {
    return this.#underWay.size < UNDER_WAY_MAX && this.#places.hasPlace(file.fingerprint.sizeBytes);
  }

  /** Whether its call may wait in the driver: there it would keep its part of a limit from the others. */
  #mayWait({ breaks, fingerprint }: QueuedFile): boolean {
    return breaks === 0 && this.#options.bytesPerSecond === undefined && isSmallFile(fingerprint.sizeBytes);
  }

  /** The head of the queue. Rows are read in pages; {@linkcode Downloader.wake} has them read again. */
  #next(): QueuedFile | undefined {
    // What was found on another card is not here: the next listing says what is.
    if (this.#sourceId === undefined || this.#options.source.deviceId !== this.#deviceId) return undefined;
    const isFree = (file: QueuedFile) => !this.#claimed.has(file.id);
    const head = this.#queue.find(isFree);
    if (head !== undefined || this.#isDrained) return head;
    // What is under way must not be in the page: its row is old when it ends.
    const limit = PAGE + this.#claimed.size;
    const page = nextFiles(this.#options.store, this.#sourceId, this.#options.order, limit);
    this.#isDrained = page.length < limit;
    this.#queue = page.filter(isFree);
    return this.#queue[0];
  }

  /** What the spool holds of a file: one that was never tried has no partial. */
  #heldBytes({ id, deviceDir }: QueuedFile): number {
    const { spool, deviceDir: dir } = this.#options;
    return deviceDir === undefined ? 0 : statSpoolFile(spool.partialPath(dir, id))?.sizeBytes ?? 0;
  }

  /** Room in the spool for the rest of a file, and the file out of the queue; `undefined` when there is none now. */
  #reserve(file: QueuedFile): Reservation | undefined {
    const { spool, store, deviceDir } = this.#options;
    try {
      const held = this.#heldBytes(file);
      const reservation = spool.reserve(file.fingerprint.sizeBytes ?? held, held);
      if (reservation === undefined) {
        const isDisk = spool.isDiskShort(Math.max(0, (file.fingerprint.sizeBytes ?? 0) - held));
        const why = isDisk ? "Disk of the spool would have less free than spool.min_free" : "Spool is full";
        this.#wait.noteShort(why);
        return undefined;
      }
      let isQueued = false;
      try {
        isQueued = markDownloading(store, file.id, deviceDir);
      } finally {
        if (!isQueued) reservation.end(held);
      }
      this.#queue = this.#queue.filter((other) => other.id !== file.id);
      if (!isQueued) return undefined;
      this.#wait.noteRoom();
      this.#claimed.add(file.id);
      return reservation;
    } catch (error) {
      if (isFull(error)) {
        this.#wait.noteFull(FULL);
        return undefined;
      }
      if (!(error instanceof SpoolError)) throw error;
      this.#refuse(file, error);
      return undefined;
    }
  }

  /** Parks a file that can never fit. */
  #refuse(file: QueuedFile, { message, hint }: SpoolError): void {
    const failure = new DriverError("rejected", message, hint === undefined ? {} : { hint });
    try {
      settleFailure(file, failure, { heldBytes: 0, alone: false }, this.#policy())();
      this.#queue = this.#queue.filter((other) => other.id !== file.id);
    } catch (error) {
      if (!isFull(error)) throw error;
      this.#wait.noteFull("Disk of the state store is full", "");
    }
  }

  async #move(file: QueuedFile, turn: Turn, reservation: Reservation, signal: AbortSignal): Promise<void> {
    const { job, source, events, spool, deviceDir } = this.#options;
    const outcome: FetchOutcome = { heldBytes: 0 };
    const deviceId = this.#deviceId;
    const leave = this.#places.take(file.fingerprint.sizeBytes);
    try {
      const facts = await fetchToSpool(file, turn, {
        ...this.#options,
        signal,
        outcome,
        limit: this.#limit,
        reservation,
        isSwapped: () => this.#options.source.deviceId !== deviceId,
        onMoved: () => {
          turn.end();
          leave();
          this.#bell.ring();
        },
      });
      reservation.end(facts.sizeBytes);
      this.#wait.noteWritten();
      this.#fullInARow = 0;
      events.emit({
        event: "downloaded",
        job: job.name,
        path: file.path,
        sizeBytes: facts.sizeBytes,
        sha256: facts.sha256,
        resumedBytes: facts.resumedBytes,
        ...(facts.note === undefined ? {} : { note: facts.note }),
      });
    } catch (error) {
      const failure = spoolFailure(error) ?? asDriverError(error);
      turn.end(failure, outcome.heldBytes > file.bestBytes);
      await this.#fail(file, failure, { ...outcome, alone: turn.alone }, signal);
      reservation.end(statSpoolFile(spool.partialPath(deviceDir, file.id))?.sizeBytes ?? 0);
      if (failure.code === "no_space") {
        // A driver writes there too, and may be right or wrong about it.
        const says = spoolFailure(error) !== undefined || /no space left/i.test(failure.message);
        this.#wait.noteTrouble(
          says ? failure.message : `"${source.name}" finds no room in the spool (${failure.message})`,
        );
        this.#fullInARow++;
        await new Bell().wait(signal, NO_SPACE_PAUSE_MS);
      }
    } finally {
      turn.end();
      leave();
    }
  }

  async #fail(
    file: QueuedFile,
    error: DriverError,
    facts: FetchOutcome & { alone: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    const { store, log, onChanged } = this.#options;
    try {
      const tell = await recordWhenWritable(store, () => settleFailure(file, error, facts, this.#policy()), {
        signal,
        onFull: () => this.#wait.noteFull("Disk of the state store is full", ""),
      });
      tell();
    } catch (cause) {
      // Stopping with a full disk: the row stays as it is there, and the next start puts it right.
      log.error(`Cannot record the failure of "${file.path}": ${cause instanceof Error ? cause.message : cause}`, {
        file: file.path,
      });
    }
    if (error.code === "changed") onChanged();
  }

  #policy(): FailurePolicy {
    const { store, spool, job, events, log, attempts, deviceDir } = this.#options;
    return { store, spool, job, events, log, attemptsMax: attempts, deviceDir };
  }
}

/** What our own disk did to a download: the file is not at fault, and the station waits. */
function spoolFailure(error: unknown): DriverError | undefined {
  if (isFull(error)) return new DriverError("no_space", FULL, { cause: error });
  if (error instanceof SpoolError && error.code === "unwritable") {
    return new DriverError("no_space", error.message, { cause: error });
  }
  const words = error instanceof DriverError ? undefined : diskTrouble(error);
  return words === undefined ? undefined : new DriverError("no_space", `Cannot write to the spool: ${words}`);
}

function isFull(error: unknown): boolean {
  return isNoSpace(error) || (error instanceof StateError && error.code === "no_space");
}
