/**
 * The uploader: SPOOL → TARGET, one station per job and target. Before it repeats an upload whose answer was lost it asks
 * whether the file is there; a delivery ends with a receipt, or is parked with the target's words.
 */
import {
  asDriverError,
  Bell,
  type DeviceAccess,
  DriverError,
  isSmallFile,
  MoverPlaces,
  type Receipt,
  SharedLimit,
  type Turn,
} from "../driver/mod.ts";
import type { EventBus, Log } from "../observe/mod.ts";
import type { Spool } from "../spool/mod.ts";
import {
  markDelivered,
  markDue,
  nextDeliveries,
  type QueuedDelivery,
  recordWhenWritable,
  StateError,
  type Store,
} from "../state/mod.ts";
import { deliver, type DeliverContext, SpoolDamage, unshareIfShared, type UploadOutcome } from "./deliver.ts";
import { repairIfRotten, repairSpool, settleFailure, type UploadFacts } from "./failure.ts";
import { Lender } from "./lender.ts";
import { Sweeper } from "./sweeper.ts";

export interface UploaderOptions {
  job: { id: number; name: string };
  target: { id: number; name: string };
  device: DeviceAccess;
  /** The device's folder of the spool. */
  deviceDir: number;
  store: Store;
  spool: Spool;
  /** Template of the name on the target. */
  path: string;
  movers: number;
  attempts: number;
  onChange: "replace" | "rename";
  onConflict: "rename" | "replace" | "park";
  onUncertain: "hold" | "retry";
  /** Bytes per second for the whole station; absent: no limit. */
  bytesPerSecond?: number;
  /** The source's copy is due so long after the last receipt, milliseconds; absent: it is kept. */
  removeAfterMs?: number;
  /** See {@linkcode DeliverContext.mayRemoveItself}. */
  mayRemoveItself: boolean;
  /** See {@linkcode LenderOptions.lends}. */
  lends: boolean;
  host: string;
  events: EventBus;
  log: Log;
  /** Called after a receipt: the file has left the spool, or may leave it now for the sake of others. */
  onReleased: () => void;
  /** Called when a file must be fetched again. */
  onRefetch?: () => void;
}

/** Rows of the queue that are read at once. */
const PAGE = 64;
/** Deliveries at once, those included whose receipt is being committed. */
const UNDER_WAY_MAX = 128;

/** The upload station of one job and one of its targets. */
export class Uploader {
  readonly #options: UploaderOptions;
  readonly #bell = new Bell();
  #queue: QueuedDelivery[] = [];
  /** Nothing waits but what is in {@linkcode Uploader.#queue} or under way: until something changed nobody is asked. */
  #isDrained = false;
  readonly #underWay = new Set<Promise<void>>();
  readonly #claimed = new Set<number>();
  readonly #places: MoverPlaces;
  readonly #limit: SharedLimit;
  readonly #lender: Lender;
  readonly #sweeper: Sweeper;
  /** Files that were fetched again because their spool file was damaged, until they are delivered. */
  readonly #repaired = new Set<number>();

  constructor(options: UploaderOptions) {
    this.#options = options;
    this.#places = new MoverPlaces(options.movers);
    this.#limit = new SharedLimit(options.bytesPerSecond);
    this.#lender = new Lender(options);
    this.#sweeper = new Sweeper(options.store, options.target, options.log);
  }

  /** Uploads under way. */
  get active(): number {
    return this.#underWay.size;
  }

  /** Whether a delivery could be started now if the target is there. */
  hasWork(): boolean {
    return this.#next() !== undefined || this.#sweeper.hasWork();
  }

  /** A person may have given something up. */
  noteForgotten(): void {
    this.#sweeper.wake();
    this.wake();
  }

  /** Works until `signal` is aborted; what is under way is cancelled then and awaited. */
  async run(signal: AbortSignal): Promise<void> {
    const { device, job } = this.#options;
    while (!signal.aborted) {
      const delivery = this.#next();
      if (delivery === undefined && this.#underWay.size === 0 && this.#sweeper.hasWork()) {
        if (!await this.#sweep(signal)) break;
        continue;
      }
      if (delivery === undefined || !this.#hasPlace(delivery)) {
        await this.#bell.wait(signal);
        continue;
      }
      let turn: Turn;
      try {
        turn = await device.turn(job.name, { signal, alone: delivery.breaks > 0, ahead: this.#mayWait(delivery) });
      } catch {
        break;
      }
      const current = this.#next();
      if (
        current === undefined || (current.breaks > 0) !== (delivery.breaks > 0) || !this.#hasPlace(current) ||
        this.#mayWait(current) !== this.#mayWait(delivery)
      ) {
        turn.end();
        continue;
      }
      this.#claimed.add(current.id);
      this.#queue = this.#queue.filter((other) => other.id !== current.id);
      const moving = this.#move(current, turn, signal).finally(() => {
        this.#underWay.delete(moving);
        this.#claimed.delete(current.id);
        // It may wait again, or have kept back a newer generation of its file.
        this.wake();
      });
      this.#underWay.add(moving);
    }
    await Promise.allSettled(this.#underWay);
  }

  /** Takes one part of what was given up away, unless there is something to deliver by now; `false` at the end. */
  async #sweep(signal: AbortSignal): Promise<boolean> {
    const { device, job } = this.#options;
    let turn: Turn;
    try {
      turn = await device.turn(job.name, { signal });
    } catch {
      return false;
    }
    if (this.#next() !== undefined) {
      turn.end();
      return true;
    }
    const sweeping = this.#sweeper.sweep(turn, signal).finally(() => this.#underWay.delete(sweeping));
    this.#underWay.add(sweeping);
    await sweeping;
    return true;
  }

  #hasPlace(delivery: QueuedDelivery): boolean {
    return this.#underWay.size < UNDER_WAY_MAX && this.#places.hasPlace(delivery.sizeBytes);
  }

  /** Whether its call may wait in the driver: there it would keep its part of a limit from the others. */
  #mayWait({ breaks, sizeBytes }: QueuedDelivery): boolean {
    return breaks === 0 && this.#options.bytesPerSecond === undefined && isSmallFile(sizeBytes);
  }

  /** The head of the queue. Rows are read in pages; {@linkcode Uploader.wake} has them read again. */
  #next(): QueuedDelivery | undefined {
    const isFree = (delivery: QueuedDelivery) => !this.#claimed.has(delivery.id);
    const head = this.#queue.find(isFree);
    if (head !== undefined || this.#isDrained) return head;
    // What is under way must not be in the page: its row is old when it ends.
    const limit = PAGE + this.#claimed.size;
    const page = nextDeliveries(this.#options.store, this.#options.target.id, limit);
    this.#isDrained = page.length < limit;
    this.#queue = page.filter(isFree);
    return this.#queue[0];
  }

  /** There may be work: a file was spooled, a retry is due, the target changed. */
  wake(): void {
    this.#isDrained = false;
    this.#bell.ring();
  }

  async #move(delivery: QueuedDelivery, turn: Turn, signal: AbortSignal): Promise<void> {
    const { store, job, target, events, removeAfterMs } = this.#options;
    const outcome: UploadOutcome = { doneBytes: 0, started: delivery.started, isSent: false };
    const context: DeliverContext = { ...this.#options, signal, outcome, limit: this.#limit, lender: this.#lender };
    const leave = this.#places.take(delivery.sizeBytes);
    let receipt: Receipt;
    let isDone = false;
    try {
      receipt = await deliver(delivery, turn, context);
      turn.end();
      leave();
      this.#bell.ring();
      isDone = removeAfterMs === undefined ? markDelivered(store, delivery, receipt) : store.write(() => {
        const isLast = markDelivered(store, delivery, receipt);
        if (isLast) markDue(store, delivery.fileId, removeAfterMs);
        return isLast;
      });
      await store.durable();
      this.#repaired.delete(delivery.fileId);
    } catch (error) {
      await this.#settle(delivery, error, turn, outcome, signal);
      return;
    } finally {
      turn.end();
      leave();
    }
    if (isDone) await this.#release(delivery);
    else await this.#keep(delivery);
    events.emit({
      event: "delivered",
      job: job.name,
      path: delivery.path,
      target: target.name,
      sizeBytes: delivery.sizeBytes,
      receipt,
      ...(delivery.note === undefined ? {} : { note: delivery.note }),
    });
  }

  /** Others still need the file. One that came up meanwhile must not have it changed under it in this target. */
  async #keep(delivery: QueuedDelivery): Promise<void> {
    const { log, onReleased } = this.#options;
    try {
      await unshareIfShared(delivery, this.#options);
    } catch (error) {
      // It is tried again, and its bytes are compared, before they are sent.
      const words = error instanceof Error ? error.message : error;
      log.warning(`Cannot give the spool a file of its own of "${delivery.path}": ${words}`, { file: delivery.path });
    }
    onReleased();
  }

  /** Makes room in the spool. What is delivered stays so, whatever happens here. */
  async #release(delivery: QueuedDelivery): Promise<void> {
    const { spool, log, onReleased } = this.#options;
    const path = spool.filePath(delivery.deviceDir, delivery.fileId);
    try {
      // No release of a spool file before its commit.
      await spool.release(path, delivery.sizeBytes);
    } catch (error) {
      const words = error instanceof Error ? error.message : error;
      log.error(`Cannot remove "${path}" from the spool: ${words}. It is tried again until it works`, { file: path });
      return;
    }
    onReleased();
  }

  async #settle(
    delivery: QueuedDelivery,
    error: unknown,
    turn: Turn,
    outcome: UploadOutcome,
    signal: AbortSignal,
  ): Promise<void> {
    let failure: DriverError;
    if (error instanceof StateError && error.code === "no_space") {
      // Our own disk is full: the target is not to blame.
      turn.end();
      failure = new DriverError("no_space", error.message);
    } else {
      failure = error instanceof SpoolDamage ? new DriverError("corrupt", error.message) : asDriverError(error);
      turn.end(error instanceof SpoolDamage ? undefined : failure, outcome.doneBytes > delivery.bestBytes);
      // A disk may rot once; what damages a file again and again must come to an end, and is counted.
      const isFirst = !this.#repaired.has(delivery.fileId);
      try {
        if (isFirst && await this.#repair(delivery, error, failure, signal)) return;
      } catch (cause) {
        failure = asDriverError(cause);
      }
    }
    await this.#fail(delivery, failure, {
      ...outcome,
      alone: turn.alone,
      canConfirm: turn.capabilities.confirm === true && outcome.isSent,
    }, signal);
    if (!this.#repaired.has(delivery.fileId)) return;
    await this.#repair(delivery, error, failure, signal).catch((cause) =>
      this.#options.log.error(`Cannot repair the spool's copy of "${delivery.path}": ${asDriverError(cause).message}`, {
        file: delivery.path,
      })
    );
  }

  /** Has a file fetched again whose spool file is damaged, or may be; returns whether it was. */
  async #repair(delivery: QueuedDelivery, error: unknown, failure: DriverError, signal: AbortSignal): Promise<boolean> {
    // A spool whose disk cannot be read looks to a driver as any failure does: before it is given up, we look.
    const isLast = failure.code === "failed" && delivery.attempts + 1 >= this.#options.attempts;
    if (error instanceof SpoolDamage) await repairSpool(delivery, error, this.#options, signal);
    else if (failure.code !== "corrupt" && !isLast) return false;
    else if (!await repairIfRotten(delivery, failure, this.#options, signal)) return false;
    this.#repaired.add(delivery.fileId);
    return true;
  }

  async #fail(
    delivery: QueuedDelivery,
    error: DriverError,
    facts: UploadFacts,
    signal: AbortSignal,
  ): Promise<void> {
    const { store, log } = this.#options;
    try {
      const tell = await recordWhenWritable(store, () => settleFailure(delivery, error, facts, this.#options), {
        signal,
        onFull: ({ message }) => log.warning(`${message}: uploads wait`),
      });
      tell();
    } catch (cause) {
      // Stopping with a full disk: the row stays as it is there, and the next start puts it right.
      log.error(`Cannot record the failure of "${delivery.path}": ${cause instanceof Error ? cause.message : cause}`, {
        file: delivery.path,
      });
    }
  }
}
