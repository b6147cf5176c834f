/** One file of the spool: what lies at its path, and how a partial is begun, cut and dropped. */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SpoolError } from "./errors.ts";

/** Identity of a spool file. */
export interface SpoolFileStat {
  sizeBytes: number;
  inode: number;
  /** Last change of the file or of its bytes: the runtime tells the first in whole seconds only, the second finer. */
  ctimeMs: number;
  /** Last change of its bytes. */
  modifiedMs: number;
  /** Names of the file: more than one when a target has it, or may take it. */
  links: number;
}

/** A partial that a download goes on with. */
export interface PreparedPartial {
  /** Length of the prefix that is kept. */
  keptBytes: number;
  /** What lay behind it, and is fetched again. */
  droppedBytes: number;
  /** Which file it is. */
  inode: number;
}

/**
 * Makes the partial of a download, or cuts an old one to its true prefix. What is no file of our own (a link, a folder,
 * a second name of somebody else's file) was put there by a plugin: it is removed, and nothing is written through it.
 */
export function preparePartial(path: string, keepBytes: number): PreparedPartial {
  const opened = openPartial(path, keepBytes);
  if (opened !== undefined) return opened;
  discardPartial(path);
  const made = openPartial(path, 0);
  if (made === undefined) throw new SpoolError("foreign", `Spool entry "${path}" is no file`);
  return made;
}

/** `undefined` when what is there is no file of our own. */
function openPartial(path: string, keepBytes: number): PreparedPartial | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    if (["ELOOP", "EISDIR", "ENXIO"].includes((error as { code?: string }).code ?? "")) return undefined;
    throw error;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.nlink > 1) return undefined;
    const keptBytes = Math.min(stat.size, keepBytes);
    if (stat.size !== keptBytes) ftruncateSync(fd, keptBytes);
    return { keptBytes, droppedBytes: stat.size - keptBytes, inode: stat.ino };
  } finally {
    closeSync(fd);
  }
}

/** Drops a partial, if there is one. */
export function discardPartial(path: string): void {
  rmSync(path, { force: true, recursive: true });
}

/** What lies at a spool path, or `undefined` when nothing does. */
export function statSpoolFile(path: string): SpoolFileStat | undefined {
  let info: Deno.FileInfo;
  try {
    // Not node:fs: it is called several times for each file, and takes three times as long there.
    info = Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
  if (!info.isFile) return undefined;
  const modifiedMs = info.mtime?.getTime() ?? 0;
  return {
    sizeBytes: info.size,
    inode: info.ino ?? 0,
    ctimeMs: Math.max(info.ctime?.getTime() ?? 0, modifiedMs),
    modifiedMs,
    links: info.nlink ?? 1,
  };
}

/** What the spool in `dir` holds of a file, whole or a part, for looking only; `undefined` when nothing. */
export function findSpooled(
  dir: string,
  device: number,
  fileId: number,
): { path: string; sizeBytes: number; isWhole: boolean } | undefined {
  for (const [kind, isWhole] of [["spool", true], ["part", false]] as const) {
    const path = join(dir, String(device), `${fileId}.${kind}`);
    const stat = statSpoolFile(path);
    if (stat !== undefined) return { path, sizeBytes: stat.sizeBytes, isWhole };
  }
  return undefined;
}
