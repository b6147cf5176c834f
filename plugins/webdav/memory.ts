/** What the driver has learned of its server, kept in `stateDir`. */

/** How bytes can be added to a file that is there: Apache's ranged PUT, sabre/dav's PATCH, or not at all. */
export type PartialWrite = "content-range" | "patch" | "none";

interface Remembered {
  /** Root and login: another server has other habits. */
  server: string;
  /** The root was there once: later a missing one means that something is gone. */
  hasRoot?: boolean;
  partialWrite?: PartialWrite;
  learnedMs?: number;
}

/** A server may be replaced by a better one behind its name, milliseconds. */
const AGE_MS_MAX = 30 * 24 * 60 * 60 * 1000;

/** Reads once, writes at each new thing learned. */
export class Memory {
  readonly #file: string;
  #remembered: Remembered;

  constructor(stateDir: string, server: string) {
    this.#file = `${stateDir}/webdav.json`;
    this.#remembered = { server };
    try {
      const known = JSON.parse(Deno.readTextFileSync(this.#file)) as Remembered;
      if (known.server === server) this.#remembered = known;
    } catch {
      // Nothing learned yet, or half written at a power cut: it can be learned again.
    }
  }

  get partialWrite(): PartialWrite | undefined {
    const { partialWrite, learnedMs = 0 } = this.#remembered;
    // What was learned in the future was learned under a wrong clock.
    return Math.abs(Date.now() - learnedMs) < AGE_MS_MAX ? partialWrite : undefined;
  }

  learn(partialWrite: PartialWrite): void {
    this.#save({ ...this.#remembered, partialWrite, learnedMs: Date.now() });
  }

  get hasRoot(): boolean {
    return this.#remembered.hasRoot === true;
  }

  learnRoot(): void {
    if (!this.hasRoot) this.#save({ ...this.#remembered, hasRoot: true });
  }

  #save(remembered: Remembered): void {
    this.#remembered = remembered;
    const temporary = `${this.#file}.new`;
    Deno.writeTextFileSync(temporary, JSON.stringify(this.#remembered));
    Deno.renameSync(temporary, this.#file);
  }
}
