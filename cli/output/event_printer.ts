/**
 * Events on stdout, one object a line, for `sync --json`. A reader that does not keep up never holds up a file: what
 * finds no room is dropped, progress first, and the next line that comes through says how many were.
 */
import type { Config } from "../../lib/config/types.ts";
import { type EventTeller, type FilesyncEvent, mayWait, Outlet, type OutletStream } from "../../lib/observe/mod.ts";
import { tellerOf } from "../../lib/engine/teller.ts";
import { safeJson } from "../context.ts";

/** Characters that wait for the reader at most. */
const WAITING_MAX = 8 * 1024 * 1024;
/** With so many waiting, a reader is behind: how far a file is now will be old news. */
const BEHIND = 256 * 1024;

export class EventPrinter {
  readonly #outlet: Outlet;
  readonly #teller: EventTeller;
  #dropped = 0;
  #isTold = false;

  constructor(config: Config, stream: OutletStream = Deno.stdout) {
    this.#outlet = new Outlet(stream, { waitingMax: WAITING_MAX, mayWait: mayWait("/dev/stdout") });
    this.#teller = tellerOf(config);
  }

  /** Prints an event; `false` for the first one that nobody can read any more. */
  print(event: FilesyncEvent): boolean {
    if (!this.#outlet.isOpen) {
      const isNews = !this.#isTold;
      this.#isTold = true;
      return !isNews;
    }
    if (event.event === "progress" && this.#outlet.waiting > BEHIND) return true;
    const line = {
      ...this.#teller.tell(event),
      ...(this.#dropped === 0 ? {} : { eventsDropped: this.#dropped }),
    };
    const before = this.#outlet.dropped;
    this.#outlet.write(safeJson(line) + "\n");
    if (this.#outlet.dropped > before) this.#dropped++;
    else this.#dropped = 0;
    return true;
  }

  /** Waits until all is read, or until nothing was for `patienceMs`. */
  async end(patienceMs: number): Promise<void> {
    await this.#outlet.flush(patienceMs);
  }
}
