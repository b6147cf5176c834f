/**
 * How soon the driver is silent once the vehicle is armed in the middle of a burst, on an idle machine and while
 * everything else wants the processor. It is the vehicle that measures.
 */
import { median } from "../measure.ts";
import { wait } from "../proc.ts";
import { DriverProcess, VehicleProcess } from "./processes.ts";

const TRIALS = 10;
const LINK = {
  personality: "px4-main" as const,
  "udp-listen": 0,
  rate: 500_000,
  latency: 10,
  "no-traffic": true,
  "heartbeat-on-arm": true,
  logs: 2,
  size: 20_000_000,
};

interface Trial {
  /** From the arm edge to the last request, milliseconds. */
  requestMs: number;
  /** And to the last packet of the stream. */
  streamMs: number;
}

async function trials(dir: string): Promise<Trial[]> {
  await using vehicle = await VehicleProcess.start(LINK);
  await using driver = new DriverProcess(vehicle.url, await Deno.makeTempDir({ dir }));
  await driver.client.stat("");
  const spoolFile = driver.spoolFile();
  const found: Trial[] = [];
  for (let trial = 0; trial < TRIALS; trial++) {
    const before = await vehicle.stats();
    const fetching = driver.fetch(vehicle.logs[0]!.path, spoolFile).catch(() => {});
    await vehicle.until(({ dataBytes }) => dataBytes > before.dataBytes + 50_000);
    // Anywhere in a burst.
    await wait(37 * trial % 100);
    await vehicle.tell("arm");
    await fetching;
    await wait(500);
    const { events, lastRequestMs = 0, lastDataMs = 0 } = await vehicle.stats();
    const armedMs = events.findLast(({ name }) => name === "armed")!.atMs;
    found.push({ requestMs: Math.max(0, lastRequestMs - armedMs), streamMs: Math.max(0, lastDataMs - armedMs) });
    await vehicle.tell("disarm");
    // Until it has said that its logger does not run.
    await wait(1500);
  }
  return found;
}

/** Processes that want all of the processor while `work` runs: two for each core. */
async function underLoad<T>(work: () => Promise<T>): Promise<T> {
  const children = Array.from(
    { length: 2 * navigator.hardwareConcurrency },
    () => new Deno.Command("sh", { args: ["-c", "while :; do :; done"] }).spawn(),
  );
  try {
    return await work();
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(children.map(({ status }) => status));
  }
}

/** @returns lines of Markdown */
export async function flight(dir: string): Promise<string[]> {
  const lines = [
    `| PX4, armed in a burst, ${TRIALS} times | last request: median, most (wanted: ≤ 200 ms) | stream silent: median, most (wanted: ≤ 300 ms) |`,
    "|---|---|---|",
  ];
  const add = (name: string, found: Trial[]) => {
    const cell = (of: (trial: Trial) => number) => {
      const all = found.map(of);
      return `${median(all).toFixed(0)}, **${Math.max(...all).toFixed(0)}** ms`;
    };
    lines.push(`| ${name} | ${cell(({ requestMs }) => requestMs)} | ${cell(({ streamMs }) => streamMs)} |`);
    console.error(lines.at(-1));
  };
  add("the machine as it is", await trials(dir));
  add("two busy processes for each core", await underLoad(() => trials(dir)));
  return lines;
}
