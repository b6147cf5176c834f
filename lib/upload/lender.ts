/**
 * Which spool files a target may take instead of copying them: those that nobody else needs, so that their receipt ends
 * them, and whose bytes were proven just now, since the driver does not read them.
 */
import type { Turn } from "../driver/mod.ts";
import { hashFile, Loan, type Spool } from "../spool/mod.ts";
import { isLastDelivery, type QueuedDelivery, type Store } from "../state/mod.ts";

/** Younger than this, reading a file again would read the same memory, milliseconds. */
const FRESH_MS = 60_000;
/** A target that had to copy will have to again: another filesystem, other rights. It is asked again after so long, milliseconds. */
const REFUSED_MS = 60_000;

export interface LenderOptions {
  /**
   * Whether anything is lent. Not where a stranger's driver fetched it: one that has it open still could write to it when
   * it has its final name, while a copy is compared with what was proven.
   */
  lends: boolean;
  store: Store;
  spool: Spool;
  /** The target device's folder of the spool. */
  deviceDir: number;
}

/** Lends to one target. */
export class Lender {
  readonly #options: LenderOptions;
  #refusedMs = -Infinity;

  constructor(options: LenderOptions) {
    this.#options = options;
  }

  /** A second name of the delivery's spool file; `undefined` when it has to be copied. */
  async lend(delivery: QueuedDelivery, turn: Turn): Promise<Loan | undefined> {
    const { lends, store, spool, deviceDir } = this.#options;
    if (!lends) return undefined;
    if (turn.capabilities.takesSpoolFile !== true) return undefined;
    if (performance.now() - this.#refusedMs < REFUSED_MS) return undefined;
    const path = spool.filePath(delivery.deviceDir, delivery.fileId);
    // Its disk may have gone bad meanwhile. A driver that copies finds that out, one that does not cannot.
    if (!isFresh(delivery) && !await isWhole(path, delivery)) return undefined;
    // Nothing may come between the question and the offer: `retry` can add a target at any time.
    return isLastDelivery(store, delivery) ? Loan.offer(path, spool.loanPath(deviceDir, delivery.fileId)) : undefined;
  }

  /** What was offered was not taken. */
  noteRefused(): void {
    this.#refusedMs = performance.now();
  }
}

function isFresh(delivery: QueuedDelivery): boolean {
  const ageMs = Date.now() - delivery.spoolCtimeMs;
  return ageMs >= 0 && ageMs < FRESH_MS;
}

async function isWhole(path: string, delivery: QueuedDelivery): Promise<boolean> {
  const sha256 = await hashFile(path, delivery.sizeBytes).then((hash) => hash.sha256, () => undefined);
  return sha256 === delivery.sha256;
}
