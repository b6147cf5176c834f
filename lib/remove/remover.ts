/**
 * The remover: removes the source's copy of a file (`after: "delete"`), only when every target holds a receipt that is
 * proof enough, the source still has what was fetched, and the grace is over. Every removal and every refusal is recorded.
 */
import { asDriverError, backoffMs, Bell, type DeviceAccess, type Turn } from "../driver/mod.ts";
import type { EventBus, Log } from "../observe/mod.ts";
import {
  type DeleteProof,
  type DueRemoval,
  dueRemovals,
  markRemovalRefused,
  markRemoved,
  nextRemovalMs,
  postponeRemoval,
  type Store,
} from "../state/mod.ts";

export interface RemoverOptions {
  job: { id: number; name: string };
  source: DeviceAccess;
  store: Store;
  proof: DeleteProof;
  events: EventBus;
  log: Log;
}

const PAGE = 64;
/** A removal that failed is tried again after, milliseconds. */
const RETRY = { firstMs: 60_000, maxMs: 60 * 60 * 1000 };

/** The removing station of one job. */
export class Remover {
  readonly #options: RemoverOptions;
  readonly #bell = new Bell();
  #sourceId: number | undefined;
  /** The card or the vehicle whose files these are. */
  #deviceId: string | undefined;
  #isActive = false;
  readonly #failures = new Map<number, number>();

  constructor(options: RemoverOptions) {
    this.#options = options;
  }

  /** A removal is under way. */
  get active(): boolean {
    return this.#isActive;
  }

  /** Which device's copies are removed: those of the card that was listed last. */
  removeFrom(sourceId: number): void {
    this.#sourceId = sourceId;
    this.#deviceId = this.#options.source.deviceId;
    this.#bell.ring();
  }

  /** There may be work: a file is done, a grace is over. */
  wake(): void {
    this.#bell.ring();
  }

  /** Whether a copy could be removed now if the source is there. */
  hasWork(): boolean {
    return this.#due(1).length > 0;
  }

  /** Works until `signal` is aborted. One removal at a time: nobody waits for it. */
  async run(signal: AbortSignal): Promise<void> {
    const { source, job } = this.#options;
    while (!signal.aborted) {
      const due = this.#due(PAGE);
      if (due.length === 0) {
        const { store } = this.#options;
        await this.#bell.wait(signal, this.#sourceId === undefined ? undefined : nextRemovalMs(store, this.#sourceId));
        continue;
      }
      for (const removal of due) {
        if (signal.aborted || removal.unproven.length > 0 && this.#refuse(removal)) continue;
        let turn: Turn;
        try {
          turn = await source.turn(job.name, { signal });
        } catch {
          return;
        }
        if (this.#isSwapped) {
          turn.end();
          break;
        }
        this.#isActive = true;
        await this.#remove(removal, turn, signal);
        this.#isActive = false;
      }
      await this.#options.store.durable();
    }
  }

  #due(limit: number): DueRemoval[] {
    if (this.#sourceId === undefined || this.#isSwapped) return [];
    return dueRemovals(this.#options.store, this.#sourceId, this.#options.proof, limit);
  }

  /** Another card may have other files under the same names: they are not ours to remove. */
  get #isSwapped(): boolean {
    return this.#options.source.deviceId !== this.#deviceId;
  }

  #refuse(removal: DueRemoval): true {
    const reason = `Receipt of ${removal.unproven.map((name) => `"${name}"`).join(", ")} is not proof enough`;
    markRemovalRefused(this.#options.store, removal.id, reason);
    this.#options.log.warning(
      `"${removal.path}" stays on the source: ${reason} (delete_proof "${this.#options.proof}")`,
      { file: removal.path },
    );
    return true;
  }

  async #remove(removal: DueRemoval, turn: Turn, signal: AbortSignal): Promise<void> {
    const { store, events, job, log } = this.#options;
    if (turn.capabilities.remove !== true) {
      turn.end();
      markRemovalRefused(store, removal.id, "Driver cannot remove files");
      log.warning(`"${removal.path}" stays on the source: its driver cannot remove files`, { file: removal.path });
      return;
    }
    try {
      // The answer tells which card is in, also to a driver that looks only when it is asked.
      await turn.client.stat("", { signal });
      if (this.#isSwapped) return turn.end();
      await turn.client.remove({ path: removal.path, expect: removal.fingerprint }, { signal });
      turn.end();
      markRemoved(store, removal.id);
      await store.durable();
      this.#failures.delete(removal.id);
      events.emit({ event: "removed", job: job.name, path: removal.path });
    } catch (error) {
      const failure = asDriverError(error);
      turn.end(failure);
      // A device that is away or held has its queue kept, and counts against no file.
      if (failure.code === "cancelled" || failure.code === "unavailable" || failure.code === "held") return;
      if (failure.code === "changed" || failure.code === "unsupported") {
        markRemovalRefused(store, removal.id, failure.message);
        log.warning(`"${removal.path}" stays on the source: ${failure.message}`, { file: removal.path });
        return;
      }
      const failures = (this.#failures.get(removal.id) ?? 0) + 1;
      this.#failures.set(removal.id, failures);
      postponeRemoval(store, removal.id, backoffMs(failures, RETRY));
      log.info(`Cannot remove "${removal.path}" from the source: ${failure.message}`, { file: removal.path });
    }
  }
}
