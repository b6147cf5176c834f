/** Which device is behind the sources and targets of a configuration, for events that leave the program. */
import type { Config } from "../config/mod.ts";
import { EventTeller } from "../observe/mod.ts";

/** How many targets each job has. */
export function targetCounts({ jobs }: Config): Map<string, number> {
  return new Map(jobs.map((job) => [job.name, job.targets.length]));
}

/** Knows the devices of a configuration. */
export function tellerOf({ jobs }: Config): EventTeller {
  return new EventTeller(jobs.flatMap((job) => [
    { job: job.name, device: job.source.name },
    ...job.targets.map(({ name, device }) => ({ job: job.name, target: name, device: device.name })),
  ]));
}
