/** Counts since the process started, for `/metrics`: what the store does not keep. */
import type { FilesyncEvent } from "../observe/mod.ts";

/** Journeys and devices that are told apart: a configuration has fewer. */
const SERIES_MAX = 1000;

/** What one source (no target) or target of a job did. */
export interface JourneyCount {
  job: string;
  target?: string;
  files: number;
  bytes: number;
  parked: number;
}

/** What became of one device. */
export interface DeviceCount {
  device: string;
  role: string;
  /** Times that its driver failed and was started again. */
  breaks: number;
  /** Milliseconds that it was held or away, ended ones. */
  closedMs: number;
  closedSinceMs?: number;
}

export class Counters {
  readonly #journeys = new Map<string, JourneyCount>();
  readonly #devices = new Map<string, DeviceCount>();

  apply(event: FilesyncEvent, nowMs: number): void {
    switch (event.event) {
      case "downloaded": {
        const count = this.#journey(event.job, undefined);
        count.files++;
        count.bytes += event.sizeBytes;
        break;
      }
      case "delivered": {
        const count = this.#journey(event.job, event.target);
        count.files++;
        count.bytes += event.receipt.sizeBytes;
        break;
      }
      case "parked":
        this.#journey(event.job, event.target).parked++;
        break;
      case "device":
        this.#device(event, nowMs);
    }
  }

  journeys(): JourneyCount[] {
    return [...this.#journeys.values()];
  }

  devices(): DeviceCount[] {
    return [...this.#devices.values()];
  }

  #journey(job: string, target: string | undefined): JourneyCount {
    const key = JSON.stringify([job, target]);
    const known = this.#journeys.get(key);
    if (known !== undefined) return known;
    const count = { job, ...(target === undefined ? {} : { target }), files: 0, bytes: 0, parked: 0 };
    if (this.#journeys.size < SERIES_MAX) this.#journeys.set(key, count);
    return count;
  }

  #device(event: FilesyncEvent & { event: "device" }, nowMs: number): void {
    const key = JSON.stringify([event.device, event.role]);
    const known = this.#devices.get(key) ?? { device: event.device, role: event.role, breaks: 0, closedMs: 0 };
    if (this.#devices.size < SERIES_MAX) this.#devices.set(key, known);
    if (event.code === "broken") known.breaks++;
    const isClosed = !event.available || event.held === true;
    if (isClosed) known.closedSinceMs ??= nowMs;
    else if (known.closedSinceMs !== undefined) {
      known.closedMs += nowMs - known.closedSinceMs;
      delete known.closedSinceMs;
    }
  }
}
