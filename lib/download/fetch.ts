/** One download: the partial, the driver's call, the proof, and the order of fsync, rename and commit. */
import { rename } from "node:fs/promises";
import { dirname } from "node:path";
import {
  type DownloadParams,
  DriverError,
  sameFingerprint,
  type SharedLimit,
  SMALL_FILE_BYTES,
  type Turn,
} from "../driver/mod.ts";
import type { EventBus } from "../observe/mod.ts";
import {
  FileHasher,
  hashAndSync,
  preparePartial,
  publishSpoolFile,
  removeFile,
  type Reservation,
  type Spool,
  SpoolError,
  statSpoolFile,
  syncDirectory,
  syncFile,
} from "../spool/mod.ts";
import { addResent, markSpooled, markSynced, type QueuedFile, type SpooledFacts, type Store } from "../state/mod.ts";

/** What was true when a download ended, also when it failed. */
export interface FetchOutcome {
  /** Bytes that the partial holds. */
  heldBytes: number;
  /** Bytes that were fetched although they had been held before. */
  resentBytes: number;
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
  const { keptBytes: startBytes, inode } = preparePartial(partial, keepBytes);
  outcome.heldBytes = startBytes;
  if (startBytes === 0) spool.noteFresh(partial);
  if (startBytes < file.syncedBytes) {
    // An earlier partial was longer: after a power cut its length must not be believed of what is written now.
    markSynced(store, file.id, startBytes);
    await store.durable();
  }
  const hasher = new FileHasher(partial);
  try {
    const result = await callDriver(file, turn, context, { partial, startBytes, hasher });
    // A large file keeps its place until it is proven, so that the proofs of many do not pile up.
    if (result.sizeBytes <= SMALL_FILE_BYTES) context.onMoved();
    const after = statSpoolFile(partial);
    if (after === undefined || after.inode !== inode) {
      throw new DriverError("corrupt", `Spool file of "${file.path}" was replaced while it was fetched`);
    }
    outcome.heldBytes = after.sizeBytes;
    checkResult(file, result, after.sizeBytes);
    const { sha256, readBytes } = after.sizeBytes <= SMALL_BYTES
      ? await hashAndSync(partial, after.sizeBytes)
      : (await Promise.all([hasher.finish(after.sizeBytes), syncFile(partial)]))[0];
    if (readBytes !== after.sizeBytes) {
      throw new DriverError("corrupt", `Spool file of "${file.path}" changed its size`);
    }
    if (result.checksum?.algorithm === "sha256" && result.checksum.value !== sha256) {
      throw new DriverError("corrupt", `Checksum of "${file.path}" is ${sha256}: expected ${result.checksum.value}`);
    }
    context.onMoved();
    const final = spool.filePath(deviceDir, file.id);
    await publishSpoolFile(partial, final);
    const published = statSpoolFile(final);
    if (published === undefined) throw new DriverError("corrupt", `Spool file of "${file.path}" vanished`);
    const facts: SpooledFacts = {
      sizeBytes: after.sizeBytes,
      sha256,
      inode: published.inode,
      ctimeMs: published.ctimeMs,
      fingerprint: result.fingerprint,
      resentBytes: outcome.resentBytes,
    };
    try {
      store.write(() => {
        markSpooled(store, file, facts);
        addResent(store, outcome.resentBytes);
      });
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
    if (held !== undefined) outcome.heldBytes = held.sizeBytes;
    if (held?.sizeBytes === 0) await removeFile(partial);
    throw error;
  }
}

interface CallFacts {
  partial: string;
  startBytes: number;
  hasher: FileHasher;
}

async function callDriver(file: QueuedFile, turn: Turn, context: FetchContext, facts: CallFacts) {
  const { job, events, store, outcome } = context;
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
  let first = true;
  let hashedBytes = 0;
  /** The partial's name survives a power cut: else another file, dropped earlier, could come back under it. */
  let isNamed = false;
  const full = new AbortController();
  /** Why there is no place for more: the driver is told to stop. */
  let fullError: unknown;
  /** A size that was not known, or not true, must not break the quota. */
  const checkRoom = (doneBytes: number) => {
    if (fullError !== undefined || (sizeBytes !== undefined && doneBytes <= sizeBytes)) return;
    try {
      if (context.reservation.growTo(doneBytes + ROOM_STEP_BYTES) || context.reservation.growTo(doneBytes)) return;
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
  const result = await turn.client.download(params, {
    signal: full.signal,
    limit: share,
    onProgress: ({ doneBytes }) => {
      checkRoom(doneBytes);
      const done = sizeBytes === undefined ? doneBytes : Math.min(doneBytes, sizeBytes);
      if (first && done < startBytes) outcome.resentBytes = startBytes - done;
      first = false;
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
    // Whoever drops this partial must come after it.
    await syncing;
  });
  if (sizeBytes === undefined) checkRoom(result.sizeBytes);
  if (fullError !== undefined) throw fullError;
  return result;
}

/** Makes what a partial holds survive a power cut, and its name where that is new. */
async function syncCheckpoint(partial: string, isNamed: boolean): Promise<void> {
  await syncFile(partial);
  if (!isNamed) await syncDirectory(dirname(partial));
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
