/** Walks over what power cuts could have left of a recorded run: judges many states, recovers from some of them. */
import type { PluginSet } from "../../lib/host/mod.ts";
import { seededRandom } from "./scenario.ts";
import type { PowerBed } from "./power_bed.ts";
import { type Chance, CORNERS, mixture, NOTHING_MORE } from "./power_disk.ts";

export interface PowerScale {
  seed: number;
  /** Mixtures for each cut, beside the corners. */
  mixtures: number;
  /** States that are judged as they lie there; the first of them are recovered too. */
  judged: number;
  /** States that the engine recovers from, in this process. */
  recovered: number;
  /** States that the real program recovers from, as a process. */
  started: number;
}

export interface PowerResult {
  cuts: number;
  /** All that there are at these mixtures. */
  states: number;
  judged: number;
  recovered: number;
  started: number;
  faults: string[];
}

/** Enough to see what is wrong; the rest is more of the same. */
const FAULTS_MAX = 5;

export async function powerCampaign(bed: PowerBed, plugins: PluginSet, scale: PowerScale): Promise<PowerResult> {
  const disk = bed.recorded!;
  const states: [cut: number, chance: Chance][] = [];
  for (const cut of disk.cuts) {
    states.push([cut, NOTHING_MORE]);
    if (!disk.isAtStake(cut)) continue;
    for (const chance of CORNERS.slice(1)) states.push([cut, chance]);
    for (let n = 0; n < scale.mixtures; n++) states.push([cut, mixture(scale.seed + cut * scale.mixtures + n)]);
  }
  shuffle(states, seededRandom(scale.seed));
  const result: PowerResult = {
    cuts: disk.cuts.length,
    states: states.length,
    judged: 0,
    recovered: 0,
    started: 0,
    faults: [],
  };
  for (const [n, [cut, chance]] of states.slice(0, scale.judged).entries()) {
    const faults = bed.build(cut, chance);
    result.judged++;
    if (n < scale.started) {
      faults.push(...await bed.recoverWithProgram());
      result.started++;
    } else if (n < scale.started + scale.recovered) {
      faults.push(...await bed.recover(plugins));
      result.recovered++;
    }
    if (faults.length === 0) continue;
    result.faults.push(`cut after call ${cut} of ${bed.calls}, ${chance.name}:\n  ${faults.join("\n  ")}`);
    if (result.faults.length >= FAULTS_MAX) break;
  }
  return result;
}

function shuffle<T>(items: T[], random: () => number): void {
  for (let at = items.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [items[at], items[other]] = [items[other]!, items[at]!];
  }
}
