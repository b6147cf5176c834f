/** What knowing many files costs: starts, starts after a kill, and every way of looking. */
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Store } from "../../../lib/state/mod.ts";
import { freePort } from "../../support/server_process.ts";
import { Daemon } from "../daemon.ts";
import { addKnown } from "../known_files.ts";
import { measure, median } from "../measure.ts";
import { cpuOf, mibOf, peakMibOf, wait } from "../proc.ts";
import { makeFiles, program } from "../work.ts";

const COUNTS = [1000, 5_000_000] as const;
/** Files on the source: each cycle lists them. */
const FEW = 20;
/** How long a daemon with nothing to do is watched, milliseconds; its cycle is a second. */
const WATCH_MS = 10_000;

/** A figure as text, by what was measured. */
type Figures = Map<string, string>;

/** @returns lines of Markdown */
export async function store(dir: string, rounds: number): Promise<string[]> {
  const columns: Figures[] = [];
  for (const count of COUNTS) columns.push(await figuresOf(join(dir, String(count)), count, rounds));
  const head = COUNTS.map((count) => `${count.toLocaleString("en")} known`);
  return [
    `| what | ${head.join(" | ")} |`,
    `|---|${COUNTS.map(() => "---|").join("")}`,
    ...[...columns[0]!.keys()].map((name) => `| ${name} | ${columns.map((column) => column.get(name)).join(" | ")} |`),
  ];
}

async function figuresOf(dir: string, count: number, rounds: number): Promise<Figures> {
  const figures: Figures = new Map();
  const path = join(dir, "filesync.db");
  await prepare(dir, count);
  const tell = (name: string, figure: string) => {
    figures.set(name, figure);
    console.error(`${count} known: ${name}: ${figure}`);
  };
  tell("the store's file", `${mib(statSync(path).size)} (${(statSync(path).size / count).toFixed(0)} bytes a file)`);
  const run = async (name: string, ...args: string[]) => {
    const samples = [];
    for (let round = 0; round < rounds; round++) {
      // What is not known ends with 1.
      samples.push(await measure([...program(...args), "--config", join(dir, "config.json")], dir, [0, 1]));
    }
    const wallS = median(samples.map((sample) => sample.wallS));
    const memoryMib = Math.max(...samples.map((sample) => sample.memoryMib));
    tell(name, `${wallS.toFixed(2)} s, ${memoryMib.toFixed(0)} MiB`);
  };
  await run("`sync --once`, nothing to do", "sync", "--once", "--quiet");
  tell("start of the daemon until it works", await startOf(dir, rounds, () => {}));
  tell("the same after a power cut", await startOf(dir, rounds, () => forgetBoot(path)));
  await run("`status`", "status");
  await run("`why` of a known file", "why", pathOf(count - 1));
  await run("`why` of an unknown file", "why", "nothing/like.it");
  await run("`manifest` of all", "manifest");
  await watchDaemon(dir, count, tell);
  return figures;
}

/** A job that has moved its few files, and a store that knows `count` more. */
async function prepare(dir: string, count: number): Promise<void> {
  mkdirSync(dir, { recursive: true });
  makeFiles(join(dir, "in"), 1, FEW, 1000);
  const source = { driver: "local", args: { dir: "in" } };
  const target = { driver: "local", args: { dir: "out" } };
  const job = { name: "bench", source, target, finder: { settle: "0s", interval: "1s" } };
  writeFileSync(join(dir, "config.json"), JSON.stringify({ jobs: [job] }));
  await measure(program("sync", "--once", "--quiet", "--config", join(dir, "config.json")), dir);
  using store = new Store(join(dir, "filesync.db"));
  addKnown(store, count);
}

function pathOf(n: number): string {
  return `old/${String(Math.floor(n / 1000)).padStart(4, "0")}/log_${n}.ulg`;
}

/** Each daemon is killed at work, so that the next one begins with what that leaves. @param between what happens then */
async function startOf(dir: string, rounds: number, between: () => void): Promise<string> {
  const seconds: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    await using daemon = new Daemon(dir);
    const ms = await daemon.started;
    // The first one was not begun after a kill.
    if (round > 0) seconds.push(ms / 1000);
    await wait(1500);
    writeFileSync(join(dir, "in", "d0", `new_${round}_${Date.now()}.bin`), "new");
    await wait(1500);
    await daemon.kill();
    between();
  }
  return `${median(seconds).toFixed(2)} s after a kill at work`;
}

/** A store of another boot: what a start makes of it is what it makes of it after a power cut. */
function forgetBoot(path: string): void {
  using store = new Store(path);
  store.write(() => store.setMeta("boot_id", "another"));
}

/** The daemon at rest, and how long it takes to answer its page: meanwhile it moves nothing. */
async function watchDaemon(dir: string, count: number, tell: (name: string, figure: string) => void): Promise<void> {
  const port = freePort();
  await using daemon = new Daemon(dir, "--http", `127.0.0.1:${port}`);
  await daemon.started;
  await wait(WATCH_MS);
  const cpuS = cpuOf(daemon.pid);
  await wait(WATCH_MS);
  const perCycleMs = (cpuOf(daemon.pid) - cpuS) / (WATCH_MS / 1000) * 1000;
  tell("the host's processor time for a cycle with nothing to do", `${perCycleMs.toFixed(1)} ms`);
  tell("memory of the host at rest", mib(mibOf(daemon.pid, "VmRSS") * 2 ** 20));
  const asks = {
    "/api/status": "",
    "/api/files": "",
    "/api/files, a search that finds nothing": "?q=nothing-like-it",
    "/api/files, what needs a person": "?state=parked",
    "/api/why of a known file": `?path=${encodeURIComponent(pathOf(count - 1))}`,
    "/api/why of an unknown file": "?path=nothing-like-it",
    "/metrics": "",
  };
  for (const [name, query] of Object.entries(asks)) {
    const ms: number[] = [];
    for (let round = 0; round < 5; round++) {
      const startMs = performance.now();
      const answer = await fetch(`http://127.0.0.1:${port}${name.split(/[ ,]/)[0]}${query}`);
      await answer.text();
      if (!answer.ok) throw new Error(`${name} is answered with ${answer.status}`);
      ms.push(performance.now() - startMs);
    }
    tell(`page: ${name}`, `${median(ms).toFixed(0)} ms`);
  }
  tell("peak memory of the host with all of it", mib(peakMibOf(daemon.pid) * 2 ** 20));
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}
