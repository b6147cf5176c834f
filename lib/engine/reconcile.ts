/** What a start makes of a spool and a store that were left in the middle: rows and files agree afterwards. */
import { readFileSync, renameSync, truncateSync } from "node:fs";
import type { Log } from "../observe/mod.ts";
import { readSpool, removeFile, type Spool, type SpoolFile, statSpoolFile } from "../spool/mod.ts";
import {
  addResent,
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
}

/** Reconciles, and logs one line of what was found when that was anything. */
export async function reconcile(store: Store, spool: Spool, log: Log): Promise<void> {
  const interrupted = recoverRows(store);
  finishRetired(store);
  const bootId = readBootId();
  const sameBoot = bootId !== undefined && store.meta("boot_id") === bootId;
  await store.durable();
  const found: Found = { partials: 0, cut: 0, cutBytes: 0, adopted: new Set(), removed: 0, lost: 0 };
  const { files, strangers } = readSpool(spool.dir);
  // A whole file before a partial of the same name, which it replaces.
  files.sort((a, b) => Number(b.kind === "spool") - Number(a.kind === "spool"));
  for (let at = 0; at < files.length; at += PAGE) {
    const page = files.slice(at, at + PAGE);
    const rows = spoolRows(store, page.map((file) => file.fileId));
    for (const file of page) await reconcileFile(file, rows.get(file.fileId), { spool, sameBoot, found });
  }
  for (let last = 0;;) {
    const rows = spooledAfter(store, last, PAGE);
    if (rows.length === 0) break;
    for (const row of rows) {
      last = row.id;
      if (statSpoolFile(spool.filePath(row.deviceDir, row.id)) !== undefined) continue;
      found.lost++;
      refetchFile(store, row.id, "Spool file was missing at start");
    }
  }
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
  { spool, sameBoot, found }: { spool: Spool; sameBoot: boolean; found: Found },
): Promise<void> {
  const isWanted = row?.state === "found" && row.deviceDir === file.device;
  if (file.kind === "spool" && row?.state === "spooled" && row.deviceDir === file.device) {
    spool.addUsed(file.sizeBytes);
    return;
  }
  if (!isWanted) {
    await removeFile(file.path);
    found.removed++;
    return;
  }
  if (file.kind === "spool") {
    // Renamed, but the row was not committed: it is a partial again, and its end is compared before it counts.
    const partial = spool.partialPath(file.device, file.fileId);
    renameSync(file.path, partial);
    spool.addUsed(file.sizeBytes);
    found.adopted.add(partial);
    return;
  }
  if (found.adopted.has(file.path)) return;
  found.partials++;
  let sizeBytes = file.sizeBytes;
  if (!sameBoot && sizeBytes > row.syncedBytes) {
    // After a power cut the size may be right and the bytes not: only what was fsynced is a prefix.
    sizeBytes = row.syncedBytes;
    truncateSync(file.path, sizeBytes);
    found.cut++;
    found.cutBytes += file.sizeBytes - sizeBytes;
  }
  spool.addUsed(sizeBytes);
}

function tell(log: Log, interrupted: { downloads: number; uploads: number }, found: Found, strangers: string[]): void {
  const parts: string[] = [];
  const say = (count: number, what: string) => {
    if (count > 0) parts.push(`${count} ${what}`);
  };
  say(interrupted.downloads, "interrupted downloads");
  say(interrupted.uploads, "interrupted uploads, asked for before they are repeated");
  say(found.partials, "partial files kept");
  say(found.cut, "of them cut to what survived a power cut");
  say(found.adopted.size, "files that were whole but not recorded");
  say(found.lost, "spooled files missing: they are fetched again");
  say(found.removed, "leftover files removed");
  say(strangers.length, `files in the spool that are not ours, left alone (first: "${strangers[0]}")`);
  if (parts.length > 0) log.info(`Last run ended in the middle; found ${parts.join(", ")}`);
}
