/** What the driver has learned of its server, kept in `stateDir`: habits, and how many connections it takes. */

/** How long a refusal is believed, milliseconds: servers are mended, and one odd answer must not cost resuming for good. */
const REFUSAL_AGE_MS = 24 * 60 * 60 * 1000;

/** How long a server counts as one with few connections, milliseconds: to be wrong costs a login now and then. */
const CROWDED_AGE_MS = 30 * REFUSAL_AGE_MS;

/** The habits, each with the time when it was met. */
interface Remembered {
  /** Host, port and user: another server has other habits. */
  server: string;
  noEpsvMs?: number;
  noMlsdMs?: number;
  /** `LIST -a` fails or lists nothing. */
  noListAllMs?: number;
  /** REST before STOR is refused or ignored. */
  noStoreRestartMs?: number;
  noAppendMs?: number;
  noSetTimeMs?: number;
  /** A command that is sent together with EPSV is never answered. */
  noTogetherMs?: number;
  /** The `dir` that was there once. */
  root?: string;
  connectionsMax?: number;
  refusedMs?: number;
  crowdedMs?: number;
}

/** Habits that can be learned. */
export type Quirk = "noEpsv" | "noMlsd" | "noListAll" | "noStoreRestart" | "noAppend" | "noSetTime" | "noTogether";

/** Reads once, writes at each new thing learned. */
export class Memory {
  readonly #file: string;
  #remembered: Remembered;

  constructor(stateDir: string, server: string) {
    this.#file = `${stateDir}/ftp.json`;
    this.#remembered = { server };
    let text: string;
    try {
      text = Deno.readTextFileSync(this.#file);
    } catch {
      return; // Nothing learned yet.
    }
    try {
      const known = JSON.parse(text) as Remembered;
      if (known.server === server) this.#remembered = known;
    } catch {
      // Half written at a power cut: all of it can be learned again.
    }
  }

  has(quirk: Quirk): boolean {
    return isFresh(this.#remembered[`${quirk}Ms`]);
  }

  learn(quirk: Quirk): void {
    if (this.has(quirk)) return;
    this.#remembered[`${quirk}Ms`] = Date.now();
    this.#save();
  }

  /** Whether the root directory was there once. */
  hasRoot(dir: string): boolean {
    return this.#remembered.root === dir;
  }

  learnRoot(dir: string): void {
    if (this.hasRoot(dir)) return;
    this.#remembered.root = dir;
    this.#save();
  }

  /** Most connections that the server took, when it refused more within the last day. */
  get connectionsMax(): number | undefined {
    const { connectionsMax, refusedMs } = this.#remembered;
    return isFresh(refusedMs) ? connectionsMax : undefined;
  }

  learnConnections(connectionsMax: number): void {
    this.#remembered.connectionsMax = connectionsMax;
    this.#remembered.refusedMs = Date.now();
    this.#save();
  }

  /** Whether the server had no connection left for us within the last month. */
  get isCrowded(): boolean {
    return this.connectionsMax !== undefined || isFresh(this.#remembered.crowdedMs, CROWDED_AGE_MS);
  }

  /** Written down once a day at most: a server may refuse all day long. */
  learnCrowded(): void {
    if (isFresh(this.#remembered.crowdedMs)) return;
    this.#remembered.crowdedMs = Date.now();
    this.#save();
  }

  #save(): void {
    const temporary = `${this.#file}.new`;
    Deno.writeTextFileSync(temporary, JSON.stringify(this.#remembered));
    Deno.renameSync(temporary, this.#file);
  }
}

/** A refusal of the future was noted under a wrong clock. */
function isFresh(refusedMs: number | undefined, ageMs = REFUSAL_AGE_MS): boolean {
  return refusedMs !== undefined && Math.abs(Date.now() - refusedMs) < ageMs;
}
