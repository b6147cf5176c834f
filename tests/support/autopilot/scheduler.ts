/**
 * Time as the simulator knows it: a heap of things to do, each at its millisecond. Nothing happens by itself:
 * {@linkcode Scheduler.runUntil} does what is due, called by real timers or by a test that owns the clock.
 */

export interface Due {
  readonly atMs: number;
  cancel(): void;
}

class Entry implements Due {
  run: (() => void) | undefined;
  constructor(readonly atMs: number, readonly order: number, run: () => void) {
    this.run = run;
  }
  cancel(): void {
    this.run = undefined;
  }
}

export class Scheduler {
  #heap: Entry[] = [];
  #order = 0;
  #nowMs: number;
  /** Called when something is due earlier than all that was due before. */
  onEarlier: () => void = () => {};

  constructor(nowMs = 0) {
    this.#nowMs = nowMs;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** When something is due next; `undefined` when nothing is. */
  get nextMs(): number | undefined {
    while (this.#heap.length > 0 && this.#heap[0]!.run === undefined) this.#pop();
    return this.#heap[0]?.atMs;
  }

  at(atMs: number, run: () => void): Due {
    const entry = new Entry(Math.max(atMs, this.#nowMs), this.#order++, run);
    this.#push(entry);
    if (this.#heap[0] === entry) this.onEarlier();
    return entry;
  }

  after(delayMs: number, run: () => void): Due {
    return this.at(this.#nowMs + delayMs, run);
  }

  /** Runs `run` every `periodMs` until cancelled, first after `firstMs`. */
  every(periodMs: number, run: () => void, firstMs: number = periodMs): Due {
    let due: Due;
    const again = (atMs: number) => {
      due = this.at(atMs, () => {
        again(atMs + periodMs);
        run();
      });
    };
    again(this.#nowMs + firstMs);
    return {
      get atMs() {
        return due.atMs;
      },
      cancel: () => due.cancel(),
    };
  }

  /** Does what is due up to `nowMs`, in order; each thing sees its own time as now. */
  runUntil(nowMs: number): void {
    for (let next = this.nextMs; next !== undefined && next <= nowMs; next = this.nextMs) {
      this.#nowMs = Math.max(this.#nowMs, next);
      const { run } = this.#pop();
      run?.();
    }
    this.#nowMs = Math.max(this.#nowMs, nowMs);
  }

  clear(): void {
    this.#heap = [];
  }

  #before(a: Entry, b: Entry): boolean {
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(entry, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): Entry {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let at = 0;
    while (true) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#before(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

/** A clock that stands until it is moved; programs under test take their timers from it. */
export class VirtualClock {
  readonly scheduler = new Scheduler();
  #timers = new Map<number, Due>();
  #nextId = 1;

  now = (): number => this.scheduler.nowMs;

  setTimeout = (run: () => void, delayMs = 0): number => {
    const id = this.#nextId++;
    this.#timers.set(
      id,
      this.scheduler.after(Math.max(0, delayMs), () => {
        this.#timers.delete(id);
        run();
      }),
    );
    return id;
  };

  clearTimeout = (id: number | undefined): void => {
    if (id === undefined) return;
    this.#timers.get(id)?.cancel();
    this.#timers.delete(id);
  };

  /** Lets time pass until `work` has settled, and gives its outcome. Fails when time stands still or `limitMs` is over. */
  async run<T>(work: Promise<T>, limitMs = 3_600_000): Promise<T> {
    let isSettled = false;
    const settled = () => isSettled = true;
    work.then(settled, settled);
    const endMs = this.scheduler.nowMs + limitMs;
    let idleTurns = 0;
    while (true) {
      // Promises of the program under test go on between two moments; what is not a promise needs a turn of the loop.
      for (let n = 0; n < 20 && !isSettled; n++) await undefined;
      if (isSettled) return work;
      const next = this.scheduler.nextMs;
      if (next === undefined) {
        if (idleTurns++ > 2000) throw new Error("Time stands still: nothing is due and the work has not settled");
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      idleTurns = 0;
      if (next > endMs) throw new Error(`The work has not settled after ${limitMs} ms of virtual time`);
      this.scheduler.runUntil(next);
    }
  }

  /** Lets `ms` pass. */
  async pass(ms: number): Promise<void> {
    const done = new Promise<void>((resolve) => this.setTimeout(resolve, ms));
    await this.run(done, ms + 1);
  }
}
