/** ArduPilot, whose bursts nothing stops, on a link where a burst of full packets would take 5 s. */
import { readingMs } from "./goodput.ts";
import { DriverProcess, VehicleProcess } from "./processes.ts";

const SIZE_BYTES = 600_000;
/** Without flow control it takes a third of the line. */
const LINK = { personality: "ardupilot-2026" as const, "udp-listen": 0, rate: 300_000, "no-traffic": true };
const ROUND_TRIPS_MS = [20, 100, 300];
const LOSSES = [0, 0.01, 0.05];

async function fetched(rttMs: number, loss: number, dir: string): Promise<number> {
  await using vehicle = await VehicleProcess.start({ ...LINK, latency: rttMs / 2, loss, logs: 1, size: SIZE_BYTES });
  await using driver = new DriverProcess(vehicle.url, await Deno.makeTempDir({ dir }));
  await driver.client.stat("");
  const before = await vehicle.stats();
  await driver.fetch(vehicle.log.path);
  return SIZE_BYTES / readingMs(before, await vehicle.stats());
}

/** @returns lines of Markdown */
export async function ardupilot(dir: string): Promise<string[]> {
  const head = LOSSES.map((loss) => `${loss * 100} % lost each way`).join(" | ");
  const lines = [`| ArduPilot, 100 kB/s, kB/s at | ${head} |`, `|---|${"---|".repeat(LOSSES.length)}`];
  for (const rttMs of ROUND_TRIPS_MS) {
    const rates: string[] = [];
    for (const loss of LOSSES) {
      // Heartbeats are lost too: three in a row end a transfer as they should, and that is no figure of its speed.
      rates.push(await fetched(rttMs, loss, dir).then((rate) => rate.toFixed(0), () => "fell silent"));
    }
    lines.push(`| ${rttMs} ms | ${rates.join(" | ")} |`);
    console.error(lines.at(-1));
  }
  return lines;
}
