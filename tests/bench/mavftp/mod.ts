/**
 * The driver `mavftp` on simulated autopilots, in real time and over real sockets: `deno task bench mavftp`, or one part
 * of it such as `deno task bench mavftp-goodput`. Each part writes a section of `tests/bench/RESULTS.md`.
 */
import { measureParts, type Part } from "../parts.ts";
import { ardupilot } from "./ardupilot.ts";
import { cost } from "./cost.ts";
import { flight } from "./flight.ts";
import { goodput } from "./goodput.ts";
import { interruptions } from "./interruptions.ts";
import { radio } from "./radio.ts";
import { slowDisk } from "./slow_disk.ts";

/** Interruptions of one kind on one link. */
const TRIALS_MAX = 5;

const PARTS: readonly Part[] = [
  {
    name: "goodput",
    title: "Goodput beside other clients",
    what:
      "PX4, 500 kB/s, 20 ms there and back, kB/s by the vehicle's own count. Requests are those beyond the ones that " +
      "the same log takes without loss, for each packet that the link lost either way.",
    run: (dir, seeds) => goodput(seeds, dir),
  },
  {
    name: "cost",
    title: "What the driver costs",
    what: "One log of 6 MB from PX4, proof included; with the programs that read and write a serial port.",
    run: cost,
  },
  {
    name: "radio",
    title: "Telemetry radio",
    what: "Frames of 252 bytes, 400 ms there and back; one log of 24 kB, medians of 3 seeds.",
    run: radio,
  },
  { name: "ardupilot", title: "ArduPilot", what: "One log of 600 kB, a seed each.", run: ardupilot },
  {
    name: "interruptions",
    title: "Interruptions",
    what:
      "What was under way when it happened counts as sent; so does what proves afterwards that the log is the same.",
    run: (dir, seeds) => interruptions(Math.min(seeds, TRIALS_MAX), dir),
  },
  { name: "flight", title: "Arming", what: "By the vehicle's clock, 10 ms each way included.", run: flight },
  { name: "slow-disk", title: "A disk that hangs", what: "PX4, 500 kB/s, 20 ms there and back.", run: slowDisk },
];

/** Measures what is named. @param seeds rounds of the goodput */
export async function benchMavftp(names: readonly string[], seeds: number): Promise<void> {
  await measureParts("mavftp", PARTS, { names, rounds: seeds });
}
