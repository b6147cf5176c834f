/** Looking at what is known, for the page: files, queues, copies in the spool, and `why` as programs read it. */
import type { Config } from "../config/mod.ts";
import type { BrowsePage, BrowseQuery, QueueAge } from "../observe/mod.ts";
import { findSpooled } from "../spool/mod.ts";
import { browseFiles, fileFolder, queueAges, spooledBytes, Store } from "../state/mod.ts";
import type { SpoolCopy, WhyReport } from "./commands.ts";
import { asEngineError, isStoreThere } from "./errors.ts";

/** Files that are known, the newest first. */
export function readFiles(config: Config, query: BrowseQuery): BrowsePage {
  return withStore(config, (store) => browseFiles(store, query)) ?? { files: [] };
}

/** Bytes in the spool, and nothing else of what `status` tells. */
export function readSpoolBytes(config: Config): number {
  return withStore(config, spooledBytes) ?? 0;
}

/** How far each queue is behind. */
export function readQueueAges(config: Config): QueueAge[] {
  return withStore(config, queueAges) ?? [];
}

/** The whole copy of a file in the spool, with the file's path on its source; `undefined`: there is none. */
export function readSpoolCopy(config: Config, fileId: number): (SpoolCopy & { name: string }) | undefined {
  const known = withStore(config, (store) => fileFolder(store, fileId));
  const copy = known === undefined ? undefined : findSpooled(config.spool.dir, known.deviceDir, fileId);
  return copy?.isWhole === true ? { ...copy, name: known!.path } : undefined;
}

/** The answer of `why` as objects, one for each source that has the path. */
export function tellWhy(path: string, report: WhyReport): object[] {
  const { histories, copies, closed, nearest, reasons, pid, nowMs } = report;
  if (histories.length === 0) return [{ schema: 1, path, known: false, reasons, nearest }];
  // Times of the daemon's own clock mean nothing elsewhere.
  const next = <T extends { retryAtMs?: number }>({ retryAtMs, ...rest }: T) => ({
    ...rest,
    ...(retryAtMs === undefined ? {} : { inBackOff: true }),
    ...(retryAtMs === undefined || nowMs === undefined
      ? {}
      : { retryInMs: Math.max(0, Math.round(retryAtMs - nowMs)) }),
  });
  return histories.map((history) => ({
    schema: 1,
    known: true,
    ...history,
    generations: history.generations.map((file) => ({
      ...next(file),
      deliveries: file.deliveries.map(next),
      ...(copies.has(file.id) ? { spool: copies.get(file.id) } : {}),
    })),
    closed,
    ...(pid === undefined ? {} : { pid }),
  }));
}

function withStore<T>(config: Config, read: (store: Store) => T): T | undefined {
  if (!isStoreThere(config.statePath)) return undefined;
  try {
    using store = new Store(config.statePath, { readOnly: true });
    return read(store);
  } catch (error) {
    throw asEngineError(error);
  }
}
