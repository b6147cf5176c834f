/** SHA-256 of spool files, computed by the host: the identity that receipts speak of. */
import { createHash, type Hash } from "node:crypto";
import { syncTogether } from "./publish.ts";

/** Read at once; between two reads the event loop runs. */
const CHUNK_BYTES = 1024 * 1024;
/** Read at once of a small file. */
const BLOCK_BYTES = 128 * 1024;

/**
 * Hashes a file while it grows: `follow` takes in what is known to be there, `finish` the rest. The bytes are read back
 * from the file, so it is the spool's content that is hashed and not what a driver said it wrote.
 */
export class FileHasher {
  readonly #path: string;
  #hash: Hash | undefined;
  #file: Deno.FsFile | undefined;
  #positionBytes = 0;
  #targetBytes = 0;
  #running: Promise<void> | undefined;
  #isStale = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** Lets the hash follow up to `bytes`; returns at once. A failure shows in {@linkcode FileHasher.finish}. */
  follow(bytes: number): void {
    if (this.#isStale) return;
    this.#targetBytes = Math.max(this.#targetBytes, bytes);
    this.#running ??= this.#run().finally(() => this.#running = undefined);
    this.#running.catch(() => {});
  }

  /** What was followed may have been written anew: the whole file is read at the end. */
  restart(): void {
    this.#isStale = true;
    this.#targetBytes = 0;
  }

  /**
   * Hashes up to `sizeBytes`.
   * @returns lower-case hex, and the number of bytes that were read
   */
  async finish(sizeBytes: number): Promise<{ sha256: string; readBytes: number }> {
    try {
      await this.#running;
      if (this.#isStale) return await new FileHasher(this.#path).finish(sizeBytes);
      this.#targetBytes = sizeBytes;
      await this.#run();
      this.#hash ??= createHash("sha256");
      return { sha256: this.#hash.digest("hex"), readBytes: this.#positionBytes };
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#targetBytes = 0;
    this.#file?.close();
    this.#file = undefined;
  }

  async #run(): Promise<void> {
    if (this.#positionBytes >= this.#targetBytes) return;
    this.#file ??= await Deno.open(this.#path, { read: true });
    const hash = this.#hash ??= createHash("sha256");
    const buffer = new Uint8Array(Math.min(CHUNK_BYTES, this.#targetBytes - this.#positionBytes));
    while (this.#positionBytes < this.#targetBytes) {
      const want = Math.min(buffer.length, this.#targetBytes - this.#positionBytes);
      const count: number | null = await this.#file.read(buffer.subarray(0, want));
      if (count === null) return;
      hash.update(buffer.subarray(0, count));
      this.#positionBytes += count;
    }
  }
}

// One for all: a small file is read without a pause, and a buffer for each would be garbage of its size.
let block: Uint8Array | undefined;

/**
 * Hashes a small file and makes its bytes survive a power cut, with one open.
 * @returns lower-case hex, and the number of bytes that were read
 */
export async function hashAndSync(path: string, sizeBytes: number): Promise<{ sha256: string; readBytes: number }> {
  const file = Deno.openSync(path, { read: true, write: true });
  try {
    const hash = createHash("sha256");
    let readBytes = 0;
    block ??= new Uint8Array(BLOCK_BYTES);
    while (readBytes < sizeBytes) {
      const count = file.readSync(block.subarray(0, Math.min(block.length, sizeBytes - readBytes)));
      if (count === null) break;
      hash.update(block.subarray(0, count));
      readBytes += count;
    }
    await syncTogether(file);
    return { sha256: hash.digest("hex"), readBytes };
  } finally {
    file.close();
  }
}

/** Checksums that sources offer and that are worth comparing; SHA-256 is computed in any case. */
const OFFERED: readonly string[] = ["md5", "sha1", "sha224", "sha384", "sha512"];

/** The checksum of a whole file by an algorithm that a source may offer; `undefined` for one that is not known here. */
export async function checksumOf(path: string, algorithm: string): Promise<string | undefined> {
  if (!OFFERED.includes(algorithm)) return undefined;
  const hash = createHash(algorithm);
  using file = await Deno.open(path, { read: true });
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (let count = await file.read(buffer); count !== null; count = await file.read(buffer)) {
    hash.update(buffer.subarray(0, count));
  }
  return hash.digest("hex");
}

const SAMPLE_BYTES = 4096;
const SAMPLES = 32;

/**
 * A digest of places spread over the first `lengthBytes` of a file, its end among them: whether somebody wrote there
 * anew, without reading all of it. Of a shorter file it differs.
 */
export function samplePrefix(path: string, lengthBytes: number): string {
  const hash = createHash("sha256");
  using file = Deno.openSync(path, { read: true });
  const buffer = new Uint8Array(SAMPLE_BYTES);
  const lastBytes = Math.max(0, lengthBytes - SAMPLE_BYTES);
  for (let sample = 0; sample < SAMPLES; sample++) {
    const at = Math.floor((lastBytes * sample) / (SAMPLES - 1));
    file.seekSync(at, Deno.SeekMode.Start);
    const count = file.readSync(buffer.subarray(0, Math.min(SAMPLE_BYTES, lengthBytes - at))) ?? 0;
    hash.update(`${at}:${count}:`).update(buffer.subarray(0, count));
  }
  return hash.digest("hex");
}

/** SHA-256 of a whole file, lower-case hex. */
export async function hashFile(path: string, sizeBytes: number): Promise<{ sha256: string; readBytes: number }> {
  return await new FileHasher(path).finish(sizeBytes);
}
