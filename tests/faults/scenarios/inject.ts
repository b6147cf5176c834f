/**
 * The disk fails at the N-th call, for every N: strace lets one call of each thread fail, on the files of one station, and
 * the program goes on by itself; where it ends with a word (the state store's disk), its next start does.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryPath } from "../../../lib/driver/mod.ts";
import { Pipeline } from "../pipeline.ts";
import { addOutcome, emptyOutcome, type Outcome, type RunOptions, type Scenario } from "../scenario.ts";

/** Whose files fail. */
type Place = "source" | "spool" | "target" | "state";

interface Fault {
  place: Place;
  /** System calls that fail. */
  calls: string;
  error: "ENOSPC" | "EIO";
}

const FILES = { "empty.bin": 0, "a.bin": 700_000, "new/deep/b.bin": 300_000, "new/c.bin": 1000 };
/** Calls that take room on a disk. */
const WRITES = "write,writev,pwrite64,copy_file_range,ftruncate,linkat,rename,mkdir";
/** Files that fail at once, in the campaign. */
const BESIDE_COUNT = 3;
/** How long a disk fails at most once there is work, milliseconds; and how long a traced start may take. */
const ILL_MS = 30_000;
const START_MS = 120_000;
/** A run in which nothing fails any more ends the row; this bounds it. */
const N_MAX = 60;

const FULL: readonly Fault[] = [
  { place: "spool", calls: WRITES, error: "ENOSPC" },
  { place: "target", calls: WRITES, error: "ENOSPC" },
  { place: "state", calls: WRITES, error: "ENOSPC" },
];

const BROKEN: readonly Fault[] = [
  { place: "source", calls: "read,pread64,openat", error: "EIO" },
  { place: "spool", calls: "read,pread64,write,fsync,ftruncate,rename,openat", error: "EIO" },
  { place: "target", calls: "read,pread64,write,fsync,ftruncate,linkat,rename,unlink,openat", error: "EIO" },
  { place: "state", calls: "pread64,write,pwrite64,fsync,fdatasync,ftruncate,openat", error: "EIO" },
];

function row(name: string, fault: string, faults: readonly Fault[]): Scenario {
  return {
    fault,
    name,
    protocols: ["local->local", "local->ftp", "ftp->local"],
    needs: ["root", "strace", "pyftpdlib"],
    patient: true,
    async run(protocol, options) {
      const sum = emptyOutcome();
      // The disk of a server is the server's affair, and what the host does is the same for every driver.
      const ours = faults.filter(({ place }) => protocol === "local->local" || place === "spool");
      for (const fault of ours) addOutcome(sum, await everyN(protocol, fault, options));
      return sum;
    },
  };
}

async function everyN(protocol: string, fault: Fault, options: RunOptions): Promise<Outcome> {
  const sum = emptyOutcome();
  // In the short scale one N of the seed, where every run has its fault.
  const wanted = options.scale === "ci" ? [1 + options.seed % 3] : Array.from({ length: N_MAX }, (_, n) => n + 1);
  let isOver = false;
  const work = async () => {
    for (let n = wanted.shift(); n !== undefined && !isOver; n = wanted.shift()) {
      const outcome = await once(protocol, fault, n, options);
      if (outcome.runs === 0) isOver = true;
      else addOutcome(sum, outcome);
      options.tell(`${fault.error} ${fault.place} ${n}: ${outcome.runs} calls failed`);
    }
  };
  await Promise.all(Array.from({ length: options.scale === "ci" ? 1 : BESIDE_COUNT }, work));
  return sum;
}

async function once(protocol: string, fault: Fault, n: number, { seed, signal }: RunOptions): Promise<Outcome> {
  await using pipeline = await Pipeline.open({
    protocol,
    seed: seed + n,
    signal,
    files: FILES,
    source: { ftp: { kind: "pyftpdlib" } },
    target: { ftp: { kind: "pyftpdlib" } },
    // The N-th call of each thread fails, and one file may meet many of them.
    job: { attempts: 50 },
  });
  const log = join(pipeline.dir, "strace.log");
  const paths = await pathsOf(pipeline, fault.place);
  pipeline.start({ wrapper: injecting(log, fault, n, paths) });
  await pipeline.until(() => pipeline.events.some(({ event }) => event === "found"), START_MS);
  // A thread that idles for 10 s is replaced, and the N-th call of the new one fails again: a disk that never gets well
  // for a file whose back-off is longer. A start without the tracer makes it well.
  if (!await pipeline.untilDelivered(ILL_MS) && !pipeline.program.hasEnded) {
    pipeline.program.kill("SIGTERM");
    await pipeline.program.exit;
    pipeline.start();
  }
  while (!await pipeline.untilDelivered(90_000)) {
    if (!pipeline.program.hasEnded) break;
    // A state store that cannot be used, and a start that is not possible, end it; the service's supervisor starts it.
    const code = await pipeline.program.exit;
    if (!["state", "spool"].includes(fault.place) || code !== 7) break;
    pipeline.start();
  }
  const failed = readFileSync(log, "latin1").split("\n").filter((line) => line.includes("(INJECTED)")).length;
  return await pipeline.finish({ runs: failed, resentLimitBytes: null, notes: [] });
}

/** The program as its own child of ours, with the tracer beside it. */
function injecting(log: string, { calls, error }: Fault, n: number, paths: string[]): string[] {
  return [
    ..."strace -D -f --seccomp-bpf -qq -e signal=none -o".split(" "),
    log,
    "-e",
    `trace=${calls}`,
    "-e",
    `inject=${calls}:error=${error}:when=${n}`,
    ...paths.flatMap((path) => ["-P", path]),
    "--",
  ];
}

async function pathsOf(pipeline: Pipeline, place: Place): Promise<string[]> {
  const { dir, source, target, sizes } = pipeline;
  const store = `${dir}/work/filesync.db`;
  const files = Object.keys(sizes);
  switch (place) {
    case "source":
      return files.map((path) => `${source.dir}/${path}`);
    case "state":
      return [store, `${store}-wal`, `${store}-journal`];
    case "spool":
      return [
        `${store}.spool/1`,
        ...files.flatMap((_, n) => ["part", "spool"].map((kind) => `${store}.spool/1/${n + 1}.${kind}`)),
      ];
    case "target": {
      const temporaries = await Promise.all(
        [...pipeline.verifier.expected].map(([path, { sha256 }]) => temporaryPath(path, sha256)),
      );
      return ["", "/new", "/new/deep", ...[...files, ...temporaries].map((path) => `/${path}`)].map((path) =>
        target.dir + path
      );
    }
  }
}

export const INJECTIONS: readonly Scenario[] = [
  row("enospc-write", "ENOSPC at the N-th write, for every N", FULL),
  row("eio-call", "EIO at the N-th call on a disk, for every N", BROKEN),
];
