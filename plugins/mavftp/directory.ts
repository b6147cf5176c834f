/** Listings of the autopilot's directories, page by page, for both families of servers. */
import { DriverError } from "../../lib/driver/mod.ts";
import { isNak } from "./channel.ts";
import { fileCrc } from "./crc.ts";
import { type FtpReply, NAK, nakWords, OPCODE } from "./ftp_codec.ts";
import { type ListedName, parseListing } from "./parse_listing.ts";
import type { Station } from "./station.ts";

/** Pages that tell no name, one after another: PX4 answers so without end when its card cannot be read. */
const EMPTY_PAGES_MAX = 2;
/** A listing with times is asked for so often before it counts as not known. */
const PROBE_TRIES = 3;
/** Pages that were there before: names are listed once, so that a listing that begins anew has no end. */
const REPEATED_PAGES_MAX = 3;
/** Index of an entry is a number of 32 bits; this is more than a card can hold. */
const ENTRIES_MAX = 1_000_000;

/** A directory that is not there. */
export class DirectoryMissing extends Error {}

export interface ListDirectoryOptions {
  signal?: AbortSignal | undefined;
  /** Gets each page's names; the next page is asked for when it has resolved. */
  take: (names: ListedName[]) => void | Promise<void>;
  /** Enough was heard. */
  isEnough?: () => boolean;
  /** How often a page is asked for before the server counts as mute. @default {8} */
  tries?: number | undefined;
}

/** Lists directories; remembers whether this server tells times. */
export class Directories {
  readonly #station: Station;
  #hasTimes: boolean | undefined;

  constructor(station: Station) {
    this.#station = station;
  }

  /** Whether listings tell when a file was changed; `undefined` until one was asked for. */
  get hasTimes(): boolean | undefined {
    return this.#hasTimes;
  }

  /**
   * Lists `path`, bytes as they are on the autopilot.
   * @throws {DirectoryMissing}
   */
  async list(path: Uint8Array, options: ListDirectoryOptions): Promise<void> {
    const { signal, take, isEnough, tries } = options;
    const { channel } = this.#station;
    let session = 0;
    let index = 0;
    let emptyPages = 0;
    let repeatedPages = 0;
    const pages = new Set<number>();
    try {
      for (;;) {
        const opcode = this.#hasTimes === false ? OPCODE.LIST : OPCODE.LIST_WITH_TIME;
        const isProbe = opcode === OPCODE.LIST_WITH_TIME && this.#hasTimes === undefined;
        let reply: FtpReply;
        try {
          reply = await channel.ask(
            { opcode, session, offset: index, data: path },
            { signal, ...(isProbe ? { tries: PROBE_TRIES } : tries === undefined ? {} : { tries }) },
          );
        } catch (error) {
          // A server may be silent for what it does not know.
          if (!isProbe || !(error instanceof DriverError) || error.code !== "unavailable") throw error;
          if (!this.#station.gate.isOpen) throw error;
          this.#hasTimes = false;
          continue;
        }
        if (isNak(reply, NAK.EOF)) return;
        if (!reply.isAck) {
          if (isProbe && isNak(reply, NAK.UNKNOWN, NAK.FAIL)) {
            this.#hasTimes = false;
            continue;
          }
          throw this.#explain(reply, index);
        }
        this.#hasTimes = opcode === OPCODE.LIST_WITH_TIME;
        // ArduPilot gives a session to each request that comes without one: stay in the first.
        session = reply.session;
        const page = parseListing(reply.data, opcode === OPCODE.LIST_WITH_TIME);
        // PX4 answers so for an empty directory.
        if (page.recordCount === 0) return;
        emptyPages = page.names.length === 0 ? emptyPages + 1 : 0;
        if (page.names.length === 0 && emptyPages > EMPTY_PAGES_MAX && page.skippedCount === page.recordCount) {
          throw new DriverError("failed", "Autopilot cannot read its directory: it lists entries without names", {
            hint: "Check the SD card",
          });
        }
        index += page.recordCount;
        if (page.names.length > 0) {
          const sum = fileCrc(reply.data);
          if (pages.has(sum)) repeatedPages++;
          pages.add(sum);
        }
        if (index > ENTRIES_MAX || repeatedPages > REPEATED_PAGES_MAX) {
          throw new DriverError("failed", "Autopilot's listing does not end");
        }
        if (page.names.length > 0) await take(page.names);
        if (isEnough?.() === true) return;
      }
    } finally {
      if (session !== 0) await this.#end(session);
    }
  }

  /** A session that only listed is one of five: given back. */
  async #end(session: number): Promise<void> {
    if (!this.#station.gate.isOpen) return;
    try {
      await this.#station.channel.ask({ opcode: OPCODE.TERMINATE, session }, { tries: 2 });
    } catch {
      // It ends by itself when it is idle.
    }
  }

  #explain(reply: FtpReply, index: number): Error {
    if (index === 0 && isNak(reply, NAK.NOT_FOUND, NAK.FAIL, NAK.ERRNO)) return new DirectoryMissing(nakWords(reply));
    if (isNak(reply, NAK.NO_SESSIONS)) {
      return new DriverError("held", "Autopilot has no session free for a listing", { retryAfterMs: 5000 });
    }
    if (isNak(reply, NAK.UNKNOWN)) return new DriverError("unsupported", "Autopilot does not list directories");
    return new DriverError("failed", `Autopilot answers a listing: ${nakWords(reply)}`);
  }
}
