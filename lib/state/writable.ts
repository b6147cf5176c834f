/** A full disk pauses what must be recorded; it is never dropped. */
import { Bell } from "../driver/mod.ts";
import { StateError } from "./errors.ts";
import type { Store } from "./store.ts";

/** How long to wait before a full disk is tried again, milliseconds. */
const NO_SPACE_PAUSE_MS = 5000;

/**
 * Runs `change` and waits until it is on disk; while the disk is full it is repeated.
 * @param onFull called once, at the first failure
 * @throws whatever `change` throws but a full disk; `signal`'s reason when it is aborted meanwhile
 */
export async function recordWhenWritable<T>(
  store: Store,
  change: () => T,
  options: { signal: AbortSignal; onFull: (error: StateError) => void },
): Promise<T> {
  for (let isFirst = true;; isFirst = false) {
    try {
      const result = change();
      await store.durable();
      return result;
    } catch (error) {
      if (!(error instanceof StateError) || error.code !== "no_space") throw error;
      if (isFirst) options.onFull(error);
      // Stopping: the next start finds the row as it was and puts it right.
      if (options.signal.aborted) throw error;
      await new Bell().wait(options.signal, NO_SPACE_PAUSE_MS);
    }
  }
}
