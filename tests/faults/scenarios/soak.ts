/**
 * Two hours of small files without the waiting: batches come, are renamed and deleted, again and again, beside readers of
 * the state store. What would kill the program in a month shows as a slope: memory, open files, the log, SQLite's log.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ENDS } from "../ends.ts";
import { Program, status } from "../program.ts";
import { emptyOutcome, type Outcome, type RunOptions, type Scenario, seededRandom } from "../scenario.ts";
import { filesBelow, Verifier } from "../verifier.ts";

/** Files that are moved, by protocol, and those of one batch. */
const FILES: Record<string, { ci: number; full: number }> = {
  "local->local": { ci: 1000, full: 60_000 },
  "local->ftp": { ci: 400, full: 20_000 },
};
const BATCH = 100;
const LOG_BYTES_MAX = 16 * 1024;
const LOGS_KEPT = 2;

const MIB = 1024 * 1024;
/** SQLite moves its log into the store from 4 MiB on, unless somebody reads just then. */
const WAL_BYTES_MAX = 16 * MIB;
/** Memory and open files may grow so much from the first third to the last: heaps and pools find their size. */
const GROWTH = { ci: { rss: 1.5, descriptors: 8 }, full: { rss: 1.15, descriptors: 8 } };

export const SOAK: readonly Scenario[] = [{
  fault: "tens of thousands of small files, renamed and deleted, beside readers of the state store",
  name: "soak",
  protocols: ["local->local", "local->ftp"],
  needs: ["pure-ftpd"],
  run: soak,
}];

/** What a run looks like from outside. */
interface Sample {
  /** By process: the host and each driver, in the order of their start. */
  rssBytes: number[];
  descriptors: number[];
  walBytes: number;
  logBytes: number;
}

async function soak(protocol: string, { seed, scale, signal, tell }: RunOptions): Promise<Outcome> {
  const random = seededRandom(seed);
  const dir = await Deno.makeTempDir({ prefix: "filesync-soak-" });
  const dirs = { work: join(dir, "work"), source: join(dir, "source"), target: join(dir, "target") };
  for (const path of Object.values(dirs)) mkdirSync(path, { mode: 0o777 });
  // A server drops its rights: it must be able to reach what it serves.
  for (const path of [dir, ...Object.values(dirs)]) Deno.chmodSync(path, 0o777);
  const target = await ENDS[protocol.split("->")[1]!]!({ dir: dirs.target, role: "target" });
  const config = join(dirs.work, "config.json");
  writeFileSync(
    config,
    JSON.stringify({
      log: { file: "./filesync.log", max_size: `${LOG_BYTES_MAX}`, keep: LOGS_KEPT },
      jobs: [{
        name: "soak",
        source: { driver: "local", args: { dir: dirs.source } },
        target: target.device,
        finder: { settle: "0s", interval: "200ms" },
      }],
    }),
  );
  const delivered = new Set<string>();
  let isFailed = false;
  const program = new Program({
    config,
    onEvent: (event) => {
      if (event.event === "delivered") delivered.add(event.path!);
      if (event.event === "parked") isFailed = true;
    },
  });
  const samples: Sample[] = [];
  const readers = new Readers(join(dirs.work, "filesync.db"));
  try {
    for (let made = 0; made < FILES[protocol]![scale];) {
      signal.throwIfAborted();
      const names = Array.from({ length: BATCH }, () => `day ${made % 7}/log_${made++}.ulg`);
      for (const name of names) put(dirs.source, name, random);
      await until(() => names.every((name) => delivered.has(name)), program, signal);
      // Renamed, so that its bytes come under another name, and deleted, before the next batch comes.
      for (const name of names.slice(0, BATCH / 10)) {
        renameSync(join(dirs.source, name), join(dirs.source, `${name}.old`));
      }
      for (const name of names.slice(BATCH / 2)) rmSync(join(dirs.source, name));
      samples.push(sampleOf(program, dirs.work));
      if (made % 4000 === 0) tell(`${made} files, host ${Math.round(samples.at(-1)!.rssBytes[0]! / MIB)} MiB`);
    }
    const left = filesBelow(dirs.source);
    await until(() => left.every((name) => delivered.has(name)), program, signal);
    // All that is told is also done: the spool is empty a moment later.
    await until(() => spooled(dirs.work).length === 0, program, signal);
    samples.push(sampleOf(program, dirs.work));
    const outcome = await judge(dirs, samples, { program, config, scale, isFailed });
    return { ...outcome, runs: FILES[protocol]![scale] };
  } finally {
    readers.close();
    program.kill("SIGTERM");
    await program.exit;
    await target.close();
    await Deno.remove(dir, { recursive: true });
  }
}

function put(dir: string, name: string, random: () => number): void {
  mkdirSync(join(dir, name, ".."), { recursive: true });
  const bytes = new Uint8Array(1 + Math.floor(random() * 8000)).map(() => random() * 256);
  writeFileSync(join(dir, `${name}.tmp`), bytes);
  renameSync(join(dir, `${name}.tmp`), join(dir, name));
}

async function until(holds: () => boolean, program: Program, signal: AbortSignal): Promise<void> {
  while (!holds()) {
    signal.throwIfAborted();
    if (program.hasEnded) throw new Error(`The program ended: ${program.stderr}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const spooled = (work: string) => filesBelow(join(work, "filesync.db.spool")).filter((name) => name !== "store.id");

/** How long a reader keeps what it sees in sight, and how soon the next one comes, milliseconds. */
const LOOK_MS = 400;
const PAUSE_MS = 10;

/** Somebody who looks nearly all the time. */
class Readers {
  readonly #path: string;
  #open: DatabaseSync | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#timer = setTimeout(() => this.#look(), LOOK_MS);
  }

  #look(): void {
    if (statSync(this.#path, { throwIfNoEntry: false }) !== undefined) {
      this.#open = new DatabaseSync(this.#path, { readOnly: true });
      this.#open.exec("PRAGMA busy_timeout = 5000; BEGIN");
      this.#open.prepare("SELECT count(*) FROM sqlite_master").get();
    }
    this.#timer = setTimeout(() => {
      this.#open?.close();
      this.#open = undefined;
      this.#timer = setTimeout(() => this.#look(), PAUSE_MS);
    }, LOOK_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#open?.close();
  }
}

function sampleOf(program: Program, work: string): Sample {
  const pids = [program.pid, ...program.children];
  const rss = (pid: number) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
  const size = (name: string) => statSync(join(work, name), { throwIfNoEntry: false })?.size ?? 0;
  const logs = readdirSync(work).filter((name) => name.startsWith("filesync.log"));
  return {
    rssBytes: pids.map(rss),
    descriptors: pids.map((pid) => readdirSync(`/proc/${pid}/fd`).length),
    walBytes: size("filesync.db-wal"),
    logBytes: logs.reduce((sum, name) => sum + size(name), 0),
  };
}

async function judge(
  dirs: { work: string; source: string; target: string },
  samples: Sample[],
  { program, config, scale, isFailed }: {
    program: Program;
    config: string;
    scale: RunOptions["scale"];
    isFailed: boolean;
  },
): Promise<Outcome> {
  const outcome = emptyOutcome();
  const verdict = new Verifier(dirs.source).judge(dirs.target);
  outcome.lost = verdict.missing.length;
  outcome.corrupt = verdict.corrupt.length;
  // Names that the source has no more are no fault here.
  outcome.leftovers = verdict.leftovers.length + spooled(dirs.work).length;
  outcome.humanActions = (await status(config)).parkedTotal + (isFailed ? 1 : 0);
  const problems: string[] = [];
  const third = Math.ceil(samples.length / 3);
  const compare = (what: "rssBytes" | "descriptors", fits: (early: number, late: number) => boolean) => {
    const figures = samples[0]![what].map((_, process) => {
      const early = median(samples.slice(1, third + 1).map((sample) => sample[what][process] ?? 0));
      const late = median(samples.slice(-third).map((sample) => sample[what][process] ?? 0));
      if (!fits(early, late)) problems.push(`${what} of process ${process} grew from ${early} to ${late}`);
      return what === "rssBytes"
        ? `${Math.round(early / MIB)} to ${Math.round(late / MIB)} MiB`
        : `${early} to ${late}`;
    });
    return figures.join(", ");
  };
  const rss = compare("rssBytes", (early, late) => late <= early * GROWTH[scale].rss);
  const descriptors = compare("descriptors", (early, late) => late <= early + GROWTH[scale].descriptors);
  const walBytes = Math.max(...samples.map((sample) => sample.walBytes));
  const logBytes = Math.max(...samples.map((sample) => sample.logBytes));
  if (walBytes > WAL_BYTES_MAX) problems.push(`SQLite's log grew to ${walBytes} bytes`);
  if (logBytes > (LOGS_KEPT + 2) * LOG_BYTES_MAX) problems.push(`the log files grew to ${logBytes} bytes`);
  if (problems.length > 0) console.log(problems.join("\n"), program.stderr.slice(-2000));
  outcome.unhealthy = problems.length + (program.hasEnded ? 1 : 0);
  outcome.notes.push(
    `memory of host and drivers ${rss}; open files ${descriptors}; SQLite's log at most ${
      Math.ceil(walBytes / 1024)
    } KiB`,
  );
  return outcome;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
