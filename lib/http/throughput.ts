/** Bytes that each device moved, and the spool's use, over the last hour and the last day. In memory, and bounded. */
import type { EventTeller, FilesyncEvent } from "../observe/mod.ts";

/** Length of a step and how many are kept: an hour, and a day. */
const HOUR = { stepMs: 10_000, steps: 360 };
const DAY = { stepMs: 300_000, steps: 288 };
/** Devices that are told apart; what further ones move is not drawn. */
const DEVICES_MAX = 64;
/** Files whose progress is remembered; an end that is never told must not be kept for ever. */
const FILES_MAX = 4096;

/** Steps of one length, the oldest first. */
export interface Series {
  stepMs: number;
  /** End of the last step, milliseconds since 1970 UTC. */
  endMs: number;
  /** Bytes in the spool at the end of each step. */
  spoolBytes: number[];
  /** Bytes that each device moved in each step. */
  devices: Record<string, number[]>;
}

export class Throughput {
  readonly #teller: EventTeller;
  /** Bytes of each file that were told, by job, path and target. */
  readonly #told = new Map<string, number>();
  readonly #now = new Map<string, number>();
  readonly #hour = new Ring(HOUR.steps);
  readonly #day = new Ring(DAY.steps);
  #steps = 0;
  #endMs = Date.now();

  constructor(teller: EventTeller) {
    this.#teller = teller;
  }

  /** How often {@linkcode Throughput.step} is to be called, milliseconds. */
  get stepMs(): number {
    return HOUR.stepMs;
  }

  apply(event: FilesyncEvent): void {
    switch (event.event) {
      case "progress":
        this.#count(event.job, event.path, event.target, event.doneBytes, false);
        break;
      case "downloaded":
        this.#count(event.job, event.path, undefined, event.sizeBytes, true, event.resumedBytes);
        break;
      case "delivered":
        this.#count(event.job, event.path, event.target, event.receipt.sizeBytes, true);
        break;
      case "parked":
      case "uncertain":
        this.#told.delete(keyOf(event.job, event.path, event.target));
        break;
      case "gone":
        this.#told.delete(keyOf(event.job, event.path, undefined));
    }
  }

  /** Ends a step. */
  step(spoolBytes: number, nowMs: number): void {
    this.#endMs = nowMs;
    this.#hour.push(spoolBytes, this.#now);
    this.#now.clear();
    if (++this.#steps % (DAY.stepMs / HOUR.stepMs) === 0) {
      this.#day.push(spoolBytes, this.#hour.sumOfLast(DAY.stepMs / HOUR.stepMs));
    }
  }

  hour(): Series {
    return { stepMs: HOUR.stepMs, endMs: this.#endMs, ...this.#hour.tell() };
  }

  day(): Series {
    return { stepMs: DAY.stepMs, endMs: this.#endMs, ...this.#day.tell() };
  }

  #count(job: string, path: string, target: string | undefined, done: number, isEnd: boolean, start = 0): void {
    const key = keyOf(job, path, target);
    // Bytes of an earlier attempt were not moved now: counting begins with the first that is told.
    const before = this.#told.get(key) ?? (isEnd ? start : done);
    if (isEnd) this.#told.delete(key);
    else {
      if (!this.#told.has(key) && this.#told.size >= FILES_MAX) this.#told.delete(this.#told.keys().next().value!);
      this.#told.set(key, done);
    }
    const device = this.#teller.deviceOf(job, target);
    if (device === undefined || (!this.#now.has(device) && this.#now.size >= DEVICES_MAX)) return;
    this.#now.set(device, (this.#now.get(device) ?? 0) + Math.max(0, done - before));
  }
}

/** The last steps. */
class Ring {
  readonly #most: number;
  readonly #spool: number[] = [];
  readonly #devices: Map<string, number>[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  push(spoolBytes: number, devices: ReadonlyMap<string, number>): void {
    this.#spool.push(spoolBytes);
    this.#devices.push(new Map(devices));
    if (this.#spool.length <= this.#most) return;
    this.#spool.shift();
    this.#devices.shift();
  }

  sumOfLast(steps: number): Map<string, number> {
    const sums = new Map<string, number>();
    for (const step of this.#devices.slice(-steps)) {
      for (const [device, bytes] of step) sums.set(device, (sums.get(device) ?? 0) + bytes);
    }
    return sums;
  }

  tell(): { spoolBytes: number[]; devices: Record<string, number[]> } {
    const names = [...new Set(this.#devices.flatMap((step) => [...step.keys()]))].slice(0, DEVICES_MAX);
    return {
      spoolBytes: [...this.#spool],
      devices: Object.fromEntries(names.map((name) => [name, this.#devices.map((step) => step.get(name) ?? 0)])),
    };
  }
}

function keyOf(job: string, path: string, target: string | undefined): string {
  return JSON.stringify([job, path, target]);
}
