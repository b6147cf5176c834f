/** One delivery: the name, the question "did it land?", the upload, and the check of the receipt. */
import {
  asDriverError,
  DriverError,
  type ErrorCode,
  isUnsent,
  MovedAgain,
  pathProblem,
  type Receipt,
  type SharedLimit,
  type Turn,
  type UploadParams,
} from "../driver/mod.ts";
import type { EventBus, Log } from "../observe/mod.ts";
import { hashFile, isNoSpace, type Loan, type Spool, type SpoolFileStat, statSpoolFile } from "../spool/mod.ts";
import {
  markProven,
  markRemovalRefused,
  markUploading,
  priorDelivery,
  type QueuedDelivery,
  recordResent,
  salvagedReceipt,
  saveFurthest,
  saveResume,
  type Store,
} from "../state/mod.ts";
import type { Lender } from "./lender.ts";
import { targetPath } from "./target_path.ts";

/** What was true when an upload ended, also when it failed. */
export interface UploadOutcome {
  /** Furthest byte that the driver reported. */
  doneBytes: number;
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
  /** The source's copy is removed in the end, and the target may be the very directory that it is in. */
  mayRemoveItself: boolean;
  limit: SharedLimit;
  host: string;
  events: EventBus;
  log: Log;
  lender: Lender;
  signal: AbortSignal;
  /** Filled in while the upload runs. */
  outcome: UploadOutcome;
}

/** The spool's copy is not what was proven when it was fetched. */
export class SpoolDamage extends Error {}

/** After these an upload may have landed; every other error is an answer. */
const LOST_ANSWERS: readonly ErrorCode[] = ["broken", "uncertain", "cancelled"];

/** After so many bytes or milliseconds it is recorded how far an upload came, for the count of what is sent again. */
const SAVE_BYTES = 16 * 1024 * 1024;
const SAVE_INTERVAL_MS = 10_000;
/** A driver's resume state is stored at most so often, milliseconds. */
const RESUME_INTERVAL_MS = 1000;

/**
 * Delivers one file and returns the target's receipt.
 * @throws {DriverError} with the consequence as its code
 * @throws {SpoolDamage} when the spool file is gone or changed
 */
export async function deliver(delivery: QueuedDelivery, turn: Turn, context: DeliverContext): Promise<Receipt> {
  const asked = delivery.askedPath ?? targetPath(context.path, {
    path: delivery.path,
    job: context.job.name,
    device: delivery.deviceId,
    host: context.host,
    timeMs: delivery.modifiedMs ?? delivery.foundMs,
  });
  const name = await resolveExisting(delivery, asked, turn, context);
  const receipt = await deliverAs(name, delivery, turn, context);
  if (name.unproven === true && receipt.path !== name.path) {
    context.log.info(
      `"${delivery.path}" is on "${context.target.name}" as "${receipt.path}": "${name.path}" was not replaced, since ` +
        "nothing proves that it still is what was delivered",
    );
  }
  return receipt;
}

async function deliverAs(
  { path, onExisting }: TargetName,
  delivery: QueuedDelivery,
  turn: Turn,
  context: DeliverContext,
): Promise<Receipt> {
  const { store, outcome } = context;
  const params: UploadParams = {
    spoolFile: context.spool.filePath(delivery.deviceDir, delivery.fileId),
    path,
    sizeBytes: delivery.sizeBytes,
    sha256: delivery.sha256,
    onExisting,
  };
  if (delivery.modifiedMs !== undefined) params.modifiedMs = delivery.modifiedMs;
  if (delivery.resume !== undefined) params.resume = delivery.resume;
  let before = await checkSpoolFile(store, delivery, params.spoolFile);

  if (delivery.started) {
    const names = { job: context.job.name, target: context.target.name };
    const known = delivery.inDoubt ? salvagedReceipt(store, delivery, names) : undefined;
    const receipt = known ?? await askWhetherItLanded(delivery, turn, params, context);
    if (receipt !== null) {
      // Nobody knows any more whether it was there before.
      if (context.mayRemoveItself && delivery.inDoubt) keepSourceCopy(delivery, context);
      return checkReceipt(receipt, delivery);
    }
  } else if (context.mayRemoveItself && turn.capabilities.confirm === true) {
    const receipt = await turn.client.confirm(params, { signal: context.signal });
    if (receipt !== null) {
      keepSourceCopy(delivery, context);
      return checkReceipt(receipt, delivery);
    }
  }
  // Of an upload that was interrupted, and nobody knows under which name.
  if (before.links > 1) before = await unshare(delivery, context);
  if (!markUploading(store, delivery.id, path)) throw new DriverError("cancelled", "Delivery does not wait any more");
  await store.durable();
  outcome.started = true;
  outcome.isSent = true;
  const loan = await context.lender.lend(delivery, turn);
  if (loan === undefined) return await send(delivery, turn, params, before, context);
  try {
    return await send(delivery, turn, { ...params, spoolFile: loan.path, mayTake: true }, loan, context);
  } catch (error) {
    // What was published without a receipt is not to be changed together with what is published anew.
    await keepOwnFile(delivery, loan, context);
    throw error;
  } finally {
    await loan.end();
  }
}

/**
 * What a target holds before it was sent may be the source's own file, seen through another server: to remove that would
 * remove the only one.
 */
function keepSourceCopy({ fileId, path }: QueuedDelivery, { store, target, log }: DeliverContext): void {
  const reason = `target "${target.name}" held it before it was sent, and may be the source's own directory`;
  markRemovalRefused(store, fileId, `Stays: ${reason}. Remove it yourself if there are two of it`);
  log.warning(`"${path}" stays on the source: ${reason}`, { file: path });
}

/** Uploads, and checks the receipt and what was read for it. */
async function send(
  delivery: QueuedDelivery,
  turn: Turn,
  params: UploadParams,
  before: SpoolFileStat | Loan,
  context: DeliverContext,
): Promise<Receipt> {
  const { store, spool, outcome, lender } = context;
  let receipt: Receipt;
  try {
    receipt = await upload(delivery, turn, params, context);
    if (!("isTaken" in before)) {
      await checkUntouched(store, delivery, params.spoolFile, before);
    } else if (!before.isTaken) {
      lender.noteRefused();
      await checkUntouched(store, delivery, spool.filePath(delivery.deviceDir, delivery.fileId), before.stat);
    }
  } catch (error) {
    // Where nobody can be asked later, the driver's answer is all there is: only a lost one leaves it open.
    const failure = asDriverError(error);
    const isOpen = isUnsent(failure) ? delivery.started : LOST_ANSWERS.includes(failure.code);
    if (turn.capabilities.confirm !== true) outcome.started = isOpen;
    throw error;
  }
  return checkReceipt(receipt, delivery);
}

/** Ends a loan that came to nothing. A stop does not wait for the copy: the next start asks for the file first. */
async function keepOwnFile(delivery: QueuedDelivery, loan: Loan, context: DeliverContext): Promise<void> {
  try {
    await loan.end();
    if (!context.signal.aborted) await unshareIfShared(delivery, context);
  } catch (error) {
    // It is tried again, and its bytes are compared, before it is sent again.
    const words = error instanceof Error ? error.message : error;
    context.log.warning(`Cannot give the spool a file of its own of "${delivery.path}": ${words}`, {
      file: delivery.path,
    });
  }
}

/** A file that somebody else still needs does not share its bytes with a published one. */
export async function unshareIfShared(delivery: QueuedDelivery, context: UnshareContext): Promise<void> {
  const stat = statSpoolFile(context.spool.filePath(delivery.deviceDir, delivery.fileId));
  if (stat !== undefined && stat.links > 1) await unshare(delivery, context);
}

/** What {@linkcode unshareIfShared} works on. */
export interface UnshareContext {
  store: Store;
  spool: Spool;
}

async function unshare(delivery: QueuedDelivery, { store, spool }: UnshareContext): Promise<SpoolFileStat> {
  let sha256: string;
  try {
    sha256 = await spool.unshare(delivery.deviceDir, delivery.fileId);
  } catch (error) {
    if (!isNoSpace(error)) throw error;
    throw new DriverError("no_space", `No room for the spool's own copy of "${delivery.path}"`, { cause: error });
  }
  const stat = statSpoolFile(spool.filePath(delivery.deviceDir, delivery.fileId));
  if (stat === undefined || sha256 !== delivery.sha256) throw damaged(delivery);
  noteProven(store, delivery, stat);
  return stat;
}

/** Which name to ask for, and what may happen to a file that already has it. */
interface TargetName {
  path: string;
  onExisting: UploadParams["onExisting"];
  /** An older generation was to be replaced, and may be another file by now. */
  unproven?: true;
}

async function resolveExisting(
  delivery: QueuedDelivery,
  path: string,
  turn: Turn,
  context: DeliverContext,
): Promise<TargetName> {
  const byConflict = ({ rename: "rename", replace: "replace", park: "fail" } as const)[context.onConflict];
  const prior = priorDelivery(context.store, delivery);
  if (prior === undefined) return { path, onExisting: byConflict };
  if (context.onChange === "rename") return { path, onExisting: "rename" };
  const undecided: TargetName = { path, onExisting: byConflict, unproven: true };
  if (turn.capabilities.confirm !== true) return undecided;
  // A newer generation replaces the older one only while the target still holds what our receipt says.
  const older = {
    spoolFile: context.spool.filePath(delivery.deviceDir, delivery.fileId),
    path: prior.receiptPath,
    sizeBytes: prior.sizeBytes,
    sha256: prior.sha256,
    onExisting: "fail" as const,
  };
  const holds = await turn.client.confirm(older, { signal: context.signal }).catch((error) => {
    // Nothing is on its way whose fate is not known: what cannot be told of the older one is not ours to replace.
    if (asDriverError(error).code === "uncertain") return null;
    throw error;
  });
  return holds === null ? undecided : { path: prior.receiptPath, onExisting: "replace" };
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
  let saved = { bytes: delivery.bestBytes, atMs: performance.now() };
  const again = new MovedAgain(delivery.bestBytes);
  return await turn.client.upload(params, {
    signal: context.signal,
    limit: share,
    onProgress: (progress) => {
      const { doneBytes, resume } = progress;
      const done = Math.min(doneBytes, delivery.sizeBytes);
      // A driver that asks for patience may not know yet where it goes on.
      if (progress.waitMs === undefined) {
        recordResent(store, { delivery: delivery.id }, again.note({ ...progress, doneBytes: done }));
      }
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
      const isLate = done > saved.bytes && performance.now() - saved.atMs >= SAVE_INTERVAL_MS;
      if (isLate || done - saved.bytes >= SAVE_BYTES) {
        saved = { bytes: done, atMs: performance.now() };
        saveFurthest(store, delivery.id, done);
      }
    },
  }).finally(() => share.leave());
}

async function checkSpoolFile(store: Store, delivery: QueuedDelivery, path: string): Promise<SpoolFileStat> {
  const stat = statWhole(delivery, path);
  if (stat.inode === delivery.spoolInode && stat.ctimeMs === delivery.spoolCtimeMs) return stat;
  // Touched since it was hashed (a restored backup, a copied spool), or the machine started anew: only its content counts.
  await proveContent(store, delivery, path, stat);
  return stat;
}

function statWhole(delivery: QueuedDelivery, path: string): SpoolFileStat {
  const stat = statSpoolFile(path);
  if (stat === undefined) throw new SpoolDamage(`Spool file of "${delivery.path}" is missing`);
  if (stat.sizeBytes === delivery.sizeBytes) return stat;
  throw new SpoolDamage(`Spool file of "${delivery.path}" has ${stat.sizeBytes} bytes: expected ${delivery.sizeBytes}`);
}

async function proveContent(store: Store, delivery: QueuedDelivery, path: string, stat: SpoolFileStat): Promise<void> {
  const sha256 = await hashFile(path, stat.sizeBytes).then((hash) => hash.sha256, () => undefined);
  if (sha256 === undefined) throw new SpoolDamage(`Spool file of "${delivery.path}" cannot be read`);
  if (sha256 !== delivery.sha256) throw damaged(delivery);
  noteProven(store, delivery, stat);
}

function damaged(delivery: QueuedDelivery): SpoolDamage {
  return new SpoolDamage(`Spool file of "${delivery.path}" is not what was fetched: changed, or lost in a power cut`);
}

function noteProven(store: Store, delivery: QueuedDelivery, stat: SpoolFileStat): void {
  markProven(store, delivery.fileId, delivery.sha256, stat);
  delivery.spoolInode = stat.inode;
  delivery.spoolCtimeMs = stat.ctimeMs;
}

/** A driver reads the spool file. One that wrote to it has sent nobody knows what; one that is gone was sent before. */
async function checkUntouched(
  store: Store,
  delivery: QueuedDelivery,
  path: string,
  before: SpoolFileStat,
): Promise<void> {
  const after = statSpoolFile(path);
  const isSame = after?.inode === before.inode && after.ctimeMs === before.ctimeMs &&
    after.modifiedMs === before.modifiedMs;
  if (after === undefined || isSame) return;
  // However close its times are to those that the store knows.
  await proveContent(store, delivery, path, statWhole(delivery, path));
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
