/**
 * What a row of the fault campaign is, and what it is judged by. One file of `scenarios/` per family of faults; the
 * registry names them all.
 */
import { type FtpServerKind, hasFtpServer } from "../support/ftp_servers.ts";
import { DRIVES, hasDrives } from "../support/loop_drive.ts";
import { hasCommand } from "../support/needs.ts";

/** `ci`: a few runs in seconds, with each test run; `full`: what the table tells. */
export type Scale = "ci" | "full";

/** What one row for one protocol is run with. */
export interface RunOptions {
  /** Makes sizes, places and waits repeatable; the scheduler's part in it is not. */
  seed: number;
  scale: Scale;
  signal: AbortSignal;
  /** One line for a person who waits. */
  tell: (line: string) => void;
}

/** One kind of fault. */
export interface Scenario {
  /** Row of the table, in words: "kill of the program at random instants". */
  fault: string;
  /** One word for `--only`. */
  name: string;
  /** Columns of the table, `source->target`: "local->ftp". Each is run by itself. */
  protocols: readonly string[];
  /** Commands on PATH, kinds of FTP server, "root", or `DRIVES`: absent ones make it ignored here and failed in CI. */
  needs: readonly string[];
  /** It mostly waits, so others run beside it. */
  patient?: boolean;
  run(protocol: string, options: RunOptions): Promise<Outcome>;
}

/** What came out of all runs of a row for one protocol. Everything but the first and the last four must be 0. */
export interface Outcome {
  /** Faults that really happened: kills, cuts, refused replies. A run without its fault proves nothing. */
  runs: number;
  /** Files that did not arrive. */
  lost: number;
  /** Files that are other than the source's at the end, or foreign to it. */
  corrupt: number;
  /** Files that are there a second time under another name. */
  duplicated: number;
  /** Times that a final name was seen with anything but the whole file, at any instant. */
  halfUnderFinalName: number;
  /** Temporary names, spool files that are left at the end. */
  leftovers: number;
  /** Files or deliveries that wait for a person. */
  humanActions: number;
  /** Times that the program ended by itself, a driver died without being killed, or the log was flooded. */
  unhealthy: number;
  /** The worst run: bytes that crossed the wire beyond the size of the files… */
  resentBytes: number;
  /** …and how many that run may send again. `null` where nothing stands on the wire to count, or nothing resumes. */
  resentLimitBytes: number | null;
  /** What a reader of the table should know: servers, figures. */
  notes: string[];
}

/** An outcome with nothing in it. */
export function emptyOutcome(): Outcome {
  return {
    runs: 0,
    lost: 0,
    corrupt: 0,
    duplicated: 0,
    halfUnderFinalName: 0,
    leftovers: 0,
    humanActions: 0,
    unhealthy: 0,
    resentBytes: 0,
    resentLimitBytes: null,
    notes: [],
  };
}

/** Counts that must be 0, and what each means. */
const FAULTLESS: [key: keyof Outcome, words: string][] = [
  ["lost", "lost"],
  ["corrupt", "corrupt"],
  ["duplicated", "duplicated"],
  ["halfUnderFinalName", "half under a final name"],
  ["leftovers", "left over"],
  ["humanActions", "waiting for a person"],
  ["unhealthy", "times unhealthy"],
];

/** Everything that is wrong with an outcome; empty when it passes. */
export function problemsOf(outcome: Outcome): string[] {
  const problems = FAULTLESS.filter(([key]) => outcome[key] !== 0).map(([key, words]) => `${outcome[key]} ${words}`);
  if (outcome.runs === 0) problems.push("no fault happened");
  if (outcome.resentLimitBytes !== null && outcome.resentBytes > outcome.resentLimitBytes) {
    problems.push(`${outcome.resentBytes} bytes sent again: at most ${outcome.resentLimitBytes}`);
  }
  return problems;
}

/** Adds the runs of `more` to `sum`. */
export function addOutcome(sum: Outcome, more: Outcome): void {
  sum.runs += more.runs;
  for (const [key] of FAULTLESS) (sum[key] as number) += more[key] as number;
  if (more.resentLimitBytes !== null) {
    const share = (outcome: Outcome) =>
      outcome.resentLimitBytes === null ? -1 : outcome.resentBytes / Math.max(1, outcome.resentLimitBytes);
    if (share(more) > share(sum)) {
      sum.resentBytes = more.resentBytes;
      sum.resentLimitBytes = more.resentLimitBytes;
    }
  }
  for (const note of more.notes) if (!sum.notes.includes(note)) sum.notes.push(note);
}

/** Does `work` for each of `items`: one after the other, or all at once where they mostly wait. */
export async function eachOf<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
  isTogether: boolean,
): Promise<void> {
  if (isTogether) {
    // All have ended before one's failure is told: each has servers to stop.
    const ends = await Promise.allSettled(items.map(work));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  } else for (const item of items) await work(item);
}

/** Small, fast, repeatable random numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Each cell has a seed of its own, so that not all of them pick the same server. */
export function seedOf(seed: number, { name }: Pick<Scenario, "name">, protocol: string): number {
  let hash = seed >>> 0;
  for (const char of `${name} ${protocol}`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return hash;
}

/** The needs of a scenario that this machine does not meet. */
export function missingNeeds({ needs }: Pick<Scenario, "needs">): string[] {
  return needs.filter((need) => {
    if (need === "root") return Deno.uid() !== 0;
    if (need === DRIVES) return !hasDrives();
    if (FTP_KINDS.has(need)) return !hasFtpServer(need as FtpServerKind);
    return !hasCommand(need);
  });
}

const FTP_KINDS = new Set<string>(["pure-ftpd", "vsftpd", "proftpd", "pyftpdlib"] satisfies FtpServerKind[]);
