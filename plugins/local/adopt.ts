/**
 * Publishing without a copy. Where the spool lies on the target's filesystem and the host says that nobody else reads
 * the spool file, that very file gets its name in the target, by a hard link: its bytes were proven and fsynced when
 * they were spooled. Half the writes to the card, and no second fsync of the bytes.
 */
import { parentOf, temporaryPath } from "../../lib/driver/mod.ts";
import { hashFile } from "./copy.ts";
import { keepTime } from "./gather.ts";
import { isPresent, isWithoutLinks, osCode } from "./os_errors.ts";
import { chooseName, type Publication, removeLeftover } from "./publish.ts";

/** Younger than this, a spool file was hashed just now, and reading it again would read the same memory, milliseconds. */
const FRESH_MS = 60_000;
/** How long what new files in a directory are like is believed, milliseconds. */
const KNOWN_MS = 60_000;
/** Directories that are remembered at most. */
const KNOWN_MAX = 1000;
/** What an upload's file gets, less the umask. */
const FILE_MODE = 0o644;

interface Known {
  identity: string;
  atMs: number;
  isOrdinary: boolean;
}

/** Links spool files into a target, with the looks of a file that was made there. */
export class Adoption {
  readonly #nowMs: () => number;
  readonly #known = new Map<string, Known>();

  /** @param nowMs wall-clock time: the age of a file is judged by it */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /**
   * Gives the spool file itself a name; returns that, or `undefined` when it must be copied. Its mode and time are to be
   * fsynced.
   */
  async publish(publication: Publication): Promise<string | undefined> {
    const { root, spool, temporary, params, looking } = publication;
    if (!await this.#isFit(publication)) return undefined;
    Deno.chmodSync(params.spoolFile, FILE_MODE & ~umask());
    if (params.modifiedMs !== undefined) keepTime(spool, params.modifiedMs);
    for (let { path, occupant } = publication.name; occupant !== "unproven";) {
      looking.call.signal.throwIfAborted();
      // An earlier attempt may have begun to copy.
      removeLeftover(temporary);
      try {
        if (occupant !== "same") {
          link(params.spoolFile, root.join(path), params.onExisting === "replace" ? temporary : undefined);
        }
        return path;
      } catch (error) {
        if (isWithoutLinks(error) || osCode(error) === "EXDEV") return undefined;
        if (!isPresent(error)) throw error;
      }
      ({ path, occupant } = await chooseName(root, params, looking));
    }
    return undefined;
  }

  /** Whether a link is as good as a copy. */
  async #isFit({ root, spool, params, looking }: Publication): Promise<boolean> {
    if (params.mayLink !== true) return false;
    const directory = root.join(parentOf(params.path));
    const info = spool.statSync();
    const place = Deno.statSync(directory);
    if (info.dev !== place.dev || !info.isFile || info.size !== params.sizeBytes) return false;
    if (!await this.#isOrdinary(directory, place, info)) return false;
    // One that lay there for long is read once more: its disk may have gone bad.
    const ageMs = this.#nowMs() - (info.ctime?.getTime() ?? 0);
    return (ageMs >= 0 && ageMs < FRESH_MS) || await hashFile(spool, looking.call) === params.sha256;
  }

  /**
   * Whether a file that is made in the directory gets the spool file's owner and group and an ordinary mode. A
   * set-group-id bit, a default ACL or a share that maps users make it another, and a link would not.
   */
  async #isOrdinary(directory: string, place: Deno.FileInfo, spool: Deno.FileInfo): Promise<boolean> {
    const identity = [place.dev, place.ino, place.mode, place.uid, place.gid, spool.uid, spool.gid].join();
    const known = this.#known.get(directory);
    const nowMs = performance.now();
    if (known !== undefined && known.identity === identity && nowMs - known.atMs < KNOWN_MS) return known.isOrdinary;
    const made = await this.#madeIn(directory);
    const isOrdinary = made.uid === spool.uid && made.gid === spool.gid &&
      ((made.mode ?? 0) & 0o7777) === (0o666 & ~umask());
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(directory, { identity, atMs: nowMs, isOrdinary });
    return isOrdinary;
  }

  /** What a new file in `directory` is like: tried, since only the filesystem knows. */
  async #madeIn(directory: string): Promise<Deno.FileInfo> {
    const random = crypto.getRandomValues(new Uint8Array(8)).toHex();
    const path = `${directory}/${await temporaryPath("", random)}`;
    using file = Deno.openSync(path, { write: true, createNew: true, mode: 0o666 });
    Deno.removeSync(path);
    return file.statSync();
  }
}

/** `over`: the temporary name through which what has `final` is replaced in one step; absent: `final` must be free. */
function link(spoolFile: string, final: string, over: string | undefined): void {
  Deno.linkSync(spoolFile, over ?? final);
  if (over !== undefined) Deno.renameSync(over, final);
}

let mask: number | undefined;

/** Of this process: asked once. */
function umask(): number {
  return mask ??= Deno.umask();
}
