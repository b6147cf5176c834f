/** What an interruption cost: bytes of a file that are moved a second time. */
import type { Progress } from "./types.ts";

/** Follows the progress of one call. Whenever it stands before where it, or an earlier call, had come, that is moved again. */
export class MovedAgain {
  #atBytes: number;

  /** @param atBytes how far earlier calls had come, as far as that is known */
  constructor(atBytes: number) {
    this.#atBytes = atBytes;
  }

  /** @returns bytes that are moved again from here on */
  note({ doneBytes, waitMs }: Progress): number {
    // A sign of life while nothing moves says nothing of where the call stands.
    if (waitMs !== undefined) return 0;
    const bytes = Math.max(0, this.#atBytes - doneBytes);
    this.#atBytes = doneBytes;
    return bytes;
  }
}
