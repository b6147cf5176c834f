/**
 * The contract's methods on the files below a root of this machine, for drivers whose device is a directory. Promises
 * that an upload is published in one step and survives a loss of power, and that links are not followed.
 */
import {
  type Call,
  type Capabilities,
  conflictPath,
  type DownloadParams,
  type DownloadResult,
  DriverError,
  type Entry,
  fingerprintOf,
  type ListParams,
  parentOf,
  type Receipt,
  type RemoveParams,
  sameFingerprint,
  temporaryPath,
  type UploadParams,
} from "../../lib/driver/mod.ts";
import { SpoolWriter } from "../../lib/protocol/serve.ts";
import { Adoption } from "./adopt.ts";
import { Pace, pump } from "./copy.ts";
import { DirectorySync, makeParents } from "./directories.ts";
import { gather } from "./gather.ts";
import { isAbsent } from "./os_errors.ts";
import { Queues } from "./queues.ts";
import { chooseName, claim, isRefusedName, occupantOf, type Publication, removeLeftover, replace } from "./publish.ts";
import type { Root } from "./root.ts";
import { entryFrom, walk } from "./walk.ts";

/** What these methods can do on any filesystem with times of at least this precision. */
export const FILE_CAPABILITIES: Capabilities = {
  /** While one call waits for the disk's fsync the others copy. */
  callsMax: 32,
  resumeDownload: true,
  resumeUpload: true,
  atomicReplace: true,
  repeatable: true,
  confirm: true,
  recursiveList: true,
  remove: true,
  rateLimit: true,
  modifiedPrecisionMs: 1,
  checksums: ["sha256"],
};

/** Patience that is asked for while the directories above a file are fsynced, milliseconds. */
const SYNC_WAIT_MS = 60_000;

/** The files below one root. */
export class Files {
  readonly root: Root;
  readonly #directories = new DirectorySync();
  readonly #uploads = new Queues();
  /** Final names whose fsync failed. */
  readonly #unproven = new Set<string>();
  readonly #adoption = new Adoption();

  constructor(root: Root) {
    this.root = root;
  }

  async list({ directory, recursive }: ListParams, call: Call): Promise<void> {
    const { root } = this;
    root.checkNames(directory, "failed");
    await walk(root, directory, recursive === true, call);
  }

  stat({ path }: { path: string }): Promise<Entry> {
    const { root } = this;
    root.checkNames(path, "failed");
    root.require();
    const entry = path === "" ? { path, kind: "directory" as const } : entryFrom(path, this.#look(root, path));
    if (entry === undefined) throw new DriverError("not_found", `"${path}" is neither a file nor a directory`);
    return Promise.resolve(entry);
  }

  async download(params: DownloadParams, call: Call): Promise<DownloadResult> {
    const { root } = this;
    const { path, expect } = params;
    root.checkNames(path, "failed");
    root.require();
    try {
      const before = this.#look(root, path);
      const fingerprint = fingerprintOf(this.#fileEntry(path, before));
      if (!sameFingerprint(fingerprint, expect)) throw changed(path, "is no longer the file that was found");
      using source = Deno.openSync(root.join(path));
      if (!isSame(before, source.statSync())) throw changed(path, "was replaced");
      using spool = new SpoolWriter(params.spoolFile, params.offsetBytes);
      if (params.offsetBytes > before.size) {
        throw new DriverError("corrupt", `Partial of "${path}" is longer than the file: ${before.size} bytes`);
      }
      call.progress(spool.startBytes);
      const endBytes = await pump(source, {
        startBytes: spool.startBytes,
        endBytes: before.size,
        take: (block) => spool.write(block),
        call,
        maxBytesPerSecond: params.maxBytesPerSecond,
      });
      if (endBytes !== before.size || !isSame(before, this.#look(root, path))) {
        throw changed(path, "changed while it was read");
      }
      return { sizeBytes: endBytes, fingerprint };
    } catch (error) {
      throw root.explain(error, `Cannot download "${path}"`, {
        scope: "file",
        deniedHint: `Allow the user that runs filesync to read it: chmod a+r "${root.join(path)}"`,
      });
    }
  }

  async upload(params: UploadParams, call: Call): Promise<Receipt> {
    const { root } = this;
    const { path } = params;
    root.checkNames(path, "rejected");
    root.require();
    try {
      // One at a time for a name: what is decided about it stays true until it is published.
      return await this.#uploads.run(path, () => this.#publish(root, params, call));
    } catch (error) {
      throw root.explain(error, `Cannot upload "${path}"`, {
        ...(parentOf(path) === "" ? {} : { scope: "file" }),
        deniedHint: `Allow the user that runs filesync to write there: ls -ld "${root.join(parentOf(path))}"`,
      });
    }
  }

  async confirm(params: UploadParams, call: Call): Promise<Receipt | null> {
    const { root } = this;
    root.checkNames(params.path, "rejected");
    root.require();
    try {
      if (isBehindLink(root, params.path)) return null;
      let path = params.path;
      for (let n = 2;; n++) {
        const occupant = await occupantOf(root, path, params, { call, unproven: this.#unproven });
        if (occupant === "same") {
          // Whoever published it may have ended before it removed the other name.
          removeLeftover(root.join(await temporaryPath(params.path, params.sha256)));
          await this.#syncNames(root, path, call);
          return receipt(path, params);
        }
        if (occupant !== "other" || params.onExisting !== "rename") return null;
        path = conflictPath(params.path, n);
      }
    } catch (error) {
      throw root.explain(error, `Cannot look for "${params.path}"`, { scope: "file" });
    }
  }

  async remove({ path, expect }: RemoveParams): Promise<void> {
    const { root } = this;
    root.checkNames(path, "failed");
    root.require();
    try {
      if (root.hasLinkAbove(path)) throw changed(path, "is behind a symbolic link now");
      const info = Deno.lstatSync(root.join(path));
      if (!info.isFile || !sameFingerprint(this.#fileEntry(path, info), expect)) {
        throw changed(path, "is no longer the file that was found");
      }
      Deno.removeSync(root.join(path));
      await this.#directories.sync(root.join(parentOf(path)));
    } catch (error) {
      const reason = root.explain(error, `Cannot remove "${path}"`, {
        scope: "file",
        deniedHint: `Allow the user that runs filesync to write to "${root.join(parentOf(path))}"`,
      });
      if (!(reason instanceof DriverError && reason.code === "not_found")) throw reason;
      // It may be gone in the system's memory only: we were killed, or its fsync failed.
      await this.#directories.syncWhatIsThere(root, parentOf(path));
    }
  }

  async #publish(root: Root, params: UploadParams, call: Call): Promise<Receipt> {
    this.#directories.noteMade(makeParents(root, params.path));
    const temporary = root.join(await temporaryPath(params.path, params.sha256));
    using spool = Deno.openSync(params.spoolFile);
    const looking = { call, unproven: this.#unproven };
    const path = await this.#named({ root, spool, temporary, params, looking });
    await this.#syncNames(root, path, call);
    this.#unproven.delete(path);
    return receipt(path, params);
  }

  /** Publishes the spool file itself or a copy; returns its name. What is refused for good leaves nothing gathered. */
  async #named(wanted: Omit<Publication, "name">): Promise<string> {
    try {
      const publication = { ...wanted, name: await chooseName(wanted.root, wanted.params, wanted.looking) };
      return await this.#adoption.publish(publication) ?? await this.#gathered(publication);
    } catch (error) {
      if (error instanceof DriverError && error.code === "rejected") removeLeftover(wanted.temporary);
      throw error;
    }
  }

  /** Publishes a copy of the spool file; returns its name. */
  async #gathered(publication: Publication): Promise<string> {
    const { root, spool, temporary, name, params, looking } = publication;
    if (name.occupant !== "same") await gather(spool, temporary, params, { root, call: looking.call });
    try {
      return await this.#published(publication);
    } catch (error) {
      if (!isRefusedName(error, temporary)) throw error;
      throw new DriverError("rejected", `Cannot upload "${params.path}": the filesystem refuses the name`, {
        hint: 'FAT and exFAT take no name with " * : < > ? \\ |. Rename the file, or choose another target',
        cause: error,
      });
    }
  }

  /** Gives what was gathered its name; returns that. */
  async #published({ root, temporary, name, params, looking }: Publication): Promise<string> {
    for (let { path, occupant } = name;;) {
      if (occupant === "same") {
        removeLeftover(temporary);
        return path;
      }
      looking.call.signal.throwIfAborted();
      // What seems to be there already are the same bytes: writing them anew takes nothing from anybody.
      if (params.onExisting === "replace" || occupant === "unproven") {
        replace(root, temporary, path);
        return path;
      }
      if (claim(root, temporary, path)) return path;
      ({ path, occupant } = await chooseName(root, params, looking));
    }
  }

  /** Makes a final name survive a loss of power, or has it written anew by the next upload. */
  async #syncNames(root: Root, path: string, call: Call): Promise<void> {
    const pace = new Pace(call, SYNC_WAIT_MS);
    try {
      await this.#directories.syncNames(root, path, () => pace.rest(0));
    } catch (error) {
      this.#unproven.add(path);
      throw error;
    }
  }

  #look(root: Root, path: string): Deno.FileInfo {
    try {
      if (root.hasLinkAbove(path)) {
        throw new DriverError("not_found", `"${path}" is behind a symbolic link, which is not followed`);
      }
      return Deno.lstatSync(root.join(path));
    } catch (error) {
      throw root.explain(error, `Cannot find "${path}"`, { scope: "file" });
    }
  }

  #fileEntry(path: string, info: Deno.FileInfo): Entry {
    const entry = entryFrom(path, info);
    if (entry?.kind !== "file") throw new DriverError("not_found", `"${path}" is no file`);
    return entry;
  }
}

function isBehindLink(root: Root, path: string): boolean {
  try {
    return root.hasLinkAbove(path);
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

/** The same bytes, as far as the filesystem can tell. */
function isSame(a: Deno.FileInfo, b: Deno.FileInfo): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtime?.getTime() === b.mtime?.getTime() &&
    a.ctime?.getTime() === b.ctime?.getTime();
}

function receipt(path: string, params: UploadParams): Receipt {
  return {
    path,
    sizeBytes: params.sizeBytes,
    checksum: { algorithm: "sha256", value: params.sha256 },
    verified: "checksum",
  };
}

function changed(path: string, what: string): DriverError {
  return new DriverError("changed", `"${path}" ${what}`);
}
