/**
 * Measures the program against its peers on the same work in the same run: `deno task bench [workload…] [--runs N]`.
 * Alternating runs, medians and ratios; the table goes to `tests/bench/RESULTS.md` when nothing was left out. Nothing here
 * is a test. What cannot be measured on this machine is said in its place, and costs the others nothing.
 */
import { hasCommand } from "../support/needs.ts";
import { measure, median, type Sample } from "./measure.ts";
import { benchMavftp } from "./mavftp/mod.ts";
import { benchScale } from "./scale/mod.ts";
import { residentTable } from "./resident.ts";
import { writeBody } from "./results.ts";
import type { Workload } from "./work.ts";
import { WORKLOADS } from "./workloads.ts";

/** After so long no further round of a workload is begun, milliseconds: all of them together take about twenty minutes. */
const ROUNDS_MS = 30_000;

interface Row {
  workload: string;
  files: number;
  who: string;
  isYardstick: boolean;
  samples: Sample[];
}

async function runWorkload(workload: Workload, runs: number): Promise<Row[]> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-bench-" });
  try {
    await workload.prepare(dir);
    const contenders = workload.contenders(dir).filter(({ needs }) => needs === undefined || hasCommand(needs));
    const rows = contenders.map(({ who, isYardstick = false }): Row => ({
      workload: workload.name,
      files: workload.files,
      who,
      isYardstick,
      samples: [],
    }));
    let countedSinceMs = Infinity;
    // The first round warms caches and is not counted.
    const firstRound = workload.isWaiting === true ? 1 : 0;
    for (let round = firstRound; round <= runs; round++) {
      if (round === 1) countedSinceMs = performance.now();
      if (performance.now() - countedSinceMs > ROUNDS_MS) break;
      for (const [index, { argv }] of contenders.entries()) {
        await workload.reset(dir);
        const sample = await measure(argv, dir);
        if (round > 0) rows[index]!.samples.push(sample);
      }
    }
    return rows;
  } finally {
    await workload.finish?.();
    await Deno.remove(dir, { recursive: true });
  }
}

/** Runs `measureIt`; what prevents it becomes a line of the report. */
async function unlessPrevented<T>(name: string, measureIt: () => Promise<T>): Promise<T | undefined> {
  console.error(name);
  try {
    return await measureIt();
  } catch (error) {
    const words = (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
    console.error(`${name}: ${words}`);
    prevented.push(`- **${name}** could not be measured: ${words}`);
    return undefined;
  }
}

function table(rows: Row[]): string {
  const lines = [
    "| workload | who | runs | wall s (min, median, max) | ratio | CPU s (user + system) | of it its own process | memory MiB |",
    "|---|---|---|---|---|---|---|---|",
  ];
  for (const row of rows) {
    const walls = row.samples.map((sample) => sample.wallS);
    const ratio = median(walls) / yardstickS(rows.filter((other) => other.workload === row.workload));
    const cpu = median(row.samples.map((sample) => sample.cpuS));
    const range = `${Math.min(...walls).toFixed(2)}, **${median(walls).toFixed(2)}**, ${Math.max(...walls).toFixed(2)}`;
    const own = median(row.samples.map((sample) => sample.ownCpuS));
    const perFile = row.files === 1 ? "" : ` (${(own / row.files * 1000).toFixed(2)} ms a file)`;
    const memory = median(row.samples.map((sample) => sample.memoryMib)).toFixed(0);
    const cells = [
      row.workload,
      row.who,
      String(walls.length),
      range,
      ratio.toFixed(2),
      cpu.toFixed(2),
      `${own.toFixed(2)}${perFile}`,
      memory,
    ];
    lines.push(`| ${cells.join(" | ")} |`);
  }
  return lines.join("\n");
}

/** The time that the rows of a workload are compared with: of the fastest yardstick, or of the first row. */
function yardstickS(rows: Row[]): number {
  const yardsticks = rows.filter(({ isYardstick }) => isYardstick);
  const compared = yardsticks.length > 0 ? yardsticks : rows.slice(0, 1);
  return Math.min(...compared.map(({ samples }) => median(samples.map(({ wallS }) => wallS))));
}

async function version(argv: string[]): Promise<string> {
  if (!hasCommand(argv[0]!)) return `${argv[0]}: absent`;
  const { stdout } = await new Deno.Command(argv[0]!, { args: argv.slice(1), stderr: "null" }).output();
  return new TextDecoder().decode(stdout).split("\n")[0]!.trim();
}

const runsAt = Deno.args.indexOf("--runs");
const runs = runsAt < 0 ? 5 : Number(Deno.args[runsAt + 1]);
const names = Deno.args.filter((arg, at) => !arg.startsWith("--") && (runsAt < 0 || at !== runsAt + 1));
const rows: Row[] = [];
const prevented: string[] = [];
const startMs = performance.now();
for (const workload of WORKLOADS.filter(({ name }) => names.length === 0 || names.includes(name))) {
  rows.push(...await unlessPrevented(workload.name, () => runWorkload(workload, runs)) ?? []);
}
const isResident = names.length === 0 || names.includes("resident");
const resident = isResident ? await unlessPrevented("resident", residentTable) ?? "" : "";
const minutes = (performance.now() - startMs) / 60_000;
const text = `# Speed, measured

Written by \`deno task bench\` in one go of ${
  minutes.toFixed(1)
} minutes. Whole processes, start included; at most ${runs}
alternating runs after one that is not counted, fewer where one takes long, and none uncounted where a link is waited
for. Each ratio is to the fastest of rclone's rows, or to the workload's first row. Ratios count, seconds do not: machines differ. rclone and lftp do not fsync and do not hash; FileSync does both. "Its own
process" is the host of FileSync without its drivers, its start included (about 0.2 s).

${WORKLOADS.map(({ name, what }) => `- **${name}**: ${what}`).join("\n")}

${table(rows)}

${[...prevented, resident].join("\n")}

${Deno.build.target}, ${navigator.hardwareConcurrency} cores · Deno ${Deno.version.deno} · ${await version([
  "rclone",
  "version",
])} · ${await version(
  ["rsync", "--version"],
)}
`;
if (names.length === 0 || rows.length > 0 || resident !== "") console.log(text);
if (names.length === 0) writeBody(text);
if (names.length === 0 || names.some((name) => name.startsWith("mavftp"))) {
  await unlessPrevented("mavftp", () => benchMavftp(names, runs));
}
if (names.length === 0 || names.some((name) => name.startsWith("scale"))) {
  await unlessPrevented("scale", () => benchScale(names, runs));
}
if (prevented.length > 0) Deno.exitCode = 1;
