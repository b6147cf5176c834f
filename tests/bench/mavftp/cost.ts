/** What the driver costs on a fast link: processor time for each byte, and memory; on each kind of link. */
import { hasCommand } from "../../support/needs.ts";
import { peakMibOf } from "../proc.ts";
import { cpuWithChildren, DriverProcess, VehicleProcess } from "./processes.ts";

const SIZE_BYTES = 6_000_000;
/** What the CPU's share is told for, bytes a second. */
const RATE = 400_000;
const USB = { personality: "px4-main" as const, latency: 3, "no-traffic": true, logs: 1, size: SIZE_BYTES };
const LINKS = {
  UDP: { ...USB, "udp-listen": 0, rate: 600_000 },
  TCP: { ...USB, tcp: 0, rate: 600_000 },
  // `stty` knows no faster line.
  "serial port": { ...USB, serial: true, baud: 4_000_000 },
};

/** @returns lines of Markdown */
export async function cost(dir: string): Promise<string[]> {
  const lines = [
    `| link | kB/s | CPU of the driver at ${
      RATE / 1000
    } kB/s (wanted: < 25 % of a core) | peak RSS (wanted: ≤ 70 MB) |`,
    "|---|---|---|---|",
  ];
  for (const [name, options] of Object.entries(LINKS)) {
    if (name === "serial port" && !hasCommand("socat")) continue;
    await using vehicle = await VehicleProcess.start(options);
    await using driver = new DriverProcess(vehicle.url, await Deno.makeTempDir({ dir }));
    await driver.client.stat("");
    const { pid } = driver;
    const cpuS = cpuWithChildren(pid);
    const tookS = await driver.fetch(vehicle.log.path);
    const perByteS = (cpuWithChildren(pid) - cpuS) / SIZE_BYTES;
    const cells = [
      name,
      (SIZE_BYTES / tookS / 1000).toFixed(0),
      `${(perByteS * RATE * 100).toFixed(1)} %`,
      `${(peakMibOf(pid) * 2 ** 20 / 1e6).toFixed(0)} MB`,
    ];
    lines.push(`| ${cells.join(" | ")} |`);
    console.error(lines.at(-1));
  }
  return lines;
}
