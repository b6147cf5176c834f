/** Old log files: the library rotates by size and counts them, and here those go that nobody has written to for long. */

/** How often it is looked, ms. */
const LOOK_MS = 3_600_000;

/** Which rotated files there are, and how old they may become. */
export interface AgeOptions {
  /** Rotated files are `<file>.1` to `<file>.<keep>`. */
  keep: number;
  /** Absent: none is too old. */
  maxAgeMs?: number;
}

/** Removes what is too old now and each hour. @returns What ends that */
export function startAging(file: string, options: AgeOptions): () => void {
  if (options.maxAgeMs === undefined) return () => {};
  removeAged(file, options);
  const timer = setInterval(() => removeAged(file, options), LOOK_MS);
  Deno.unrefTimer(timer as unknown as number);
  return () => clearInterval(timer);
}

/**
 * Removes rotated files that were last written to more than `maxAgeMs` ago. One from the future, as a machine without a
 * clock battery leaves them, stays: `keep` ends it.
 */
export function removeAged(file: string, { keep, maxAgeMs = Infinity }: AgeOptions, now = Date.now()): void {
  for (let n = 1; n <= keep; n++) {
    const path = `${file}.${n}`;
    try {
      const written = Deno.lstatSync(path).mtime?.getTime() ?? now;
      if (now - written > maxAgeMs) Deno.removeSync(path);
    } catch {
      // Not there, or not to be removed: the next rotation writes over it.
    }
  }
}
