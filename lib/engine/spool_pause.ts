/** Whether the spool takes files now, for `status`, which is another process than the one that fills it. */
import { accessSync, constants, statfsSync } from "node:fs";
import type { Config } from "../config/mod.ts";
import type { SpoolPause } from "../observe/mod.ts";
import { pauseOf, type Store } from "../state/mod.ts";

/**
 * Why nothing is fetched: what the process that syncs has said, or, where it could not say so (the disk of the store is
 * full or read-only, too) or none runs, what the disk shows to everybody.
 * @param isSyncing whether a process syncs: what a dead one said does not count
 */
export function spoolPause(store: Store, { spool, jobs }: Config, isSyncing: boolean): SpoolPause | undefined {
  const told = isSyncing
    ? jobs.map(({ name }) => pauseOf(store, name)).find((pause) => pause !== undefined)
    : undefined;
  if (told !== undefined) return told;
  try {
    accessSync(spool.dir, constants.W_OK);
    const { bavail, bsize } = statfsSync(spool.dir);
    if (bavail * bsize >= spool.minFreeBytes) return undefined;
    return { reason: "Disk of the spool has less free than spool.min_free" };
  } catch (error) {
    // Whoever asks may have fewer rights than the one that syncs: that is no pause.
    if ((error as { code?: string }).code !== "EROFS") return undefined;
    return { reason: "Filesystem of the spool is mounted read-only" };
  }
}
