/**
 * Looks at a target while files arrive: a final name must never be seen with anything but the whole file. It is told by
 * the kernel of each change, and looks around by itself too.
 */
import { createHash } from "node:crypto";
import { lstatSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { filesBelow, isTemporary } from "./verifier.ts";

/** Between two looks of its own, milliseconds. */
const LOOK_MS = 100;

export class Watcher {
  /** What was wrong, each once: the path and what was seen. */
  readonly seen = new Set<string>();
  readonly #dir: string;
  readonly #digests: ReadonlyMap<string, { sha256: string; sizeBytes: number }>;
  readonly #known = new Map<string, string>();
  readonly #events: Deno.FsWatcher;
  readonly #following: Promise<void>;
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param digests what each final name must hold; what is not in it is the verifier's affair */
  constructor(dir: string, digests: ReadonlyMap<string, { sha256: string; sizeBytes: number }>) {
    this.#dir = dir;
    this.#digests = digests;
    this.#events = Deno.watchFs(dir, { recursive: true });
    this.#following = this.#follow();
    this.#timer = setInterval(() => this.look(), LOOK_MS);
  }

  /** Looks at everything now. */
  look(): void {
    for (const path of filesBelow(this.#dir)) this.#check(path);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.look();
    this.#events.close();
    await this.#following;
  }

  async #follow(): Promise<void> {
    for await (const { paths } of this.#events) {
      for (const path of paths) this.#check(relative(this.#dir, path));
    }
  }

  #check(path: string): void {
    const expected = this.#digests.get(path);
    if (expected === undefined || isTemporary(path)) return;
    const full = join(this.#dir, path);
    try {
      const { ino, size, mtimeMs, ctimeMs } = lstatSync(full);
      const state = `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
      if (this.#known.get(path) === state) return;
      if (size !== expected.sizeBytes) {
        this.seen.add(`${path}: ${size} of ${expected.sizeBytes} bytes`);
        return;
      }
      const sha256 = createHash("sha256").update(readFileSync(full)).digest("hex");
      if (sha256 !== expected.sha256) this.seen.add(`${path}: other bytes`);
      this.#known.set(path, state);
    } catch (error) {
      // Gone between the word of it and the look.
      if ((error as { code?: string }).code !== "ENOENT") throw error;
    }
  }
}
