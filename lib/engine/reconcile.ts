/** What a start makes of a spool and a store that were left in the middle: rows and files agree afterwards. */
import { readFileSync, renameSync, truncateSync } from "node:fs";
import { dirname } from "node:path";
import type { Log } from "../observe/mod.ts";
import { readSpool, removeFile, type Spool, type SpoolFile, statSpoolFile, syncDirectory } from "../spool/mod.ts";
import {
  addResent,
  doubtSpooled,
  finishRetired,
  recoverRows,
  refetchFile,
  spooledAfter,
  type SpoolRow,
  spoolRows,
  type Store,
} from "../state/mod.ts";

const PAGE = 1000;

interface Found {
  partials: number;
  cut: number;
  /** What was cut off, and is fetched again. */
  cutBytes: number;
  /** Partials that whole files became. */
  adopted: Set<string>;
  removed: number;
  lost: number;
  /** Spooled files of another size than their row says. */
  damaged: number;
  /** Spooled files that are hashed again before they are sent. */
  doubted: number;
  /** What could not be put right, because the disk does not let us. */
  stuck: string[];
}

/** Reconciles, and logs one line of what was found when that was anything. */
export async function reconcile(store: Store, spool: Spool, log: Log): Promise<void> {
  const interrupted = recoverRows(store);
  finishRetired(store);
  const bootId = readBootId();
  const sameBoot = bootId !== undefined && store.meta("boot_id") === bootId;
  await store.durable();
  const found: Found = {
    partials: 0,
    cut: 0,
    cutBytes: 0,
    adopted: new Set(),
    removed: 0,
    lost: 0,
    damaged: 0,
    doubted: 0,
    stuck: [],
  };
  const { files, strangers } = readSpool(spool.dir);
  // A whole file before a partial of the same name, which it replaces.
  files.sort((a, b) => Number(b.kind === "spool") - Number(a.kind === "spool"));
  for (let at = 0; at < files.length; at += PAGE) {
    const page = files.slice(at, at + PAGE);
    const rows = spoolRows(store, page.map((file) => file.fileId));
    for (const file of page) await reconcileFile(file, rows.get(file.fileId), { store, spool, sameBoot, found });
  }
  for (let last = 0;;) {
    const rows = spooledAfter(store, last, PAGE);
    if (rows.length === 0) break;
    for (const row of rows) {
      last = row.id;
      if (isThere(spool.filePath(row.deviceDir, row.id))) continue;
      found.lost++;
      refetchFile(store, row.id, "Spool file was missing at start");
    }
  }
  // A disk may have said that it has written what it had not: no copy of that leaves the spool for a target.
  if (!sameBoot) found.doubted = doubtSpooled(store);
  // Last: a start that is cut short before every partial is cut must be taken for the first of this boot again.
  store.write(() => {
    store.setMeta("boot_id", bootId ?? "unknown");
    addResent(store, found.cutBytes, "download");
  });
  await store.durable();
  tell(log, interrupted, found, strangers);
}

/** Names this boot of the machine: within one, nothing that was written is lost. */
function readBootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    // Not Linux: every start counts as a new boot, which only costs bytes that are fetched again.
    return undefined;
  }
}

async function reconcileFile(
  file: SpoolFile,
  row: SpoolRow | undefined,
  { store, spool, sameBoot, found }: { store: Store; spool: Spool; sameBoot: boolean; found: Found },
): Promise<void> {
  if (file.kind === "loan") return await withdraw(file, found);
  // What another name shares may have been published: it is no partial, and nothing is cut off it.
  const isWanted = row?.state === "found" && row.deviceDir === file.device && file.links === 1;
  if (file.kind === "spool" && row?.state === "spooled" && row.deviceDir === file.device) {
    spool.addUsed(file.sizeBytes);
    if (file.sizeBytes === row.sizeBytes) return;
    found.damaged++;
    if (!await remove(file, spool, found)) return;
    // Before its row says so, also after a power cut: it would be taken for a download that was whole.
    await syncDirectory(dirname(file.path));
    refetchFile(store, row.id, `Spool file had ${file.sizeBytes} bytes at start: expected ${row.sizeBytes}`);
    return;
  }
  if (!isWanted) {
    spool.addUsed(file.sizeBytes);
    if (await remove(file, spool, found)) found.removed++;
    return;
  }
  if (file.kind === "spool") {
    // Renamed, but the row was not committed: it is a partial again, and its end is compared before it counts.
    const partial = spool.partialPath(file.device, file.fileId);
    spool.addUsed(file.sizeBytes);
    try {
      renameSync(file.path, partial);
      found.adopted.add(partial);
    } catch (error) {
      // It is fetched anew, and replaced then.
      stuck(found, file, error);
    }
    return;
  }
  if (found.adopted.has(file.path)) return;
  found.partials++;
  let sizeBytes = file.sizeBytes;
  if (!sameBoot && sizeBytes > row.syncedBytes) {
    // After a power cut the size may be right and the bytes not: only what was fsynced is a prefix.
    try {
      truncateSync(file.path, row.syncedBytes);
      sizeBytes = row.syncedBytes;
      found.cut++;
      found.cutBytes += file.sizeBytes - sizeBytes;
    } catch (error) {
      stuck(found, file, error);
      await spool.distrust(file.path);
    }
  }
  spool.addUsed(sizeBytes);
}

/** A target may not take any more what it was offered in the last life. */
async function withdraw(file: SpoolFile, found: Found): Promise<void> {
  try {
    await removeFile(file.path);
  } catch (error) {
    stuck(found, file, error);
  }
}

/** Whether a file of ours is there, as far as the disk lets us see. */
function isThere(path: string): boolean {
  try {
    return statSpoolFile(path) !== undefined;
  } catch {
    return false;
  }
}

/** Removes a file; returns whether it is gone. */
async function remove(file: SpoolFile, spool: Spool, found: Found): Promise<boolean> {
  try {
    await spool.release(file.path, file.sizeBytes);
    return true;
  } catch (error) {
    stuck(found, file, error);
    return false;
  }
}

function stuck(found: Found, { path }: SpoolFile, error: unknown): void {
  found.stuck.push(`"${path}": ${error instanceof Error ? error.message : error}`);
}

function tell(log: Log, interrupted: { downloads: number; uploads: number }, found: Found, strangers: string[]): void {
  const parts: string[] = [];
  const say = (count: number, one: string, many: string) => {
    if (count > 0) parts.push(count === 1 ? one : `${count} ${many}`);
  };
  say(interrupted.downloads, "1 interrupted download", "interrupted downloads");
  say(
    interrupted.uploads,
    "1 interrupted upload, asked for before it is repeated",
    "interrupted uploads, asked for before they are repeated",
  );
  say(found.partials, "1 partial file kept", "partial files kept");
  say(found.cut, "1 of them cut to what survived a power cut", "of them cut to what survived a power cut");
  say(found.adopted.size, "1 file that was whole but not recorded", "files that were whole but not recorded");
  say(found.lost, "1 spooled file missing: it is fetched again", "spooled files missing: they are fetched again");
  say(
    found.damaged,
    "1 spooled file of another size: it is fetched again",
    "spooled files of another size: they are fetched again",
  );
  say(found.removed, "1 leftover file removed", "leftover files removed");
  say(
    found.doubted,
    "1 spooled file that is read again before it is sent",
    "spooled files that are read again before they are sent",
  );
  const first = `(first: "${strangers[0]}")`;
  say(
    strangers.length,
    `1 thing in the spool that is not ours, left alone ${first}`,
    `things in the spool that are not ours, left alone ${first}`,
  );
  if (parts.length > 0) log.info(`Last run ended in the middle; found ${parts.join(", ")}`);
  if (found.stuck.length > 0) {
    log.error(
      `Cannot put ${found.stuck.length} of the spool's files right (first: ${found.stuck[0]}). It is tried again`,
    );
  }
}
