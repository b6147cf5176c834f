/** The workloads that are guarded, and runs of ours and of a peer beside one another. */
import { hasCommand } from "../../support/needs.ts";
import { measure } from "../measure.ts";
import type { Contender, Workload } from "../work.ts";
import { WORKLOADS } from "../workloads.ts";
import type { Cost, Pair } from "./compare.ts";

/** A workload with the two of its contenders that are compared. */
export interface Guarded {
  name: string;
  ours: string;
  /** One of the workload's contenders by its name, or a command of its own that does the same work. */
  peer: string | Contender;
}

/** At hand everywhere: every file copied, and every file and folder fsynced. */
const SYNCED_COPY: Contender = {
  who: "cp and sync",
  argv: ["sh", "-c", "cp -r in out && find out -exec sync {} +"],
};

/** Few and short, of each kind one: all of them take some five minutes. */
export const GUARDED: readonly Guarded[] = [
  { name: "small-local", ours: "FileSync", peer: SYNCED_COPY },
  { name: "big-local", ours: "FileSync", peer: SYNCED_COPY },
  { name: "small-from-ftp", ours: "FileSync", peer: "rclone --transfers 4" },
  { name: "small-to-ftp", ours: "FileSync", peer: "rclone --transfers 4" },
  // No peer keeps such a store: we are compared with ourselves.
  { name: "known", ours: "FileSync, 200,000 known", peer: "FileSync, 10 known" },
];

/** The workload of a name. @throws {Error} when there is none */
export function workloadOf(name: string): Workload {
  const workload = WORKLOADS.find((candidate) => candidate.name === name);
  if (workload === undefined) throw new Error(`Workload "${name}" is not one of deno task bench`);
  return workload;
}

/** Measures with everything prepared; what was prepared is gone afterwards. */
export async function withPairs<T>(
  { name, ours, peer }: Guarded,
  use: (measurePairs: (rounds: number) => Promise<Pair[]>) => Promise<T>,
): Promise<T> {
  const workload = workloadOf(name);
  const dir = await Deno.makeTempDir({ prefix: "filesync-guard-" });
  try {
    await workload.prepare(dir);
    const contenders = [ours, peer].map((who) => contenderOf(workload, dir, who)) as [Contender, Contender];
    const run = async ({ argv }: Contender): Promise<Cost> => {
      await workload.reset(dir);
      return await measure(argv, dir);
    };
    // The first run of each warms caches and is not counted.
    for (const contender of contenders) await run(contender);
    return await use((rounds) => alternate(contenders, rounds, run));
  } finally {
    await workload.finish?.();
    await Deno.remove(dir, { recursive: true });
  }
}

/** The peer's name. */
export function peerName({ peer }: Guarded): string {
  return typeof peer === "string" ? peer : peer.who;
}

function contenderOf(workload: Workload, dir: string, who: string | Contender): Contender {
  if (typeof who !== "string") return who;
  const contender = workload.contenders(dir).find((candidate) => candidate.who === who);
  if (contender === undefined) throw new Error(`Workload "${workload.name}" has no "${who}"`);
  if (contender.needs !== undefined && !hasCommand(contender.needs)) {
    throw new Error(`${contender.needs} is not installed`);
  }
  return contender;
}

/** Who is first changes each time: the second one may find what the first one left, and a disk that is still at work. */
async function alternate(
  [ours, peer]: [Contender, Contender],
  rounds: number,
  run: (contender: Contender) => Promise<Cost>,
): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 0) {
      const cost = await run(ours);
      pairs.push({ ours: cost, peer: await run(peer) });
    } else {
      const cost = await run(peer);
      pairs.push({ ours: await run(ours), peer: cost });
    }
  }
  return pairs;
}
