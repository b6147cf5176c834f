/**
 * Writing to a stream that may be full or have lost its reader.
 */

/** How long a full pipe or terminal is waited for by default, ms: words are dropped then, for files are to be moved. */
const PATIENCE_MS = 2000;
const NAP_MS = 5;

/**
 * Writes all of `text`, in as few writes as the stream takes.
 * @param patienceMs how long a full stream is waited for in all
 * @param onLost told the error of a stream that takes nothing any more
 * @returns `false` when nobody reads any more, or when patience ran out
 */
export function writeAllSync(
  stream: { writeSync(bytes: Uint8Array): number },
  text: string,
  patienceMs?: number,
  onLost?: (error: unknown) => void,
): boolean {
  const bytes = new TextEncoder().encode(text);
  let napsLeft = (patienceMs ?? PATIENCE_MS) / NAP_MS;
  for (let at = 0; at < bytes.length;) {
    try {
      at += stream.writeSync(bytes.subarray(at));
    } catch (error) {
      if (error instanceof Deno.errors.Interrupted) continue;
      // A stream shared with a parent may be non-blocking; Deno offers no way to wait for it.
      if (error instanceof Deno.errors.WouldBlock && napsLeft-- > 0) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, NAP_MS);
        continue;
      }
      onLost?.(error);
      return false;
    }
  }
  return true;
}
