/** A telemetry radio: 2 kB/s of the air, frames of 252 bytes, 400 ms there and back beside what waits for the air. */
import type { PersonalityName } from "../../support/autopilot/mod.ts";
import { median } from "../measure.ts";
import { readingMs } from "./goodput.ts";
import { DriverProcess, VehicleProcess } from "./processes.ts";

const SIZE_BYTES = 24_000;
const SEEDS = [1, 2, 3];
const ROWS: { personality: PersonalityName; loss: number }[] = [
  { personality: "px4-main", loss: 0 },
  { personality: "px4-main", loss: 0.02 },
  { personality: "px4-1.11", loss: 0 },
  { personality: "ardupilot-2026", loss: 0 },
];

/** kB/s of reading; the processor has nothing to do meanwhile, so seeds run beside one another. */
async function fetched(personality: PersonalityName, loss: number, seed: number, dir: string): Promise<number> {
  const radio = {
    personality,
    "udp-listen": 0,
    radio: true,
    "no-traffic": true,
    loss,
    seed,
    logs: 1,
    size: SIZE_BYTES,
  };
  await using vehicle = await VehicleProcess.start(radio);
  await using driver = new DriverProcess(vehicle.url, await Deno.makeTempDir({ dir }));
  await driver.client.stat("");
  const before = await vehicle.stats();
  await driver.fetch(vehicle.log.path);
  return SIZE_BYTES / readingMs(before, await vehicle.stats());
}

/** @returns lines of Markdown */
export async function radio(dir: string): Promise<string[]> {
  const lines = ["| radio of 2 kB/s | loss each way | kB/s (wanted: ≥ 1.3) |", "|---|---|---|"];
  for (const { personality, loss } of ROWS) {
    const rates = await Promise.all(SEEDS.map((seed) => fetched(personality, loss, seed, dir)));
    lines.push(`| ${personality} | ${loss * 100} % | **${median(rates).toFixed(2)}** |`);
    console.error(lines.at(-1));
  }
  return lines;
}
