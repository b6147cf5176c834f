/**
 * Goodput on a link that loses packets both ways, beside other clients on the same simulated autopilot: PX4, 500 kB/s,
 * 20 ms. It is the vehicle that measures, for all clients alike: from the request that opens the log to the last data.
 */
import type { VehicleStats } from "../../support/autopilot/main.ts";
import { hasPython, runLockStep, runPymavlink } from "../../support/autopilot/clients/clients.ts";
import { sampleCard } from "../../support/autopilot/mod.ts";
import { Bed } from "../../support/mavftp_bed.ts";
import { median } from "../measure.ts";
import { DriverProcess, VehicleProcess } from "./processes.ts";

const LOSSES = [0, 0.01, 0.05, 0.1] as const;
/** What the project wants at these losses, kB/s. */
const WANTED = [340, 320, 290, 250] as const;
const LINK = { personality: "px4-main" as const, "udp-listen": 0, rate: 500_000, latency: 10, "no-traffic": true };
/** The logs of the card: a client that repairs slowly gets the smallest, or it would take minutes. */
const SIZES = [500_000, 1_000_000, 1_500_000];
const SLOW_FROM_LOSS = 0.05;
const LOCK_STEP_S = 4;
const UNHURRIED_SEEDS = 5;

/** What one client did on one vehicle. */
interface Run {
  kbps: number;
  /** Packets of either direction that the link lost. */
  lost: number;
  /** Requests sent, those that were lost on the way among them. */
  requests: number;
}

/** From the request that opens the log to its last data, milliseconds. */
export function readingMs(before: VehicleStats, after: VehicleStats): number {
  const opened = after.landmarks.slice(before.landmarks.length).find(({ opcode }) => opcode === "OpenFileRO");
  if (opened === undefined || after.lastDataMs === undefined) throw new Error("Nothing was fetched");
  return after.lastDataMs - opened.atMs;
}

function runBetween(sizeBytes: number, before: VehicleStats, after: VehicleStats): Run {
  const heard = (stats: VehicleStats) => Object.values(stats.requestCounts).reduce((sum, count) => sum + count, 0);
  const lostUp = after.up.lost - before.up.lost;
  return {
    kbps: sizeBytes / readingMs(before, after),
    lost: after.down.lost - before.down.lost + lostUp,
    requests: heard(after) - heard(before) + lostUp,
  };
}

/** One vehicle, one seed, all clients in turn. */
async function round(loss: number, seed: number, dir: string) {
  const size = SIZES.at(-1)!;
  await using vehicle = await VehicleProcess.start({ ...LINK, loss, seed, logs: SIZES.length, size });
  const measured = async (
    sizeBytes: number,
    fetch: () => Promise<unknown>,
  ): Promise<Run & { simulatorPercent: number }> => {
    const before = await vehicle.stats();
    const cpuS = vehicle.cpuS;
    await fetch();
    const after = await vehicle.stats();
    const simulatorPercent = (vehicle.cpuS - cpuS) / (after.nowMs - before.nowMs) * 100_000;
    return { ...runBetween(sizeBytes, before, after), simulatorPercent };
  };
  await using driver = new DriverProcess(vehicle.url, await Deno.makeTempDir({ dir }));
  await driver.client.stat("");
  const ours = await measured(size, () => driver.fetch(vehicle.log.path));
  await driver.client[Symbol.asyncDispose]();
  if (!hasPython("pymavlink.mavftp")) return { ours };
  const url = vehicle.url.replace("//", "");
  const which = loss < SLOW_FROM_LOSS ? SIZES.length - 1 : 0;
  const local = `${dir}/pymavlink`;
  const pymavlink = await measured(
    SIZES[which]!,
    () => runPymavlink(url, [["get", vehicle.logs[which]!.remote, local]]),
  );
  if ((await Deno.stat(local)).size !== SIZES[which]) throw new Error("pymavlink fetched a part only");
  const { bytes, seconds } = await runLockStep(url, vehicle.log.remote, LOCK_STEP_S);
  return { ours, pymavlink, lockStepKbps: bytes / seconds / 1000 };
}

/** The same transfer under a clock that is moved by hand: what a machine with nothing else to do would give, kB/s. */
async function unhurried(loss: number, seed: number): Promise<number> {
  const size = SIZES.at(-1)!;
  const files = sampleCard(LINK.personality, { count: 1, sizeBytes: size });
  const way = { latencyMs: LINK.latency, loss };
  const link = { down: { ...way, bytesPerSecond: LINK.rate }, up: way };
  const bed = new Bed({ personality: LINK.personality, traffic: { attitude: 0, position: 0 }, files, seed, link });
  await bed.ready();
  await bed.fetch(files.paths().find((path) => path.endsWith(".ulg"))!);
  const { requests, lastDataMs } = bed.core.vehicle.stats;
  return size / (lastDataMs! - requests.find(({ opcode }) => opcode === "OpenFileRO")!.atMs);
}

/** Measures `seeds` rounds at each loss. @returns lines of Markdown */
export async function goodput(seeds: number, dir: string): Promise<string[]> {
  const lines = [
    `Medians of ${seeds} seeds.`,
    "",
    `| loss each way | wanted | FileSync: median (least, most) | under a clock of its own, ${UNHURRIED_SEEDS} seeds | pymavlink ${await pymavlinkVersion()} | lock-step | requests for each lost packet | simulator's CPU |`,
    "|---|---|---|---|---|---|---|---|",
  ];
  let plainRequests = 0;
  for (const [at, loss] of LOSSES.entries()) {
    const rounds = [];
    for (let seed = 1; seed <= seeds; seed++) rounds.push(await round(loss, seed, dir));
    const ours = rounds.map((round) => round.ours);
    const rates = ours.map(({ kbps }) => kbps);
    const theirs = rounds.flatMap(({ pymavlink }) => pymavlink?.kbps ?? []);
    const lockStep = rounds.flatMap(({ lockStepKbps }) => lockStepKbps ?? []);
    if (loss === 0) plainRequests = median(ours.map(({ requests }) => requests));
    const perLost = median(ours.map(({ requests, lost }) => (requests - plainRequests) / lost));
    const cells = [
      `${loss * 100} %`,
      `≥ ${WANTED[at]}`,
      `**${median(rates).toFixed(0)}** (${Math.min(...rates).toFixed(0)}, ${Math.max(...rates).toFixed(0)})`,
      median(await Promise.all(Array.from({ length: UNHURRIED_SEEDS }, (_, at) => unhurried(loss, at + 1)))).toFixed(0),
      theirs.length === 0 ? "absent" : median(theirs).toFixed(1),
      lockStep.length === 0 ? "absent" : median(lockStep).toFixed(1),
      loss === 0 ? "" : perLost.toFixed(2),
      `${median(ours.map(({ simulatorPercent }) => simulatorPercent)).toFixed(0)} %`,
    ];
    lines.push(`| ${cells.join(" | ")} |`);
    console.error(lines.at(-1));
  }
  return lines;
}

async function pymavlinkVersion(): Promise<string> {
  const { stdout } = await new Deno.Command("python3", {
    args: ["-c", "import pymavlink; print(pymavlink.__version__)"],
    stderr: "null",
  }).output();
  return new TextDecoder().decode(stdout).trim();
}
