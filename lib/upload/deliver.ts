/** One delivery: the name, the question "did it land?", the upload, and the check of the receipt. */
import {
  asDriverError,
  DriverError,
  type ErrorCode,
  pathProblem,
  type Receipt,
  type SharedLimit,
  type Turn,
  type UploadParams,
} from "../driver/mod.ts";
import type { EventBus } from "../observe/mod.ts";
import { hashFile, type Spool, statSpoolFile, unshareSpoolFile } from "../spool/mod.ts";
import {
  isLastDelivery,
  markUploading,
  priorDelivery,
  type QueuedDelivery,
  salvagedReceipt,
  saveResume,
  type Store,
} from "../state/mod.ts";
import { targetPath } from "./target_path.ts";

/** What was true when an upload ended, also when it failed. */
export interface UploadOutcome {
  /** Furthest byte that the driver reported. */
  doneBytes: number;
  /** Bytes that were sent although an earlier attempt had sent them. */
  resentBytes: number;
  /** An upload was begun whose outcome is not known. */
  started: boolean;
  /** `upload` itself was called in this attempt. */
  isSent: boolean;
}

export interface DeliverContext {
  job: { name: string };
  target: { name: string };
  store: Store;
  spool: Spool;
  path: string;
  onChange: "replace" | "rename";
  onConflict: "rename" | "replace" | "park";
  onUncertain: "hold" | "retry";
  limit: SharedLimit;
  host: string;
  events: EventBus;
  signal: AbortSignal;
  /** Filled in while the upload runs. */
  outcome: UploadOutcome;
}

/** The spool's copy is not what was proven when it was fetched. */
export class SpoolDamage extends Error {}

/** After these an upload may have landed; every other error is an answer. */
const LOST_ANSWERS: readonly ErrorCode[] = ["broken", "uncertain", "cancelled"];

/** A driver's resume state is stored at most so often, milliseconds. */
const RESUME_INTERVAL_MS = 1000;

/**
 * Delivers one file and returns the target's receipt.
 * @throws {DriverError} with the consequence as its code
 * @throws {SpoolDamage} when the spool file is gone or changed
 */
export async function deliver(delivery: QueuedDelivery, turn: Turn, context: DeliverContext): Promise<Receipt> {
  const { store, spool } = context;
  const asked = delivery.askedPath ?? targetPath(context.path, {
    path: delivery.path,
    job: context.job.name,
    device: delivery.deviceId,
    host: context.host,
    timeMs: delivery.modifiedMs ?? delivery.foundMs,
  });
  const { path, onExisting } = await resolveExisting(delivery, asked, turn, context);
  const params: UploadParams = {
    spoolFile: spool.filePath(delivery.deviceDir, delivery.fileId),
    path,
    sizeBytes: delivery.sizeBytes,
    sha256: delivery.sha256,
    onExisting,
  };
  if (delivery.modifiedMs !== undefined) params.modifiedMs = delivery.modifiedMs;
  if (delivery.resume !== undefined) params.resume = delivery.resume;
  await spool.returned(delivery.fileId);
  // Nothing may come between the question and the loan: `retry` can add a target at any time.
  if (!isLastDelivery(store, delivery)) return await send(delivery, turn, params, context);
  params.mayLink = true;
  const giveBack = spool.lend(delivery.fileId);
  try {
    return await send(delivery, turn, params, context);
  } finally {
    giveBack();
  }
}

/** Asks whether it landed when it was sent before, and else sends it. */
async function send(
  delivery: QueuedDelivery,
  turn: Turn,
  params: UploadParams,
  context: DeliverContext,
): Promise<Receipt> {
  const { store, outcome } = context;
  if (delivery.started) {
    const names = { job: context.job.name, target: context.target.name };
    const known = delivery.inDoubt ? salvagedReceipt(store, delivery, names) : undefined;
    const receipt = known ?? await askWhetherItLanded(delivery, turn, params, context);
    if (receipt !== null) return checkReceipt(receipt, delivery);
  }
  await checkSpoolFile(delivery, params.spoolFile, context.spool);
  if (!markUploading(store, delivery.id, params.path)) {
    throw new DriverError("cancelled", "Delivery does not wait any more");
  }
  await store.durable();
  outcome.started = true;
  outcome.isSent = true;
  let receipt: Receipt;
  try {
    receipt = await upload(delivery, turn, params, context);
  } catch (error) {
    // Where nobody can be asked later, the driver's answer is all there is: only a lost one leaves it open.
    const isOpen = LOST_ANSWERS.includes(asDriverError(error).code);
    if (turn.capabilities.confirm !== true) outcome.started = isOpen;
    throw error;
  }
  return checkReceipt(receipt, delivery);
}

/** Which name to ask for, and what may happen to a file that already has it. */
async function resolveExisting(
  delivery: QueuedDelivery,
  path: string,
  turn: Turn,
  context: DeliverContext,
): Promise<{ path: string; onExisting: UploadParams["onExisting"] }> {
  const byConflict = ({ rename: "rename", replace: "replace", park: "fail" } as const)[context.onConflict];
  const prior = priorDelivery(context.store, delivery);
  if (prior === undefined) return { path, onExisting: byConflict };
  if (context.onChange === "rename") return { path, onExisting: "rename" };
  if (turn.capabilities.confirm !== true) return { path, onExisting: byConflict };
  // A newer generation replaces the older one only while the target still holds what our receipt says.
  const holds = await turn.client.confirm(
    {
      spoolFile: context.spool.filePath(delivery.deviceDir, delivery.fileId),
      path: prior.receiptPath,
      sizeBytes: prior.sizeBytes,
      sha256: prior.sha256,
      onExisting: "fail",
    },
    { signal: context.signal },
  );
  return holds === null ? { path, onExisting: byConflict } : { path: prior.receiptPath, onExisting: "replace" };
}

async function askWhetherItLanded(
  delivery: QueuedDelivery,
  turn: Turn,
  params: UploadParams,
  context: DeliverContext,
): Promise<Receipt | null> {
  if (turn.capabilities.confirm === true) return await turn.client.confirm(params, { signal: context.signal });
  if (turn.capabilities.repeatable === true || context.onUncertain === "retry") return null;
  const why = delivery.inDoubt && delivery.askedPath === undefined
    ? `"${delivery.path}" may have been delivered before the state store was rebuilt`
    : `Answer to the upload of "${delivery.path}" was lost`;
  throw new DriverError(
    "uncertain",
    `${why}, and the target cannot be asked`,
    {
      hint: "Look whether the file is there; then run filesync retry or filesync forget",
    },
  );
}

async function upload(
  delivery: QueuedDelivery,
  turn: Turn,
  params: UploadParams,
  context: DeliverContext,
): Promise<Receipt> {
  const { events, job, target, store, outcome, limit } = context;
  const share = limit.join();
  if (share.bytesPerSecond !== undefined) params.maxBytesPerSecond = share.bytesPerSecond;
  let storedAtMs = -Infinity;
  let isFirst = true;
  return await turn.client.upload(params, {
    signal: context.signal,
    limit: share,
    onProgress: ({ doneBytes, resume }) => {
      const done = Math.min(doneBytes, delivery.sizeBytes);
      if (isFirst && delivery.bestBytes > done) outcome.resentBytes = delivery.bestBytes - done;
      isFirst = false;
      outcome.doneBytes = Math.max(outcome.doneBytes, done);
      events.emit({
        event: "progress",
        job: job.name,
        path: delivery.path,
        target: target.name,
        sizeBytes: delivery.sizeBytes,
        doneBytes: done,
      });
      if (resume !== undefined && performance.now() - storedAtMs >= RESUME_INTERVAL_MS) {
        storedAtMs = performance.now();
        saveResume(store, delivery.id, resume, outcome.doneBytes);
      }
    },
  }).finally(() => share.leave());
}

async function checkSpoolFile(delivery: QueuedDelivery, path: string, spool: Spool): Promise<void> {
  let stat = statSpoolFile(path);
  if (stat !== undefined && stat.links > 1) {
    // A target shares it since an earlier upload, and anybody may change it there.
    await unshareSpoolFile(path, spool.partialPath(delivery.deviceDir, delivery.fileId));
    stat = statSpoolFile(path);
  }
  if (stat === undefined) throw new SpoolDamage(`Spool file of "${delivery.path}" is missing`);
  if (stat.sizeBytes !== delivery.sizeBytes) {
    throw new SpoolDamage(
      `Spool file of "${delivery.path}" has ${stat.sizeBytes} bytes: expected ${delivery.sizeBytes}`,
    );
  }
  if (stat.inode === delivery.spoolInode && stat.ctimeMs === delivery.spoolCtimeMs) return;
  // Touched since it was hashed (a restored backup, a copied spool): only its content counts.
  const { sha256 } = await hashFile(path, stat.sizeBytes);
  if (sha256 !== delivery.sha256) throw new SpoolDamage(`Spool file of "${delivery.path}" was changed by somebody`);
}

function checkReceipt(receipt: Receipt, delivery: QueuedDelivery): Receipt {
  if (receipt.sizeBytes !== delivery.sizeBytes) {
    throw new DriverError(
      "corrupt",
      `Target reports ${receipt.sizeBytes} bytes of "${delivery.path}": expected ${delivery.sizeBytes}`,
    );
  }
  const problem = pathProblem(receipt.path);
  if (problem !== undefined) {
    throw new DriverError("failed", `Receipt of "${delivery.path}" names a bad path: ${problem}`);
  }
  const { checksum } = receipt;
  if (checksum?.algorithm === "sha256" && checksum.value !== delivery.sha256) {
    throw new DriverError(
      "corrupt",
      `Target holds ${checksum.value} for "${delivery.path}": expected ${delivery.sha256}`,
    );
  }
  return receipt;
}
