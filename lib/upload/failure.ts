/** What a failed upload means for its delivery: the code alone decides. */
import { dirname } from "node:path";
import {
  backoffMs,
  BREAKS_MAX,
  DENIED_RETRY_MS,
  type DriverError,
  FILE_RETRY,
  inWords,
  isKilledFromOutside,
  isOfTheDevice,
} from "../driver/mod.ts";
import type { EventBus, Log } from "../observe/mod.ts";
import { hashFile, type Spool, statSpoolFile, syncDirectory } from "../spool/mod.ts";
import {
  type DeliveryFailure,
  isStillSpooled,
  markDeliveryFailed,
  type QueuedDelivery,
  recordWhenWritable,
  refetchFile,
  requeueDelivery,
  type Store,
} from "../state/mod.ts";
import type { UploadOutcome } from "./deliver.ts";

export interface FailureContext {
  job: { name: string };
  target: { name: string };
  store: Store;
  spool: Spool;
  attempts: number;
  onUncertain: "hold" | "retry";
  events: EventBus;
  log: Log;
  /** Called when a file must be fetched again. */
  onRefetch?: () => void;
}

/** What is known of an upload that failed. */
export interface UploadFacts extends UploadOutcome {
  /** No other call ran beside it. */
  alone: boolean;
  /** The driver can be asked whether it landed, and was not asked just now: then `uncertain` is only a question. */
  canConfirm: boolean;
}

/** Records what `error` means for `delivery`. Returns what is to be told once that is on disk. */
export function settleFailure(
  delivery: QueuedDelivery,
  error: DriverError,
  facts: UploadFacts,
  context: FailureContext,
): () => void {
  const { store } = context;
  const bestBytes = Math.max(delivery.bestBytes, facts.doneBytes);
  if (isOfTheDevice(error)) {
    store.write(() => {
      requeueDelivery(store, delivery.id, facts.started, bestBytes, error);
    });
    return () => {};
  }
  const failure = judge(delivery, error, facts, context);
  store.write(() => {
    markDeliveryFailed(store, delivery.id, failure);
  });
  return () => tell(delivery, error, failure, context);
}

function tell(delivery: QueuedDelivery, error: DriverError, failure: DeliveryFailure, context: FailureContext): void {
  const { job, target, events, log } = context;
  const common = { job: job.name, path: delivery.path, target: target.name, reason: error.message };
  if (failure.state === "parked") {
    const { hint } = error.details;
    events.emit({ event: "parked", ...common, code: error.code, ...(hint === undefined ? {} : { hint }) });
  } else if (failure.state === "uncertain") {
    events.emit({ event: "uncertain", ...common });
  } else {
    const { hint } = error.details;
    const label = `Cannot deliver "${delivery.path}" to "${target.name}": ${error.message}`;
    const line = `${label}${hint === undefined ? "" : `. ${hint}`}; next try ${inWords(failure.retryAtMs)}`;
    const about = { file: delivery.path };
    if (error.code === "denied") log.warning(line, about);
    else log.info(line, about);
  }
}

function judge(
  delivery: QueuedDelivery,
  error: DriverError,
  facts: UploadFacts,
  context: FailureContext,
): DeliveryFailure {
  // What was sent of bytes that are refused afterwards is no progress.
  const isDropped = error.code === "changed" || error.code === "corrupt";
  const progressed = !isDropped && facts.doneBytes > delivery.bestBytes;
  const failure: DeliveryFailure = {
    state: "waiting",
    started: facts.started,
    attempts: progressed ? 1 : delivery.attempts + 1,
    breaks: progressed ? 0 : delivery.breaks,
    bestBytes: Math.max(delivery.bestBytes, facts.doneBytes),
    retryAtMs: 0,
    error,
  };
  if (error.code === "rejected") return { ...failure, state: "parked", started: false };
  if (error.code === "uncertain" && !facts.canConfirm) {
    if (context.onUncertain === "hold") return { ...failure, state: "uncertain" };
    failure.started = false;
  }
  if (error.code === "denied") {
    const retryAtMs = performance.now() + backoffMs(1, { firstMs: DENIED_RETRY_MS, maxMs: DENIED_RETRY_MS });
    return { ...failure, attempts: delivery.attempts, retryAtMs };
  }
  if (error.code === "broken" && (!facts.alone || isKilledFromOutside(error))) {
    failure.attempts = progressed ? 0 : delivery.attempts;
    failure.breaks = progressed ? 1 : delivery.breaks + 1;
    return failure.breaks > BREAKS_MAX ? { ...failure, state: "parked" } : failure;
  }
  if (error.code === "broken") failure.breaks = Math.max(1, failure.breaks);
  if (isDropped) {
    failure.bestBytes = 0;
    failure.dropResume = true;
  }
  if (failure.attempts >= context.attempts) return { ...failure, state: "parked" };
  const waitMs = Math.max(backoffMs(failure.attempts, FILE_RETRY), error.details.retryAfterMs ?? 0);
  return { ...failure, retryAtMs: performance.now() + waitMs };
}

/** A target that sees other bytes than it was promised may be right: the spool's disk may be rotten. */
export async function repairIfRotten(
  delivery: QueuedDelivery,
  error: DriverError,
  context: FailureContext,
  signal: AbortSignal,
): Promise<boolean> {
  const path = context.spool.filePath(delivery.deviceDir, delivery.fileId);
  const stat = statSpoolFile(path);
  if (stat !== undefined && stat.sizeBytes === delivery.sizeBytes) {
    // A disk that cannot read it is as good as one that reads it wrong.
    const sha256 = await hashFile(path, stat.sizeBytes).then((hash) => hash.sha256, () => undefined);
    if (sha256 === delivery.sha256) return false;
  }
  await repairSpool(delivery, error, context, signal);
  return true;
}

/** Drops a spool file that is not what was proven, and has it fetched again. */
export async function repairSpool(
  delivery: QueuedDelivery,
  error: Error,
  context: FailureContext,
  signal: AbortSignal,
): Promise<void> {
  const { store, spool, log, onRefetch } = context;
  // Another target may have seen the damage too: what it had fetched again is whole.
  if (!isStillSpooled(store, delivery)) return;
  const path = spool.filePath(delivery.deviceDir, delivery.fileId);
  log.warning(`${error.message}: it is fetched again`, { file: delivery.path });
  // The damaged bytes go first: if we die now they are missing, and not taken for a download that was whole.
  await spool.remove(path);
  // Also after a power cut: it would be taken for such a download then.
  await syncDirectory(dirname(path));
  const isOurs = await recordWhenWritable(store, () => refetchFile(store, delivery.fileId, error.message), {
    signal,
    onFull: ({ message }) => log.warning(`${message}: uploads wait`),
  });
  if (!isOurs) return;
  spool.free(delivery.sizeBytes);
  onRefetch?.();
}
