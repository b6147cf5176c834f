/**
 * Bytes beyond a hole, kept in `stateDir` so that an interruption does not fetch them again: records of an offset, a
 * length and the bytes, in the order in which they came. Tied to the file's identity; at most 1 MiB.
 */
import type { Chunk } from "./assembly.ts";

/** Most bytes of one stash: the contract's limit. */
const STASH_BYTES_MAX = 1024 * 1024;
/** Stashes of files that were never finished; the oldest go first. */
const STASHES_MAX = 32;
const RECORD_HEAD_BYTES = 8;
const MAGIC = "filesync mavftp 1\n";
const NAME = /^ahead-[0-9a-f]{16}$/;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Stash {
  readonly #file: string;
  readonly #directory: string;
  readonly #identity: string;
  #sizeBytes = 0;
  #writing: Promise<void> = Promise.resolve();

  private constructor(directory: string, name: string, identity: string) {
    this.#directory = directory;
    this.#file = `${directory}/${name}`;
    this.#identity = identity;
  }

  /** @param identity what tells this very content: device, path, fingerprint */
  static async open(stateDir: string, identity: string): Promise<Stash> {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(identity)));
    return new Stash(stateDir, `ahead-${hash.subarray(0, 8).toHex()}`, identity);
  }

  get #head(): string {
    return `${MAGIC}${JSON.stringify(this.#identity)}\n`;
  }

  /** What an earlier process left, the last one received at the end. A record that was cut off ends it. */
  async load(): Promise<Chunk[]> {
    let bytes: Uint8Array;
    try {
      bytes = await Deno.readFile(this.#file);
    } catch {
      return [];
    }
    const head = this.#head;
    const headBytes = encoder.encode(head).length;
    if (bytes.length > STASH_BYTES_MAX || decoder.decode(bytes.subarray(0, headBytes)) !== head) return [];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const chunks: Chunk[] = [];
    for (let at = headBytes; at + RECORD_HEAD_BYTES <= bytes.length;) {
      const length = view.getUint32(at + 4, true);
      const end = at + RECORD_HEAD_BYTES + length;
      if (length === 0 || end > bytes.length) break;
      chunks.push({ at: view.getUint32(at, true), bytes: bytes.slice(at + RECORD_HEAD_BYTES, end) });
      at = end;
    }
    return chunks;
  }

  /** Adds pieces; resolves when they are written. A disk that cannot take them costs repetition only. */
  add(chunks: readonly Chunk[]): Promise<void> {
    const records = chunks.reduce((sum, { bytes }) => sum + RECORD_HEAD_BYTES + bytes.length, 0);
    if (this.#sizeBytes + records > STASH_BYTES_MAX) return this.#writing;
    return this.#then(() => this.#append(chunks));
  }

  /** Holds exactly these pieces from now on. */
  replace(chunks: readonly Chunk[]): Promise<void> {
    this.#sizeBytes = 0;
    return this.#then(async () => {
      await this.#remove();
      if (chunks.length > 0) await this.#append(chunks);
    });
  }

  /** Nothing is kept any more. */
  clear(): Promise<void> {
    return this.replace([]);
  }

  /** Resolves when all that was asked for is done. */
  settled(): Promise<void> {
    return this.#writing;
  }

  #then(work: () => Promise<void>): Promise<void> {
    this.#writing = this.#writing.then(work).catch(() => {
      // What is missing here is fetched again.
    });
    return this.#writing;
  }

  async #append(chunks: readonly Chunk[]): Promise<void> {
    const head = this.#sizeBytes === 0 ? encoder.encode(this.#head) : new Uint8Array(0);
    const total = chunks.reduce((sum, { bytes }) => sum + RECORD_HEAD_BYTES + bytes.length, head.length);
    const block = new Uint8Array(total);
    const view = new DataView(block.buffer);
    block.set(head);
    let at = head.length;
    for (const { at: offset, bytes } of chunks) {
      view.setUint32(at, offset, true);
      view.setUint32(at + 4, bytes.length, true);
      block.set(bytes, at + RECORD_HEAD_BYTES);
      at += RECORD_HEAD_BYTES + bytes.length;
    }
    const isNew = this.#sizeBytes === 0;
    this.#sizeBytes += total;
    if (isNew) await dropOldest(this.#directory);
    await Deno.writeFile(this.#file, block, isNew ? { mode: 0o600 } : { append: true });
  }

  async #remove(): Promise<void> {
    try {
      await Deno.remove(this.#file);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** Keeps the number of stashes bounded. */
async function dropOldest(directory: string): Promise<void> {
  const found: { path: string; changedMs: number }[] = [];
  for await (const { name } of Deno.readDir(directory)) {
    if (!NAME.test(name)) continue;
    const path = `${directory}/${name}`;
    found.push({ path, changedMs: (await Deno.stat(path)).mtime?.getTime() ?? 0 });
  }
  found.sort((a, b) => b.changedMs - a.changedMs);
  for (const { path } of found.slice(STASHES_MAX - 1)) await Deno.remove(path);
}
