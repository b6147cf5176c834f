/**
 * Bytes from file to file in bounded, synchronous slices: 2 to 5 times faster than asynchronous reads in a process that
 * has nothing else to do, and between two slices a `$/cancel` or `$/limit` is heard.
 */
import type { Call } from "../../lib/driver/mod.ts";
import { isZero } from "../../lib/protocol/serve.ts";
import { newHash } from "./hash.ts";

/** Read and written at once, bytes: the fastest of 64 KiB to 1 MiB. */
export const BLOCK_BYTES = 256 * 1024;
/** Smallest block under a rate limit, bytes; also what is waited for at once, so that a slow call shows that it lives. */
const STEP_BYTES = 16 * 1024;
/** Longest time without listening to the host, milliseconds. */
const SLICE_MS = 20;
/** Patience that is asked for while a file is hashed, milliseconds. */
const HASH_WAIT_MS = 60_000;
/** Time between two progress reports, milliseconds; the contract sends at most five a second. */
const REPORT_MS = 200;

/** Keeps a long call polite: gives the event loop its turn, tells progress, waits for the rate limit. */
export class Pace {
  readonly #call: Call;
  readonly #waitMs: number | undefined;
  #sliceMs = performance.now();
  #reportMs = performance.now();

  /** @param waitMs nothing moves meanwhile: ask for so much patience */
  constructor(call: Call, waitMs?: number) {
    this.#call = call;
    this.#waitMs = waitMs;
  }

  /** After each block. @param doneBytes what to report when it is time to */
  async rest(doneBytes: number): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.#reportMs >= REPORT_MS) {
      this.#reportMs = nowMs;
      this.#call.progress(doneBytes, this.#waitMs === undefined ? {} : { waitMs: this.#waitMs });
    }
    if (nowMs - this.#sliceMs < SLICE_MS) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#sliceMs = performance.now();
    this.#call.signal.throwIfAborted();
  }

  /** Before `bytes` are moved under the rate limit. */
  async wait(bytes: number, doneBytes: number): Promise<void> {
    for (let left = bytes; left > 0; left -= STEP_BYTES) {
      await this.#call.throttle(Math.min(left, STEP_BYTES));
      await this.rest(doneBytes);
    }
  }
}

export interface PumpOptions {
  /** Where to start in the source, bytes. */
  startBytes: number;
  /** Where to stop; a source that ends before is told by the result. */
  endBytes: number;
  /** Takes each block, which lies at `atBytes` of the file; the buffer is used again afterwards. */
  take: (block: Uint8Array, atBytes: number) => void;
  call: Call;
  maxBytesPerSecond?: number | undefined;
}

/** Moves `source` from `startBytes` to `endBytes` into `take` under the call's rate limit; returns where it stopped. */
export async function pump(source: Deno.FsFile, options: PumpOptions): Promise<number> {
  const { startBytes, endBytes, take, call, maxBytesPerSecond } = options;
  const pace = new Pace(call);
  const block = borrow();
  try {
    source.seekSync(startBytes, Deno.SeekMode.Start);
    let atBytes = startBytes;
    while (atBytes < endBytes) {
      call.signal.throwIfAborted();
      const count = source.readSync(block.subarray(0, Math.min(blockBytes(maxBytesPerSecond), endBytes - atBytes)));
      if (count === null) break;
      await pace.wait(count, atBytes);
      take(block.subarray(0, count), atBytes);
      atBytes += count;
      await pace.rest(atBytes);
    }
    return atBytes;
  } finally {
    giveBack(block);
  }
}

/** About eight blocks a second under a limit, so that bytes flow evenly. */
function blockBytes(maxBytesPerSecond: number | undefined): number {
  if (!maxBytesPerSecond) return BLOCK_BYTES;
  return Math.min(BLOCK_BYTES, Math.max(STEP_BYTES, Math.ceil(maxBytesPerSecond / 8)));
}

/** SHA-256 of what `file` holds from its start, lower-case hex. Not under the rate limit: nothing moves. */
export async function hashFile(file: Deno.FsFile, call: Call): Promise<string> {
  const hash = await newHash();
  const pace = new Pace(call, HASH_WAIT_MS);
  const block = borrow();
  try {
    file.seekSync(0, Deno.SeekMode.Start);
    for (let count = file.readSync(block); count !== null; count = file.readSync(block)) {
      hash.update(block.subarray(0, count));
      await pace.rest(0);
    }
    return hash.digest("hex");
  } finally {
    giveBack(block);
  }
}

/** Fills `block` from where `file` stands; returns how much there was. */
export function readFull(file: Deno.FsFile, block: Uint8Array): number {
  let held = 0;
  while (held < block.length) {
    const count = file.readSync(block.subarray(held));
    if (count === null) break;
    held += count;
  }
  return held;
}

/** Writes all of `block` at the end of `file`, which is at `atBytes`; zeros become a hole. */
export function append(file: Deno.FsFile, block: Uint8Array, atBytes: number): void {
  if (isZero(block)) {
    file.truncateSync(atBytes + block.length);
    file.seekSync(atBytes + block.length, Deno.SeekMode.Start);
    return;
  }
  for (let at = 0; at < block.length;) at += file.writeSync(block.subarray(at));
}

/** Whether two blocks of the same length, each at the start of its buffer, are equal. */
export function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  // Bytes one by one would be ten times slower.
  const left = new Uint32Array(a.buffer, 0, a.length >> 2);
  const right = new Uint32Array(b.buffer, 0, b.length >> 2);
  const end = left.length & ~3;
  for (let at = 0; at < end; at += 4) {
    const first = (left[at]! ^ right[at]!) | (left[at + 1]! ^ right[at + 1]!);
    if ((first | (left[at + 2]! ^ right[at + 2]!) | (left[at + 3]! ^ right[at + 3]!)) !== 0) return false;
  }
  for (let at = end * 4; at < a.length; at++) {
    if (a[at] !== b[at]) return false;
  }
  return true;
}

// A buffer for each call would be garbage of the size of each small file.
const spare: Uint8Array[] = [];

export function borrow(): Uint8Array {
  return spare.pop() ?? new Uint8Array(BLOCK_BYTES);
}

export function giveBack(block: Uint8Array): void {
  if (spare.length < 4) spare.push(block);
}
