/**
 * How many bytes the files below the served directory may have together. Counted from what is uploaded and removed
 * here, and measured anew when somebody else may have changed it.
 */
import { Refusal } from "./refusal.ts";

/** A count that old is measured anew before an upload, milliseconds. */
const FRESH_MS = 10 * 60_000;
/** And that old before an upload is refused for it. */
const REFUSAL_FRESH_MS = 5_000;

/** The quota of one server. */
export class Quota {
  readonly #root: string;
  readonly #limitBytes: number | undefined;
  #usedBytes = 0;
  #measuredMs = -Infinity;
  #measuring: Promise<void> | undefined;

  /** @param limitBytes absent: no limit, and nothing is ever counted */
  constructor(root: string, limitBytes: number | undefined) {
    this.#root = root;
    this.#limitBytes = limitBytes;
  }

  /** Bytes that are left; `undefined` without a quota. */
  async left(): Promise<number | undefined> {
    if (this.#limitBytes === undefined) return undefined;
    await this.#measure(FRESH_MS);
    return Math.max(0, this.#limitBytes - this.#usedBytes);
  }

  /**
   * Before an upload begins, which may give room back first.
   * @throws {Refusal} 552 when nothing is left
   */
  async check(freedBytes: number): Promise<void> {
    if (await this.left() !== 0 || freedBytes > 0) return;
    await this.#measure(REFUSAL_FRESH_MS);
    if (await this.left() === 0) throw full();
  }

  /**
   * Takes room for bytes that are about to be written, as far as there is some.
   * @returns how many may be written
   */
  take(bytes: number): number {
    if (this.#limitBytes === undefined) return bytes;
    const granted = Math.min(bytes, Math.max(0, this.#limitBytes - this.#usedBytes));
    this.#usedBytes += granted;
    return granted;
  }

  /** Gives room back. */
  free(bytes: number): void {
    if (this.#limitBytes !== undefined) this.#usedBytes = Math.max(0, this.#usedBytes - bytes);
  }

  /** Uploads that run meanwhile make the outcome a little wrong, and the next one right. */
  async #measure(freshMs: number): Promise<void> {
    if (performance.now() - this.#measuredMs < freshMs) return;
    this.#measuring ??= bytesBelow(this.#root).then((bytes) => {
      this.#usedBytes = bytes;
      this.#measuredMs = performance.now();
    }).finally(() => this.#measuring = undefined);
    await this.#measuring;
  }
}

/** What a client is told that has used the quota up. */
export function full(): Refusal {
  return new Refusal(552, "Quota is used up");
}

async function bytesBelow(directory: string): Promise<number> {
  let bytes = 0;
  const waiting = [directory];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    try {
      for await (const { name, isDirectory, isFile } of Deno.readDir(path)) {
        if (isDirectory) waiting.push(`${path}/${name}`);
        else if (isFile) bytes += sizeOf(`${path}/${name}`);
      }
    } catch (error) {
      // What is not readable here or was removed meanwhile takes no room that a client of ours could have taken.
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied)) throw error;
    }
  }
  return bytes;
}

function sizeOf(path: string): number {
  try {
    return Deno.lstatSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
