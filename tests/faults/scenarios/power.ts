/**
 * The power goes at any instruction. The system calls of the real program are recorded once; what each prefix of them may
 * leave on a disk is built again, judged as it lies there, and recovered from by the engine or by the real program.
 */
import { PowerBed, type PowerBedOptions } from "../power_bed.ts";
import { type Chance, CORNERS, mixture, NOTHING_MORE } from "../power_disk.ts";
import { QuickPlugins } from "../quick_plugins.ts";
import { addOutcome, emptyOutcome, type Outcome, type RunOptions, type Scenario, seededRandom } from "../scenario.ts";

/** How much of one recording is tried. */
interface Share {
  /** States that are judged as they lie there. */
  judged: number;
  /** Of them, those that the engine recovers from. */
  recovered: number;
  /** And those that the real program, as a process, recovers from. */
  started: number;
}

/** Mixtures for each cut, beside the corners. */
const MIXTURES = 3;
/** More of the same would say nothing new. */
const FAULTS_SHOWN = 5;
/** More than the spool syncs at once. */
const LARGE_BYTES = 18_000_000;

const FILES = {
  "empty.bin": 0,
  "b.bin": 1000,
  "new/deep/c.bin": 300_000,
  "new/d.bin": 70_000,
  "new/deep/e.bin": 5000,
};

interface Recording {
  /** What is special about it. */
  words: string;
  options: Omit<PowerBedOptions, "protocol" | "seed">;
  /** What happens before the recording. */
  before?: (bed: PowerBed) => Promise<void>;
  ci: Share;
  full: Share;
}

const SMALL = {
  ci: { judged: 150, recovered: 12, started: 1 },
  full: { judged: Infinity, recovered: 1500, started: 10 },
};

const DELETES: Recording = {
  words: "two targets, source deleted",
  options: { files: FILES, targets: ["out", "second"], job: { after: "delete" } },
  ...SMALL,
};

const LARGE: Recording = {
  words: "a large file",
  // Slow enough that it is synced on the way.
  options: { files: { "small.bin": 100_000, "large.bin": LARGE_BYTES }, job: { limits: { download: "24MiB/s" } } },
  ci: { judged: 30, recovered: 8, started: 1 },
  full: { judged: 800, recovered: 300, started: 5 },
};

const REPLACES: Recording = {
  words: "older content replaced",
  options: { files: FILES, job: { on_change: "replace" } },
  async before(bed) {
    await bed.run();
    for (const path of ["b.bin", "new/deep/c.bin", "empty.bin"]) bed.put(path, 200_000);
  },
  ...SMALL,
};

const RECORDINGS: Record<string, readonly Recording[]> = {
  "local->local": [DELETES, LARGE, REPLACES],
  "local->ftp": [DELETES],
  "ftp->local": [DELETES],
};

export const POWER_CUTS: readonly Scenario[] = [{
  fault: "power cut at any system call",
  name: "power-cut",
  protocols: Object.keys(RECORDINGS),
  needs: ["root", "strace", "unshare", "mount", "pyftpdlib"],
  async run(protocol, options) {
    const sum = emptyOutcome();
    for (const recording of RECORDINGS[protocol]!) addOutcome(sum, await replay(protocol, recording, options));
    return sum;
  },
}, {
  fault: "EIO at the N-th fsync, and then a power cut",
  name: "fsync-fails",
  protocols: ["local->local"],
  needs: ["root", "strace", "unshare", "mount"],
  run: failedSyncs,
}];

async function replay(protocol: string, recording: Recording, options: RunOptions): Promise<Outcome> {
  await using bed = await PowerBed.open({ protocol, seed: options.seed, ...recording.options });
  await recording.before?.(bed);
  await bed.record();
  return await judge(bed, recording.words, recording[options.scale], options);
}

/** Judges states of a recording, and recovers from the first of them. */
async function judge(bed: PowerBed, words: string, share: Share, options: RunOptions): Promise<Outcome> {
  await using quick = new QuickPlugins();
  const states = statesOf(bed, options.seed);
  const outcome = emptyOutcome();
  let recovered = 0;
  let shown = 0;
  for (const [cut, chance] of states.slice(0, share.judged)) {
    options.signal.throwIfAborted();
    const faults = bed.build(cut, chance);
    if (outcome.runs < share.started) faults.push(...await bed.recoverWithProgram());
    else if (outcome.runs < share.started + share.recovered) faults.push(...await bed.recover(quick.plugins));
    if (outcome.runs < share.started + share.recovered) recovered++;
    outcome.runs++;
    if (outcome.runs % 200 === 0) options.tell(`${outcome.runs} of ${states.length} states of ${words}`);
    for (const { kind } of faults) outcome[kind]++;
    if (faults.length === 0 || ++shown > FAULTS_SHOWN) continue;
    const where = `${words}, ${cut} of ${bed.calls} calls, ${chance.name}`;
    console.log(`What went wrong: ${where}:\n  ${faults.map(({ words }) => words).join("\n  ")}`);
    console.log(bed.words.join("\n"));
  }
  outcome.notes.push(`${words}: ${states.length} states of ${bed.calls} calls, ${recovered} recovered from`);
  return outcome;
}

/** Fsyncs of each thread that fail in turn, at the full scale: all that a run of these files makes. */
const FSYNCS_MAX = 16;

/** A run in which the N-th fsync of each thread fails, the next start, and then the power goes. */
async function failedSyncs(protocol: string, options: RunOptions): Promise<Outcome> {
  const sum = emptyOutcome();
  const isShort = options.scale === "ci";
  // In the short scale one N where spool and target, not the store alone, are met.
  const wanted = isShort ? [3 + options.seed % 2] : Array.from({ length: FSYNCS_MAX }, (_, n) => n + 1);
  const share = isShort ? { judged: 60, recovered: 6, started: 0 } : { judged: 1500, recovered: 80, started: 1 };
  let failures = 0;
  for (const n of wanted) {
    const setup = { files: FILES, job: { after: "delete" } };
    await using bed = await PowerBed.open({ protocol, seed: options.seed + n, ...setup });
    await bed.record([`fsync,fdatasync:error=EIO:when=${n}`]);
    failures += bed.failures;
    const outcome = await judge(bed, `fsync ${n} fails`, share, options);
    outcome.notes = [];
    addOutcome(sum, outcome);
  }
  sum.notes.push(`${failures} failed fsyncs`);
  return failures === 0 ? emptyOutcome() : sum;
}

/** Every cut with everything that may be left of it, in an order of the seed. */
function statesOf(bed: PowerBed, seed: number): [cut: number, chance: Chance][] {
  const disk = bed.recorded!;
  const states: [cut: number, chance: Chance][] = [];
  for (const cut of disk.cuts) {
    states.push([cut, NOTHING_MORE]);
    if (!disk.isAtStake(cut)) continue;
    for (const chance of CORNERS.slice(1)) states.push([cut, chance]);
    for (let n = 0; n < MIXTURES; n++) states.push([cut, mixture(seed + cut * MIXTURES + n)]);
  }
  const random = seededRandom(seed);
  for (let at = states.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [states[at], states[other]] = [states[other]!, states[at]!];
  }
  return states;
}
