/** What a job costs in a daemon that has many of them: memory, start, and the time of its cycles. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Store } from "../../../lib/state/mod.ts";
import { memoryOfTree, type TreeMemory } from "../../support/process_memory.ts";
import { Daemon, until } from "../daemon.ts";
import { childrenOf, cpuOf, mibOf, wait } from "../proc.ts";
import { makeFiles } from "../work.ts";

const COUNTS = [1, 10, 50] as const;
/** Files of each job. */
const FEW = 20;
/** From the last file's arrival to the look, milliseconds: memory is given back in its own time. */
const SETTLE_MS = 12_000;
/** How long processor time is counted, milliseconds: several cycles. */
const WATCH_MS = 30_000;
/** Until all files of all jobs arrived, seconds: a hundred processes start. */
const ARRIVAL_S = 300;

interface Look {
  jobs: number;
  startedS: number;
  arrivedS: number;
  memory: TreeMemory;
  hostMib: number;
  hostPercent: number;
  driversPercent: number;
}

/** @returns lines of Markdown */
export async function jobs(dir: string): Promise<string[]> {
  const lines = [
    "| jobs | processes | until it works, s | until all files arrived, s | host, MiB | all, shared pages once, MiB | CPU at rest: host, drivers, % of a core |",
    "|---|---|---|---|---|---|---|",
  ];
  const looks: Look[] = [];
  for (const [kind, ofTarget] of Object.entries(TARGETS)) {
    for (const count of COUNTS) {
      if (kind === "shared" && count !== COUNTS.at(-1)) continue;
      const look = await lookAt(join(dir, `${kind}${count}`), count, ofTarget);
      if (kind === "own") looks.push(look);
      const cells = [
        kind === "own" ? String(count) : `${count}, with one target for all`,
        String(look.memory.processes),
        look.startedS.toFixed(2),
        look.arrivedS.toFixed(1),
        look.hostMib.toFixed(0),
        (look.memory.pssKb / 1024).toFixed(0),
        `${look.hostPercent.toFixed(1)}, ${look.driversPercent.toFixed(1)}`,
      ];
      lines.push(`| ${cells.join(" | ")} |`);
      console.error(lines.at(-1));
    }
  }
  return [...lines, "", perJob(looks)];
}

/** Targets of a job by its number. */
const TARGETS = {
  own: (n: number) => `out${n}`,
  shared: () => "out",
};

function perJob(looks: Look[]): string {
  const first = looks[0]!;
  const last = looks.at(-1)!;
  const each = (of: (look: Look) => number) => (of(last) - of(first)) / (last.jobs - first.jobs);
  return `Each further job with a source and a target of its own: ${
    each((look) => look.memory.pssKb / 1024).toFixed(0)
  } MiB, of which ${each((look) => look.hostMib).toFixed(1)} in the host; ${
    each((look) => look.startedS * 1000).toFixed(0)
  } ms of the start; ${each((look) => look.hostPercent + look.driversPercent).toFixed(2)} % of a core at rest.`;
}

async function lookAt(dir: string, count: number, targetOf: (n: number) => string): Promise<Look> {
  mkdirSync(dir);
  const jobs = Array.from({ length: count }, (_, n) => {
    makeFiles(join(dir, `in${n}`), 1, FEW, 1000);
    return {
      name: `job${n}`,
      source: { driver: "local", args: { dir: `in${n}` } },
      target: { driver: "local", args: { dir: targetOf(n) } },
      path: "{job}/{path}",
      finder: { settle: "0s", interval: "10s" },
    };
  });
  writeFileSync(join(dir, "config.json"), JSON.stringify({ jobs }));
  const startMs = performance.now();
  await using daemon = new Daemon(dir);
  const startedS = await daemon.started / 1000;
  await until(() => delivered(join(dir, "filesync.db")) === count * FEW, ARRIVAL_S);
  const arrivedS = (performance.now() - startMs) / 1000;
  await wait(SETTLE_MS);
  const drivers = () => childrenOf(daemon.pid).reduce((sum, pid) => sum + cpuOf(pid), 0);
  const before = { host: cpuOf(daemon.pid), drivers: drivers() };
  await wait(WATCH_MS);
  const percent = (seconds: number) => seconds / (WATCH_MS / 1000) * 100;
  return {
    jobs: count,
    startedS,
    arrivedS,
    memory: memoryOfTree(daemon.pid),
    hostMib: mibOf(daemon.pid, "VmRSS"),
    hostPercent: percent(cpuOf(daemon.pid) - before.host),
    driversPercent: percent(drivers() - before.drivers),
  };
}

function delivered(path: string): number {
  using store = new Store(path, { readOnly: true });
  return store.get<{ count: number }>("SELECT count(*) AS count FROM delivery WHERE state = 'delivered'")!.count;
}
