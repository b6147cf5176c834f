/**
 * Judges whether the program got slower, by ratios: each run stands beside a run of a peer on the same work at the same
 * time, so that a slow or a busy machine slows both. Pure functions: what measures is elsewhere.
 */

/** What one run took, seconds. */
export interface Cost {
  wallS: number;
  /** With all its children. */
  cpuS: number;
}

/** One run of ours and one of the peer, one right after the other. */
export interface Pair {
  ours: Cost;
  peer: Cost;
}

/** Ours divided by the peer's: the middle of all pairs, and the quarters below and above it. */
export interface Ratio {
  low: number;
  median: number;
  high: number;
}

/** What is compared of a workload. */
export const QUANTITIES = ["wall", "cpu"] as const;
export type Quantity = (typeof QUANTITIES)[number];

/** The ratios of one workload. */
export interface Ratios {
  /** Who it is compared with, with its version: another one makes other ratios. */
  peer: string;
  rounds: number;
  wall: Ratio;
  cpu: Ratio;
}

/** `unknown`: nothing is recorded, or of another peer. */
export type Verdict = "worse" | "same" | "better" | "unknown";

/**
 * The ratios of pairs, each pair by itself: what disturbs one disturbs no other.
 * @throws {RangeError} when there are none
 */
export function ratiosOf(pairs: readonly Pair[], peer: string): Ratios {
  if (pairs.length === 0) throw new RangeError("Cannot tell ratios of no runs");
  return {
    peer,
    rounds: pairs.length,
    wall: spread(pairs.map(({ ours, peer }) => ours.wallS / peer.wallS)),
    cpu: spread(pairs.map(({ ours, peer }) => ours.cpuS / Math.max(peer.cpuS, CPU_S_MIN))),
  };
}

/** The shell's clock counts milliseconds: a peer that needs less than this is taken to need so much, seconds. */
const CPU_S_MIN = 0.005;

function spread(values: number[]): Ratio {
  const sorted = [...values].sort((a, b) => a - b);
  return { low: quantile(sorted, 0.25), median: quantile(sorted, 0.5), high: quantile(sorted, 0.75) };
}

/** Between two values in proportion. */
function quantile(sorted: number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)]!;
  const above = sorted[Math.ceil(at)]!;
  return below + (above - below) * (at - Math.floor(at));
}

/**
 * Worse is what is worse by more than `tolerance` (0.25: a quarter) and by more than runs differ from one another: its
 * better quarter is beyond the worse quarter of what was recorded. Better is the same the other way round.
 */
export function judge(now: Ratio, before: Ratio, tolerance: number): Exclude<Verdict, "unknown"> {
  if (now.median > before.median * (1 + tolerance) && now.low > before.high) return "worse";
  if (now.median * (1 + tolerance) < before.median && now.high < before.low) return "better";
  return "same";
}

/** The verdict on each quantity. */
export function compare(now: Ratios, before: Ratios | undefined, tolerance: number): Record<Quantity, Verdict> {
  if (before === undefined || before.peer !== now.peer) return { wall: "unknown", cpu: "unknown" };
  return { wall: judge(now.wall, before.wall, tolerance), cpu: judge(now.cpu, before.cpu, tolerance) };
}

/** One line for people: `small-local, wall time: 2.67 times rsync --fsync (2.41 to 2.90), recorded 2.50: the same`. */
export function line(
  workload: string,
  quantity: Quantity,
  { now, before, verdict }: { now: Ratios; before: Ratios | undefined; verdict: Verdict },
): string {
  const { low, median, high } = now[quantity];
  const name = quantity === "wall" ? "wall time" : "processor time";
  const figures = `${workload}, ${name}: ${times(median)} times ${now.peer} (${times(low)} to ${times(high)})`;
  if (verdict === "unknown") {
    const why = before === undefined ? "nothing is recorded" : `recorded beside ${before.peer}`;
    return `${figures}: not compared, ${why}`;
  }
  const { low: lowBefore, median: medianBefore, high: highBefore } = before![quantity];
  const words = { worse: "WORSE", same: "the same", better: "better" }[verdict];
  return `${figures}, recorded ${times(medianBefore)} (${times(lowBefore)} to ${times(highBefore)}): ${words}`;
}

function times(ratio: number): string {
  return ratio.toFixed(2);
}
