/** Events as they leave the program, for `sync --json` and for the event stream of the page. */
import type { FilesyncEvent } from "./events.ts";

/** The configured device of each source (no target) and target. */
export interface Journey {
  job: string;
  target?: string;
  device: string;
}

/** An event with its schema and the device that it is about. */
export type ToldEvent = { schema: 1 } & FilesyncEvent & { device?: string };

/** Adds to events what their stations do not know: the device behind a job's source or target. */
export class EventTeller {
  readonly #devices: Map<string, string>;

  constructor(journeys: Iterable<Journey>) {
    this.#devices = new Map(Array.from(journeys, ({ job, target, device }) => [keyOf(job, target), device]));
  }

  tell(event: FilesyncEvent): ToldEvent {
    const device = "job" in event ? this.deviceOf(event.job, "target" in event ? event.target : undefined) : undefined;
    return { schema: 1, ...event, ...(device === undefined ? {} : { device }) };
  }

  /** The device that a job's source, or one of its targets, is configured with. */
  deviceOf(job: string, target: string | undefined): string | undefined {
    return this.#devices.get(keyOf(job, target));
  }
}

function keyOf(job: string, target = ""): string {
  return `${job}\n${target}`;
}
