/**
 * A disk that takes nothing for seconds never makes the link wait: the spool and the driver's state lie on a filesystem
 * of their own, which is frozen in the middle of a transfer (`fsfreeze`), so that every write to it hangs.
 */
import { DRIVES, hasDrives, LoopDrive, tool } from "../../support/loop_drive.ts";
import { readingMs } from "./goodput.ts";
import { wait } from "../proc.ts";
import { DriverProcess, VehicleProcess } from "./processes.ts";

const SIZE_BYTES = 1_500_000;
const FROZEN_MS = 2000;
const LINK = { personality: "px4-main" as const, "udp-listen": 0, rate: 500_000, latency: 10, "no-traffic": true };

/** @returns lines of Markdown */
export async function slowDisk(dir: string): Promise<string[]> {
  if (!hasDrives()) return [`The disk that hangs was not tried: it needs ${DRIVES}.`];
  await using drive = await LoopDrive.make(dir);
  await drive.plugIn();
  const point = `${dir}/disk`;
  await drive.mount(point);
  const lines = ["| disk | kB/s on the link | bytes that were on it when it took writes again |", "|---|---|---|"];
  for (const isFrozen of [false, true]) {
    await using vehicle = await VehicleProcess.start({ ...LINK, logs: 1, size: SIZE_BYTES });
    await using driver = new DriverProcess(vehicle.url, await Deno.makeTempDir({ dir: point }));
    await driver.client.stat("");
    const before = await vehicle.stats();
    const spoolFile = driver.spoolFile();
    const fetching = driver.fetch(vehicle.log.path, spoolFile);
    let held = "";
    if (isFrozen) {
      await vehicle.until(({ dataBytes }) => dataBytes > before.dataBytes + 200_000);
      await tool("fsfreeze", "--freeze", point);
      try {
        const frozenAt = (await vehicle.stats()).dataBytes;
        await wait(FROZEN_MS);
        const sent = (await vehicle.stats()).dataBytes - frozenAt;
        held = `${(await Deno.stat(spoolFile)).size}, while ${sent} more had come`;
      } finally {
        await tool("fsfreeze", "--unfreeze", point);
      }
    }
    await fetching;
    const kbps = SIZE_BYTES / readingMs(before, await vehicle.stats());
    lines.push(`| ${isFrozen ? `hangs for ${FROZEN_MS / 1000} s` : "as it is"} | ${kbps.toFixed(0)} | ${held} |`);
    console.error(lines.at(-1));
  }
  return lines;
}
