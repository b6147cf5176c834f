/** One download: the partial, the driver's call, the proof, and the order of fsync, rename and commit. */
import { rename } from "node:fs/promises";
import { dirname } from "node:path";
import {
  type DownloadParams,
  DriverError,
  MovedAgain,
  sameFingerprint,
  type SharedLimit,
  SMALL_FILE_BYTES,
  type Turn,
} from "../driver/mod.ts";
import type { EventBus } from "../observe/mod.ts";
import {
  checksumOf,
  discardPartial,
  FileHasher,
  hashAndSync,
  preparePartial,
  publishSpoolFile,
  removeFile,
  type Reservation,
  samplePrefix,
  type Spool,
  SpoolError,
  statSpoolFile,
  syncDirectory,
  syncFile,
} from "../spool/mod.ts";
import { markSpooled, markSynced, type QueuedFile, recordResent, type SpooledFacts, type Store } from "../state/mod.ts";
import { Ticker } from "./ticker.ts";

/** What was true when a download ended, also when it failed. */
export interface FetchOutcome {
  /** Bytes that the partial holds. */
  heldBytes: number;
}

export interface FetchContext {
  job: { id: number; name: string };
  deviceDir: number;
  store: Store;
  spool: Spool;
  limit: SharedLimit;
  /** Room for what the listing said; asked for more when there is more. */
  reservation: Pick<Reservation, "growTo">;
  events: EventBus;
  signal: AbortSignal;
  /** Whether the device is another one than that which the file was found on. */
  isSwapped: () => boolean;
  /** Called when the device has done its part: what follows is the spool's and the store's work. */
  onMoved: () => void;
  /** Called when the row says `spooled`, before that is on disk. */
  onSpooled: () => void;
  /** Filled in while the download runs. */
  outcome: FetchOutcome;
}

/** After so many bytes or milliseconds a partial is fsynced: what a power cut may cost. */
const SYNC_BYTES = 16 * 1024 * 1024;
const SYNC_INTERVAL_MS = 10_000;
/** How often the size of a partial is looked at, whatever its driver tells, milliseconds. */
const LOOK_MS = 500;
const looks = new Ticker(LOOK_MS);
/** Room is asked for in steps of this size where the size is not known. */
const ROOM_STEP_BYTES = 8 * 1024 * 1024;
/** Up to this size a file is read at once. */
const SMALL_BYTES = 1024 * 1024;
/** From this size on the hash follows the growing file. */
const FOLLOW_BYTES = 4 * 1024 * 1024;

/**
 * Fetches `file` into the spool and commits it.
 * @throws {DriverError} with the consequence as its code; the partial is left for the next attempt
 */
export async function fetchToSpool(
  file: QueuedFile,
  turn: Turn,
  context: FetchContext,
): Promise<SpooledFacts & { resumedBytes: number }> {
  const { spool, store, deviceDir, outcome } = context;
  spool.deviceDir(deviceDir);
  const partial = spool.partialPath(deviceDir, file.id);
  const resumable = turn.capabilities.resumeDownload === true;
  const keepBytes = resumable && spool.believes(partial) ? file.fingerprint.sizeBytes ?? Number.MAX_SAFE_INTEGER : 0;
  const { keptBytes: startBytes, droppedBytes, inode } = preparePartial(partial, keepBytes);
  outcome.heldBytes = startBytes;
  recordResent(store, { file: file.id }, droppedBytes);
  if (startBytes === 0) spool.noteFresh(partial);
  if (startBytes < file.syncedBytes) {
    // An earlier partial was longer: after a power cut its length must not be believed of what is written now.
    markSynced(store, file.id, startBytes);
    await store.durable();
  }
  const prefix = startBytes > 0 ? samplePrefix(partial, startBytes) : undefined;
  const hasher = new FileHasher(partial);
  try {
    const result = await callDriver(file, turn, context, { partial, startBytes, hasher }).catch((error) => {
      throw context.isSwapped() ? swapped(file) : error;
    });
    if (context.isSwapped()) throw swapped(file);
    // A large file keeps its place until it is proven, so that the proofs of many do not pile up.
    if (result.sizeBytes <= SMALL_FILE_BYTES) context.onMoved();
    const after = statSpoolFile(partial);
    if (after === undefined || after.inode !== inode) {
      throw new DriverError("corrupt", `Spool file of "${file.path}" was replaced while it was fetched`);
    }
    outcome.heldBytes = after.sizeBytes;
    checkResult(file, result, after.sizeBytes);
    if (prefix !== undefined) checkPrefix(file, partial, startBytes, prefix);
    const { sha256, readBytes } = after.sizeBytes <= SMALL_BYTES
      ? await hashAndSync(partial, after.sizeBytes)
      : (await Promise.all([hasher.finish(after.sizeBytes), syncFile(partial)]))[0];
    if (readBytes !== after.sizeBytes) {
      throw new DriverError("corrupt", `Spool file of "${file.path}" changed its size`);
    }
    if (result.checksum?.algorithm === "sha256" && result.checksum.value !== sha256) {
      throw new DriverError("corrupt", `Checksum of "${file.path}" is ${sha256}: expected ${result.checksum.value}`);
    }
    const { checksum } = result;
    const actual = checksum === undefined ? undefined : await checksumOf(partial, checksum.algorithm);
    if (actual !== undefined && actual !== checksum?.value) {
      throw new DriverError(
        "corrupt",
        `${checksum?.algorithm} of "${file.path}" is ${actual}: its source says ${checksum?.value}`,
      );
    }
    context.onMoved();
    const final = spool.filePath(deviceDir, file.id);
    await publishSpoolFile(partial, final);
    const published = statSpoolFile(final);
    if (published === undefined) throw new DriverError("corrupt", `Spool file of "${file.path}" vanished`);
    if (published.modifiedMs !== after.modifiedMs) {
      throw new DriverError("corrupt", `Spool file of "${file.path}" was written to after its driver had answered`);
    }
    const facts: SpooledFacts = {
      sizeBytes: after.sizeBytes,
      sha256,
      inode: published.inode,
      ctimeMs: published.ctimeMs,
      deviceDir,
      fingerprint: result.fingerprint,
      ...(result.note === undefined ? {} : { note: result.note }),
    };
    try {
      markSpooled(store, file, facts);
      // The uploader may take it at once: what it marks shares this commit, and it sends nothing before that.
      context.onSpooled();
      await store.durable();
    } catch (error) {
      // The row still says that the file is to be fetched: keep its bytes where the next attempt looks for them.
      await rename(final, partial);
      throw error;
    }
    return { ...facts, resumedBytes: startBytes };
  } catch (error) {
    hasher.close();
    if (error instanceof SpoolError && error.code === "unwritable") {
      await Promise.all([spool.distrust(partial), spool.distrust(spool.filePath(deviceDir, file.id))]);
    }
    const held = statSpoolFile(partial);
    if (held === undefined || held.inode !== inode || isRewritten(partial, startBytes, prefix)) {
      // What a driver put in the place of our file, or wrote over what was there, is nobody's prefix.
      discardPartial(partial);
      outcome.heldBytes = 0;
      throw error;
    }
    outcome.heldBytes = held.sizeBytes;
    if (held.sizeBytes === 0) await removeFile(partial);
    throw error;
  }
}

/** Bytes of another card under the same name, size and time: nothing that came meanwhile is believed. */
function swapped(file: QueuedFile): DriverError {
  return new DriverError("changed", `Device was swapped while "${file.path}" was fetched`);
}

interface CallFacts {
  partial: string;
  startBytes: number;
  hasher: FileHasher;
}

async function callDriver(file: QueuedFile, turn: Turn, context: FetchContext, facts: CallFacts) {
  const { job, events, store } = context;
  const { partial, startBytes, hasher } = facts;
  const params: DownloadParams = {
    path: file.path,
    spoolFile: partial,
    offsetBytes: startBytes,
    expect: file.fingerprint,
  };
  const share = context.limit.join();
  if (share.bytesPerSecond !== undefined) params.maxBytesPerSecond = share.bytesPerSecond;
  const sizeBytes = file.fingerprint.sizeBytes;
  let syncedBytes = Math.min(file.syncedBytes, startBytes);
  let syncedAtMs = performance.now();
  let syncing: Promise<void> | undefined;
  const again = new MovedAgain(startBytes);
  let hashedBytes = 0;
  /** The partial's name survives a power cut: else another file, dropped earlier, could come back under it. */
  let isNamed = false;
  const full = new AbortController();
  /** Why there is no place for more: the driver is told to stop. */
  let fullError: unknown;
  /** What lies on the disk counts, not what a driver says: a size that was not known must not break the quota. */
  const checkRoom = () => {
    const heldBytes = statSpoolFile(partial)?.sizeBytes ?? 0;
    if (fullError !== undefined || (sizeBytes !== undefined && heldBytes <= sizeBytes)) return;
    try {
      if (sizeBytes !== undefined) throw grownBeyond(file, sizeBytes);
      if (context.reservation.growTo(heldBytes + ROOM_STEP_BYTES) || context.reservation.growTo(heldBytes)) return;
      fullError = new DriverError("no_space", "Spool is full");
    } catch (error) {
      fullError = error instanceof SpoolError ? new DriverError("rejected", error.message) : error;
    }
    full.abort();
  };
  // Not AbortSignal.any(), which leaves weak references to the collector for each file.
  const onAbort = () => full.abort(context.signal.reason);
  context.signal.addEventListener("abort", onAbort, { once: true });
  if (context.signal.aborted) onAbort();
  const stopLooking = looks.add(checkRoom);
  const result = await turn.client.download(params, {
    signal: full.signal,
    limit: share,
    onProgress: (progress) => {
      const { doneBytes } = progress;
      checkRoom();
      const done = sizeBytes === undefined ? doneBytes : Math.min(doneBytes, sizeBytes);
      recordResent(store, { file: file.id }, again.note({ ...progress, doneBytes: done }));
      events.emit({
        event: "progress",
        job: job.name,
        path: file.path,
        doneBytes: done,
        ...(sizeBytes === undefined ? {} : { sizeBytes }),
      });
      // A driver that went back has written anew what was hashed already.
      if (done < hashedBytes) hasher.restart();
      if (done >= FOLLOW_BYTES) {
        hashedBytes = Math.min(done, statSpoolFile(partial)?.sizeBytes ?? 0);
        hasher.follow(hashedBytes);
      }
      const nowMs = performance.now();
      if (syncing === undefined && (done - syncedBytes >= SYNC_BYTES || nowMs - syncedAtMs >= SYNC_INTERVAL_MS)) {
        const held = statSpoolFile(partial)?.sizeBytes ?? 0;
        syncing = syncCheckpoint(partial, isNamed).then(() => {
          isNamed = true;
          syncedBytes = held;
          syncedAtMs = performance.now();
          markSynced(store, file.id, held);
        }).catch((error) => {
          // An fsync at the end would not make up for it.
          fullError ??= error;
          full.abort();
        }).finally(() => syncing = undefined);
      }
    },
  }).catch((error) => {
    // The driver was told to stop because of it.
    throw fullError ?? error;
  }).finally(async () => {
    context.signal.removeEventListener("abort", onAbort);
    share.leave();
    stopLooking();
    // Whoever drops this partial must come after it.
    await syncing;
  });
  if (sizeBytes === undefined) checkRoom();
  if (fullError !== undefined) throw fullError;
  return result;
}

/** Makes what a partial holds survive a power cut, and its name where that is new. */
async function syncCheckpoint(partial: string, isNamed: boolean): Promise<void> {
  await syncFile(partial);
  if (!isNamed) await syncDirectory(dirname(partial));
}

function grownBeyond(file: QueuedFile, sizeBytes: number): DriverError {
  return new DriverError(
    "changed",
    `Source changed: "${file.path}" has more than the ${sizeBytes} bytes that were listed`,
  );
}

/** Whether the part that was held before the call is not what it was. */
function isRewritten(partial: string, lengthBytes: number, prefix: string | undefined): boolean {
  return prefix !== undefined && samplePrefix(partial, lengthBytes) !== prefix;
}

function checkPrefix(file: QueuedFile, partial: string, lengthBytes: number, prefix: string): void {
  if (!isRewritten(partial, lengthBytes, prefix)) return;
  throw new DriverError(
    "corrupt",
    `Driver wrote over the ${lengthBytes} bytes of "${file.path}" that were held already`,
  );
}

function checkResult(
  file: QueuedFile,
  result: { sizeBytes: number; fingerprint: { sizeBytes?: number; modifiedMs?: number; etag?: string } },
  heldBytes: number,
): void {
  if (result.sizeBytes !== heldBytes) {
    throw new DriverError(
      "corrupt",
      `Driver reports ${result.sizeBytes} bytes of "${file.path}": spool holds ${heldBytes}`,
    );
  }
  const listed = file.fingerprint.sizeBytes;
  if (listed !== undefined && listed !== heldBytes) {
    throw new DriverError("changed", `Source changed: "${file.path}" has ${heldBytes} bytes, listed were ${listed}`);
  }
  if (!sameFingerprint(file.fingerprint, result.fingerprint, file.precisionMs)) {
    throw new DriverError("changed", `Source changed while "${file.path}" was fetched`);
  }
}
