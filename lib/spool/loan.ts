/**
 * A spool file that a target may take: it gets a second name in the target device's own folder, and the driver moves
 * that one into the target instead of copying the bytes. The spool's own name stays until the receipt is recorded.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { publishSpoolFile, removeFile } from "./publish.ts";
import { type SpoolFileStat, statSpoolFile } from "./spool_file.ts";

/** Copied at once; between two the event loop runs. */
const CHUNK_BYTES = 1024 * 1024;
const ZEROS = new Uint8Array(CHUNK_BYTES);
/** Where a file carries a label of the folder that it was made in, one from the spool has the wrong one. */
const LABELS = ["/sys/fs/selinux/enforce", "/sys/fs/smackfs"];

let hasLabels: boolean | undefined;

/** One spool file on offer to one target. */
export class Loan {
  readonly path: string;
  /** What the spool file is while nobody has touched it. */
  readonly stat: SpoolFileStat;
  #isTaken = false;

  private constructor(path: string, stat: SpoolFileStat) {
    this.path = path;
    this.stat = stat;
  }

  /** Offers `spoolFile` as `path`; `undefined` where that cannot be done, or would not be as good as a copy. */
  static offer(spoolFile: string, path: string): Loan | undefined {
    hasLabels ??= LABELS.some((sign) => existsSync(sign));
    if (hasLabels) return undefined;
    try {
      link(spoolFile, path);
    } catch {
      // What cannot be linked is copied, whatever the reason: the plugin may have taken its folder away.
      return undefined;
    }
    const stat = statSpoolFile(spoolFile);
    if (stat !== undefined) return new Loan(path, stat);
    Deno.removeSync(path);
    return undefined;
  }

  /** Whether the driver has moved it away. */
  get isTaken(): boolean {
    return this.#isTaken ||= statSpoolFile(this.path) === undefined;
  }

  /** Takes back what was not taken: nothing can be moved by this name any more. */
  async end(): Promise<void> {
    if (this.#isTaken) return;
    // One that stays is removed by the next offer, or at the next start.
    await removeFile(this.path).catch(() => {});
  }
}

function link(from: string, to: string): void {
  try {
    Deno.linkSync(from, to);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    // What an earlier offer left may be of other bytes.
    Deno.removeSync(to, { recursive: true });
    Deno.linkSync(from, to);
  }
}

/**
 * Puts a copy of `path` in its place, which shares its bytes with no other name. Holes stay holes.
 * @param partial where it is copied to; what a crash leaves there is a partial that nobody wants
 * @returns SHA-256 of the copy
 */
export async function copyAside(path: string, partial: string): Promise<string> {
  await removeFile(partial);
  const hash = createHash("sha256");
  try {
    using source = await Deno.open(path, { read: true });
    using copy = await Deno.open(partial, { write: true, createNew: true, mode: 0o600 });
    const buffer = new Uint8Array(CHUNK_BYTES);
    let sizeBytes = 0;
    for (let count = await source.read(buffer); count !== null; count = await source.read(buffer)) {
      const block = buffer.subarray(0, count);
      hash.update(block);
      sizeBytes += count;
      if (Buffer.compare(block, ZEROS.subarray(0, count)) === 0) await copy.seek(sizeBytes, Deno.SeekMode.Start);
      else await writeAll(copy, block);
    }
    await copy.truncate(sizeBytes);
    await copy.sync();
    await publishSpoolFile(partial, path);
  } catch (error) {
    await removeFile(partial).catch(() => {});
    throw error;
  }
  return hash.digest("hex");
}

async function writeAll(file: Deno.FsFile, block: Uint8Array): Promise<void> {
  for (let at = 0; at < block.length;) at += await file.write(block.subarray(at));
}
