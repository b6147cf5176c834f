/** What a failed download means for its file: the code alone decides. */
import {
  backoffMs,
  BREAKS_MAX,
  DENIED_RETRY_MS,
  DriverError,
  FILE_RETRY,
  inWords,
  isKilledFromOutside,
  isOfTheDevice,
} from "../driver/mod.ts";
import type { EventBus, Log } from "../observe/mod.ts";
import { discardPartial, type Spool } from "../spool/mod.ts";
import {
  type FileFailure,
  LOST_GONE,
  LOST_HINT,
  markFileFailed,
  type QueuedFile,
  recordResent,
  requeueFile,
  type Store,
} from "../state/mod.ts";
import type { FetchOutcome } from "./fetch.ts";

export interface FailurePolicy {
  store: Store;
  spool: Spool;
  job: { name: string };
  events: EventBus;
  log: Log;
  attemptsMax: number;
  deviceDir: number;
}

/** Records what `error` means for `file`. Returns what is to be told once that is on disk. */
export function settleFailure(
  file: QueuedFile,
  error: DriverError,
  facts: FetchOutcome & { alone: boolean },
  policy: FailurePolicy,
): () => void {
  const { store, spool } = policy;
  // A partial belongs to a fingerprint: what is not that file any more must never be continued. What is refused for good
  // needs its room no more.
  if (["changed", "corrupt", "not_found", "rejected"].includes(error.code)) {
    discardPartial(spool.partialPath(policy.deviceDir, file.id));
  }
  // After `changed` other bytes are wanted; after `corrupt` it is these, once more.
  if (error.code === "corrupt") recordResent(store, { file: file.id }, facts.heldBytes);
  if (isOfTheDevice(error)) {
    store.write(() => {
      requeueFile(store, file.id, facts.heldBytes);
    });
    return () => {};
  }
  const failure = judge(file, error, facts, policy.attemptsMax);
  store.write(() => {
    markFileFailed(store, file.id, failure);
  });
  return () => tell(file, failure, policy);
}

function tell(file: QueuedFile, failure: FileFailure, { job, events, log }: FailurePolicy): void {
  const { error } = failure;
  const wanted = `Cannot download "${file.path}"`;
  const label = error.message.startsWith(wanted) ? error.message : `${wanted}: ${error.message}`;
  const { hint } = error.details;
  const about = { file: file.path };
  if (failure.state === "gone") {
    log.info(error.code === "changed" ? label : `"${file.path}" is gone from the source`, about);
    if (error.code !== "changed") events.emit({ event: "gone", job: job.name, path: file.path });
  } else if (failure.state === "parked") {
    const told = { reason: error.message, code: error.code, ...(hint === undefined ? {} : { hint }) };
    events.emit({ event: "parked", job: job.name, path: file.path, ...told });
  } else {
    const line = `${label}${hint === undefined ? "" : `. ${hint}`}; next try ${inWords(failure.retryAtMs)}`;
    if (error.code === "denied") log.warning(line, about);
    else log.info(line, about);
  }
}

function judge(
  file: QueuedFile,
  error: DriverError,
  facts: FetchOutcome & { alone: boolean },
  attemptsMax: number,
): FileFailure {
  // What was fetched of other bytes, or of damaged ones, is no progress: it is dropped.
  const isDropped = error.code === "changed" || error.code === "corrupt";
  const progressed = !isDropped && facts.heldBytes > file.bestBytes;
  const failure: FileFailure = {
    state: "found",
    attempts: progressed ? 1 : file.attempts + 1,
    breaks: progressed ? 0 : file.breaks,
    bestBytes: Math.max(file.bestBytes, facts.heldBytes),
    retryAtMs: 0,
    error,
  };
  if (error.code === "not_found") {
    // Once it was ours; what it was wanted for is not delivered, and nobody has it: a person must know.
    if (file.wasSpooled) {
      return { ...failure, state: "parked", error: new DriverError("not_found", LOST_GONE, { hint: LOST_HINT }) };
    }
    return { ...failure, state: "gone", attempts: 0, bestBytes: 0 };
  }
  if (error.code === "rejected") return { ...failure, state: "parked" };
  if (error.code === "denied") {
    const retryAtMs = performance.now() + backoffMs(1, { firstMs: DENIED_RETRY_MS, maxMs: DENIED_RETRY_MS });
    return { ...failure, attempts: file.attempts, retryAtMs };
  }
  if (error.code === "broken" && (!facts.alone || isKilledFromOutside(error))) {
    // Other calls were under way, or somebody killed the plugin: this file only is suspected.
    failure.attempts = progressed ? 0 : file.attempts;
    failure.breaks = progressed ? 1 : file.breaks + 1;
    if (failure.breaks > BREAKS_MAX) return { ...failure, state: "parked" };
    return failure;
  }
  if (error.code === "broken") failure.breaks = Math.max(1, failure.breaks);
  if (isDropped) failure.bestBytes = 0;
  if (failure.attempts >= attemptsMax) return { ...failure, state: "parked" };
  // What had been in the spool is not simply gone: the next listing says what the source has instead.
  if (error.code === "changed" && !file.wasSpooled) return { ...failure, state: "gone" };
  const waitMs = Math.max(backoffMs(failure.attempts, FILE_RETRY), error.details.retryAfterMs ?? 0);
  return { ...failure, retryAtMs: performance.now() + waitMs };
}
