/** Which bytes of a file are held: disjoint ranges in order, however they came. */

/** `[start, end)`, bytes. */
export interface Range {
  start: number;
  end: number;
}

export class IntervalSet {
  /** In order, never touching. */
  readonly #ranges: Range[] = [];
  #sizeBytes = 0;

  /** Bytes in all ranges. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** How many ranges there are; a file that lacks nothing has one. */
  get count(): number {
    return this.#ranges.length;
  }

  /** The first range that ends behind `at`. */
  #indexAfter(at: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ranges[middle]!.end > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Puts `[start, end)` in. @returns how many of its bytes are new */
  add(start: number, end: number): number {
    if (end <= start) return 0;
    const ranges = this.#ranges;
    let from = this.#indexAfter(start);
    if (from > 0 && ranges[from - 1]!.end === start) from--;
    let to = from;
    const merged = { start, end };
    let before = 0;
    while (to < ranges.length && ranges[to]!.start <= end) {
      const range = ranges[to]!;
      before += range.end - range.start;
      merged.start = Math.min(merged.start, range.start);
      merged.end = Math.max(merged.end, range.end);
      to++;
    }
    ranges.splice(from, to - from, merged);
    const added = merged.end - merged.start - before;
    this.#sizeBytes += added;
    return added;
  }

  /** Takes `[start, end)` out. */
  remove(start: number, end: number): void {
    if (end <= start) return;
    const ranges = this.#ranges;
    const from = this.#indexAfter(start);
    let to = from;
    const rest: Range[] = [];
    while (to < ranges.length && ranges[to]!.start < end) {
      const range = ranges[to]!;
      this.#sizeBytes -= Math.min(range.end, end) - Math.max(range.start, start);
      if (range.start < start) rest.push({ start: range.start, end: start });
      if (range.end > end) rest.push({ start: end, end: range.end });
      to++;
    }
    ranges.splice(from, to - from, ...rest);
  }

  /** Whether all of `[start, end)` is held. */
  has(start: number, end: number): boolean {
    if (end <= start) return true;
    const range = this.#ranges[this.#indexAfter(start)];
    return range !== undefined && range.start <= start && range.end >= end;
  }

  /** Where the range that holds `at` ends; `at` itself when it is not held. */
  heldUntil(at: number): number {
    const range = this.#ranges[this.#indexAfter(at)];
    return range !== undefined && range.start <= at ? range.end : at;
  }

  /** What is missing of `[start, end)`, in order. */
  missing(start: number, end: number): Range[] {
    const gaps: Range[] = [];
    let at = start;
    for (let index = this.#indexAfter(start); at < end; index++) {
      const range = this.#ranges[index];
      if (range === undefined || range.start >= end) {
        gaps.push({ start: at, end });
        break;
      }
      if (range.start > at) gaps.push({ start: at, end: range.start });
      at = Math.max(at, range.end);
    }
    return gaps;
  }

  /** The first missing range of `[start, end)`; cheaper than all of them. */
  firstMissing(start: number, end: number): Range | undefined {
    const at = this.heldUntil(start);
    if (at >= end) return undefined;
    const next = this.#ranges[this.#indexAfter(at)];
    return { start: at, end: next === undefined ? end : Math.min(next.start, end) };
  }

  /** The ranges, in order. */
  ranges(): Range[] {
    return this.#ranges.map((range) => ({ ...range }));
  }
}
