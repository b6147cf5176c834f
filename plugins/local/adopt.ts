/**
 * Publishing without a copy. What the host lets us take is the spooled file itself, proven and fsynced: it is moved into
 * the target where it is then as good as a copy made there. Half the writes to the card, and no second fsync of the bytes.
 */
import { parentOf, Together } from "../../lib/driver/mod.ts";
import { keepTime } from "./gather.ts";
import { isWithoutLinks, osCode } from "./os_errors.ts";
import { chooseName, claim, look, type Publication, removeLeftover, replace } from "./publish.ts";

/** How long what new files in a directory are like is believed, milliseconds. */
const KNOWN_MS = 60_000;
/** Directories that are remembered at most. */
const KNOWN_MAX = 1000;
/** What an upload's file gets, less the umask. */
const FILE_MODE = 0o644;
/** Fsyncs under way at once: each takes a thread. */
const SYNCS_MAX = 32;

interface Known {
  identity: string;
  atMs: number;
  isOrdinary: boolean;
}

/** Moves spool files into a target, with the looks of files that were made there. */
export class Adoption {
  readonly #known = new Map<string, Known>();
  readonly #syncs = new Together<Deno.FsFile>(
    (files) => Promise.allSettled(files.map((file) => file.sync())),
    SYNCS_MAX,
  );

  /**
   * Gives the spool file itself a name; returns that, or `undefined` when it must be copied. What has its final name has
   * its mode and time, and they survive a loss of power.
   */
  async publish(publication: Publication): Promise<string | undefined> {
    const { root, spool, temporary, params, looking } = publication;
    if (params.mayTake !== true || isPublished(publication) || !this.#isAsGood(publication)) return undefined;
    Deno.chmodSync(params.spoolFile, FILE_MODE & ~umask());
    if (params.modifiedMs !== undefined) keepTime(spool, params.modifiedMs);
    await this.#syncs.add(spool);
    for (let { path, occupant } = publication.name;;) {
      looking.call.signal.throwIfAborted();
      if (occupant === "unproven") return undefined;
      try {
        const isPlaced = occupant === "same" || place(publication, path);
        if (isPlaced) {
          // An earlier attempt may have begun to copy.
          removeLeftover(temporary);
          return path;
        }
      } catch (error) {
        if (isWithoutLinks(error) || osCode(error) === "EXDEV") return undefined;
        throw error;
      }
      ({ path, occupant } = await chooseName(root, params, looking));
    }
  }

  /** Whether a link is as good as a copy: same filesystem, and the owner, group and mode that a new file gets. */
  #isAsGood({ root, spool, params, temporary }: Publication): boolean {
    const info = spool.statSync();
    const directory = root.join(parentOf(params.path));
    const place = Deno.statSync(directory);
    if (!info.isFile || info.size !== params.sizeBytes || place.dev !== info.dev) return false;
    const identity = [place.dev, place.ino, place.mode, place.uid, place.gid, info.uid, info.gid].join();
    const known = this.#known.get(directory);
    const nowMs = performance.now();
    if (known !== undefined && known.identity === identity && nowMs - known.atMs < KNOWN_MS) return known.isOrdinary;
    const made = tried(temporary);
    if (made === undefined) return false;
    // A set-group-id bit, a default ACL or a share that maps users make it another.
    const isOrdinary = made.uid === info.uid && made.gid === info.gid &&
      ((made.mode ?? 0) & 0o7777) === (0o666 & ~umask());
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(directory, { identity, atMs: nowMs, isOrdinary });
    return isOrdinary;
  }
}

/** The bytes have the name already. */
function isPublished({ name }: Publication): boolean {
  return name.occupant === "same";
}

/** Moves the file to `path`; returns `false` when something else has that name and must keep it. */
function place({ root, params }: Publication, path: string): boolean {
  if (params.onExisting !== "replace") return claim(root, params.spoolFile, path);
  replace(root, params.spoolFile, path);
  return true;
}

/**
 * What a new file is like where `temporary` is: tried, since only the filesystem knows. A crash leaves nothing that the
 * next attempt of this upload does not remove. `undefined`: an interrupted copy is there, and is gone on with.
 */
function tried(temporary: string): Deno.FileInfo | undefined {
  if ((look(temporary)?.size ?? 0) > 0) return undefined;
  removeLeftover(temporary);
  using file = Deno.openSync(temporary, { write: true, createNew: true, mode: 0o666 });
  Deno.removeSync(temporary);
  return file.statSync();
}

let mask: number | undefined;

/** Of this process: asked once. */
function umask(): number {
  return mask ??= Deno.umask();
}
