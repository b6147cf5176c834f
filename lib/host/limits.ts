/**
 * What a plugin's process may take of the machine. The kernel holds it to that from its first instruction: a shell of
 * one line lowers its own limits and becomes the plugin.
 */

import { withDescendants } from "./descendants.ts";

/** Limits of one plugin's processes. */
export interface PluginLimits {
  /** Memory of the plugin with all that it starts, bytes. */
  memoryBytes: number;
  /** Files, sockets and pipes that a process may have open. */
  openFiles: number;
  /** How much it yields to others when the processor is busy, 0 to 19. */
  nice: number;
}

/** Of a plugin whose manifest and configuration say nothing. */
export const DEFAULT_LIMITS: PluginLimits = { memoryBytes: 512 * 1024 * 1024, openFiles: 1024, nice: 5 };

/** Made worse by this much in the eyes of the kernel, which ends a process when memory runs out (-1000 to 1000). */
const OOM_SCORE = 500;

/**
 * Lowers the limits of itself and becomes `$4...`. A limit that is lower already, or that the system has not, stays;
 * no core file is written, since it would hold secrets. The shell does nothing with the command's words but hand them on.
 */
const SCRIPT = [
  `{ read -r now </proc/self/oom_score_adj && [ "$now" -lt ${OOM_SCORE} ] && echo ${OOM_SCORE} >/proc/self/oom_score_adj; } 2>/dev/null`,
  "ulimit -c 0",
  'ulimit -n "$1" 2>/dev/null',
  '[ "$2" = - ] || ulimit -d "$2" 2>/dev/null',
  "nice=$3",
  // What a shell adds to an environment.
  "unset PWD OLDPWD SHLVL",
  "shift 3",
  'if [ "$nice" = 0 ]; then exec "$@"; fi',
  'exec nice -n "$nice" "$@"',
].join("\n");

/**
 * argv that puts a command under `limits`. Of the memory only what one process writes to is held by the kernel
 * (RLIMIT_DATA); {@linkcode memoryBytesOf} looks at all of them.
 * @param isV8 it reserves half a gigabyte that it never touches: RLIMIT_DATA would end it at its start, and RLIMIT_AS
 *   is unfit for every program that maps more than it uses. Its heap has a limit of its own.
 */
export function limitsWrapper({ memoryBytes, openFiles, nice }: PluginLimits, isV8: boolean): string[] {
  const dataKib = isV8 ? "-" : String(Math.ceil(memoryBytes / 1024));
  return ["/bin/sh", "-c", SCRIPT, "filesync-limits", String(openFiles), dataKib, String(nice)];
}

/**
 * Memory that belongs to process `pid` and its descendants alone, swapped out or not, bytes; 0 where the system does
 * not tell. What it shares with others (its program's file) is not counted.
 */
export function memoryBytesOf(pid: number): number {
  return withDescendants(pid).reduce((sum, one) => sum + ownBytes(one), 0);
}

function ownBytes(pid: number): number {
  const status = read(`/proc/${pid}/status`);
  return [...status.matchAll(/^(?:RssAnon|RssShmem|VmSwap):\s*(\d+) kB$/gm)]
    .reduce((sum, [, kib]) => sum + Number(kib) * 1024, 0);
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
