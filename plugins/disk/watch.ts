/** When it is looked what is plugged in and mounted: as soon as the system tells of a change, else hardly ever. */
import { Bell } from "../../lib/driver/mod.ts";
import { SystemEvents } from "./system_events.ts";

/**
 * Between two looks while nothing is told, milliseconds: a reader of cards may not be asked by its kernel whether it has
 * one, and a drive may be formatted where nobody tells of it.
 */
export const CALM_MS = 15_000;
/** Between two looks where the system tells nothing, milliseconds: a drive is to be there within 2 s. */
const UNTOLD_MS = 1000;
/** For so long after a change it is looked as often as without being told: partitions and links may follow. */
const FOLLOWED_MS = 5000;
/** What is told within this time is looked at once: a dozen messages come with a drive. */
const GATHER_MS = 50;

/** What a watch is made with. */
export interface WatchOptions {
  /** @default {what this system tells} */
  events?: Pick<SystemEvents, "next" | "close"> | undefined;
}

export class Watch {
  readonly #look: () => Promise<void>;
  readonly #events: WatchOptions["events"];
  readonly #ending = new AbortController();

  /** Begins. @param look tells what changed; fails never */
  constructor(look: () => Promise<void>, options: WatchOptions = { events: SystemEvents.open() }) {
    this.#look = look;
    this.#events = options.events;
    void this.#run();
  }

  async close(): Promise<void> {
    this.#ending.abort();
    await this.#events?.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    const pause = new Bell();
    let isFollowedUntilMs = performance.now() + FOLLOWED_MS;
    while (!signal.aborted) {
      await this.#look();
      if (this.#events === undefined) {
        await pause.wait(signal, UNTOLD_MS);
        continue;
      }
      const isFollowed = performance.now() < isFollowedUntilMs;
      if (!await this.#events.next(isFollowed ? UNTOLD_MS : CALM_MS)) continue;
      isFollowedUntilMs = performance.now() + FOLLOWED_MS;
      await pause.wait(signal, GATHER_MS);
    }
  }
}
