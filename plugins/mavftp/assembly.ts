/**
 * Puts the pieces of a file together, in whatever order they come, and hands them out in order. Where another ground
 * station can put another file under our session, a piece is handed out only after it has been proven that it came of
 * this file; what was handed out last is what others are compared with.
 */
import { IntervalSet, type Range } from "./interval_set.ts";

/** Bytes beyond the first missing one that are kept at most; the host allows 1 MiB. */
export const AHEAD_BYTES_MAX = 960 * 1024;
/** Kept in memory only, bytes; more goes to `onAhead`, so that a killed process loses no more. */
const MEMORY_BYTES_MAX = 24 * 1024;

/** A piece of the file. */
export interface Chunk {
  at: number;
  bytes: Uint8Array;
}

interface HeldChunk extends Chunk {
  /** Order of arrival. */
  mark: number;
  /** Given to `onAhead`. */
  isKept: boolean;
}

export interface AssemblyOptions {
  /** Bytes below are there already. */
  startBytes: number;
  /** Pieces beyond `startBytes` that an earlier reading left, the last one received at the end. */
  ahead: readonly Chunk[];
  /** A piece of this very file to compare with. */
  anchor: Chunk | undefined;
  /** Whether what comes must be proven by comparisons. */
  isCompared: boolean;
  /** The next bytes of the file. */
  onBytes: (bytes: Uint8Array) => void;
  /** Pieces that cannot be handed out yet and are more than memory should keep. */
  onAhead: (chunks: Chunk[]) => void;
  /** Nothing is held back any more. */
  onLevel: () => void;
}

export class Assembly {
  readonly #options: AssemblyOptions;
  readonly #held = new IntervalSet();
  /** Held or asked for. */
  readonly #covered = new IntervalSet();
  readonly #chunks = new Map<number, HeldChunk>();
  #outBytes: number;
  #provenMark: number;
  #anchor: Chunk | undefined;
  #lastOut: Chunk | undefined;
  #memoryBytes = 0;
  #hasKept = false;
  /** Pieces received. */
  mark = 0;
  /** Bytes received and not handed out. */
  heldBackBytes = 0;
  /** Bytes that came more than once. */
  doubledBytes = 0;

  constructor(options: AssemblyOptions) {
    const { startBytes, ahead, anchor, isCompared } = options;
    this.#options = options;
    this.#outBytes = startBytes;
    this.#held.add(0, startBytes);
    this.#covered.add(0, startBytes);
    this.#provenMark = isCompared || ahead.length > 0 ? 0 : Infinity;
    for (const { at, bytes } of ahead) this.place(at, bytes, true);
    this.doubledBytes = 0;
    // What was left is proven by its last piece, which the server is asked for once more.
    this.#anchor = ahead.at(-1) ?? anchor;
  }

  /** Handed out up to here. */
  get outBytes(): number {
    return this.#outBytes;
  }

  /** What the next comparison is made with; `undefined` until something is known. */
  get anchor(): Chunk | undefined {
    return this.#anchor;
  }

  /** The newest piece that was handed out, or else the one that was given to compare with. */
  get lastOut(): Chunk | undefined {
    return this.#lastOut ?? this.#options.anchor;
  }

  /** Whether something waits for a comparison. */
  get isUnproven(): boolean {
    return this.#chunks.size > 0 && this.mark > this.#provenMark;
  }

  /** Where the last range that is held ends. */
  get heldEnd(): number {
    return this.#held.ranges().at(-1)?.end ?? 0;
  }

  /** Pieces that were received and not handed out, the last one received at the end. */
  get ahead(): Chunk[] {
    return [...this.#chunks.values()].sort((a, b) => a.mark - b.mark).map(({ at, bytes }) => ({ at, bytes }));
  }

  has(start: number, end: number): boolean {
    return this.#held.has(start, end);
  }

  heldUntil(at: number): number {
    return this.#held.heldUntil(at);
  }

  /** The first range below `end` that is neither held nor asked for. */
  firstMissing(end: number): Range | undefined {
    return this.#covered.firstMissing(this.#outBytes, end);
  }

  /** `[start, end)` is asked for. */
  cover(start: number, end: number): void {
    this.#covered.add(start, end);
  }

  /** What was asked for did not come. */
  uncover(start: number, end: number): void {
    for (const gap of this.#held.missing(start, end)) this.#covered.remove(gap.start, gap.end);
  }

  /** Puts bytes in their place; what is there already stays. @returns how many are new */
  place(offset: number, data: Uint8Array, isKept = false): number {
    const end = offset + data.length;
    let newBytes = 0;
    for (const { start, end: missingEnd } of this.#held.missing(offset, end)) {
      const bytes = data.slice(start - offset, missingEnd - offset);
      this.mark++;
      this.#chunks.set(start, { at: start, bytes, mark: this.mark, isKept });
      this.#held.add(start, missingEnd);
      this.#covered.add(start, missingEnd);
      this.heldBackBytes += bytes.length;
      if (isKept) this.#hasKept = true;
      else this.#memoryBytes += bytes.length;
      newBytes += bytes.length;
    }
    this.doubledBytes += data.length - newBytes;
    if (newBytes > 0 && !isKept) {
      this.#handOut();
      if (this.#memoryBytes > MEMORY_BYTES_MAX) this.#keepAhead();
    }
    return newBytes;
  }

  /** A comparison held: all pieces up to `mark` are of this file. */
  prove(mark: number): void {
    if (mark < this.#provenMark) return;
    this.#provenMark = this.#options.isCompared ? mark : Infinity;
    this.#handOut();
  }

  #handOut(): void {
    for (;;) {
      const chunk = this.#chunks.get(this.#outBytes);
      if (chunk === undefined || chunk.mark > this.#provenMark) break;
      this.#chunks.delete(chunk.at);
      this.#outBytes += chunk.bytes.length;
      this.heldBackBytes -= chunk.bytes.length;
      if (!chunk.isKept) this.#memoryBytes -= chunk.bytes.length;
      this.#lastOut = { at: chunk.at, bytes: chunk.bytes };
      // The newest proven piece is the one that another file is least likely to share.
      if (this.#options.isCompared) this.#anchor = this.#lastOut;
      this.#options.onBytes(chunk.bytes);
    }
    if (this.#chunks.size === 0 && this.#hasKept) {
      this.#hasKept = false;
      this.#options.onLevel();
    }
  }

  #keepAhead(): void {
    const chunks = [...this.#chunks.values()].filter((chunk) => !chunk.isKept);
    for (const chunk of chunks) chunk.isKept = true;
    this.#memoryBytes = 0;
    this.#hasKept = true;
    this.#options.onAhead(chunks);
  }
}
