/** What a listing of a million files costs: while they settle, when they are new, and when all of them are known. */
import { linkSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Store } from "../../../lib/state/mod.ts";
import { Daemon, isListed, until } from "../daemon.ts";
import { addReceipts } from "../known_files.ts";
import { measure } from "../measure.ts";
import { childrenOf, cpuOf, peakMibOf } from "../proc.ts";
import { program } from "../work.ts";

const FOLDERS = 1000;
const PER_FOLDER = 1000;
const COUNT = FOLDERS * PER_FOLDER;
/** A first listing is given so long, seconds. */
const LISTING_S = 600;
/** Of a source that is met for the first time only so many are taken: what moving costs is measured elsewhere. */
const MAX_FIRST = 10;

interface Figures {
  wallS: number;
  /** Of the host. */
  cpuS: number;
  memoryMib: number;
}

/** @returns lines of Markdown */
export async function listing(dir: string): Promise<string[]> {
  makeNames(join(dir, "in"));
  const lines = [
    "| listing | wall s | µs a file | host: CPU µs a file | host and drivers: peak MiB |",
    "|---|---|---|---|---|",
  ];
  const tell = (name: string, { wallS, cpuS, memoryMib }: Figures) => {
    const cells = [
      name,
      wallS.toFixed(1),
      (wallS / COUNT * 1e6).toFixed(1),
      (cpuS / COUNT * 1e6).toFixed(1),
      memoryMib.toFixed(0),
    ];
    lines.push(`| ${cells.join(" | ")} |`);
    console.error(lines.at(-1));
  };
  tell("the first one; all have to settle", await settling(join(dir, "settling")));
  const known = join(dir, "known");
  tell(`all are new; the newest ${MAX_FIRST} are taken, the rest waits to be told`, await once(known));
  tell("all but those are parked", await once(known));
  const status = await measure(program("status", "--config", join(known, "config.json")), known);
  finishAll(join(known, "filesync.db"));
  tell("all are delivered: nothing to do", await once(known));
  const words = `${status.wallS.toFixed(1)} s and ${status.memoryMib.toFixed(0)} MiB`;
  return [...lines, "", `\`status\` takes ${words} while all but ${MAX_FIRST} of them are parked.`];
}

/** Names of one file in each folder: a listing reads names, and files of their own take minutes on a slow disk. */
function makeNames(dir: string): void {
  for (let folder = 0; folder < FOLDERS; folder++) {
    const below = join(dir, `d${folder}`);
    mkdirSync(below, { recursive: true });
    writeFileSync(join(below, "log_0.ulg"), "x");
    for (let n = 1; n < PER_FOLDER; n++) linkSync(join(below, "log_0.ulg"), join(below, `log_${n}.ulg`));
  }
}

function configure(dir: string, finder: Record<string, unknown>): void {
  mkdirSync(dir, { recursive: true });
  const source = { driver: "local", args: { dir: "../in" } };
  const target = { driver: "local", args: { dir: "out" } };
  writeFileSync(join(dir, "config.json"), JSON.stringify({ jobs: [{ name: "bench", source, target, finder }] }));
}

async function settling(dir: string): Promise<Figures> {
  configure(dir, { settle: "1h", interval: "1h" });
  await using daemon = new Daemon(dir);
  await daemon.started;
  const startMs = performance.now();
  await until(() => isListed(join(dir, "filesync.db")), LISTING_S);
  const wallS = (performance.now() - startMs) / 1000;
  const memoryMib = [daemon.pid, ...childrenOf(daemon.pid)].map(peakMibOf).reduce((sum, mib) => sum + mib, 0);
  return { wallS, cpuS: cpuOf(daemon.pid), memoryMib };
}

async function once(dir: string): Promise<Figures> {
  configure(dir, { settle: "0s", max_first: MAX_FIRST });
  const argv = program("sync", "--once", "--quiet", "--config", join(dir, "config.json"));
  // Parked files are told by the exit code.
  const { wallS, ownCpuS, memoryMib } = await measure(argv, dir, [0, 4]);
  return { wallS, cpuS: ownCpuS, memoryMib };
}

/** As if all had been moved. */
function finishAll(path: string): void {
  using store = new Store(path);
  store.write(() => {
    store.run(
      "UPDATE file SET state = 'done', code = NULL, reason = NULL, hint = NULL, sha256 = ? WHERE state = 'parked'",
      "0".repeat(64),
    );
    store.run("DELETE FROM delivery");
    addReceipts(store, 0);
  });
  store.flush();
  store.all("PRAGMA wal_checkpoint(TRUNCATE)");
}
