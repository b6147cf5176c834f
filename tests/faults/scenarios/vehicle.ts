/** An autopilot whose link breaks, that restarts, or that arms, in the middle of its logs. */
import type { Autopilot, PersonalityName } from "../../support/autopilot/mod.ts";
import { Pipeline, RESENT_FILE_BYTES } from "../pipeline.ts";
import { addOutcome, emptyOutcome, type Outcome, type RunOptions, type Scenario, seededRandom } from "../scenario.ts";

/** One of each family: they hold sessions, burst and restart differently. */
const PERSONALITIES: readonly PersonalityName[] = ["px4-main", "ardupilot-4.5"];
/** Faults for one vehicle. */
const COUNT = { ci: 2, full: 24 };
/** Bytes of a log, at least and more. */
const LOG_BYTES = { least: 100_000, more: 200_000 };
const PATIENCE_MS = 300_000;

type Harm = (vehicle: Autopilot, pipeline: Pipeline, random: () => number) => Promise<void>;

const pause = (pipeline: Pipeline, ms: number) => pipeline.until(() => false, ms);

const unplugged: Harm = async (vehicle, pipeline, random) => {
  await vehicle.unplug();
  await pause(pipeline, random() * 4000);
  await vehicle.replug();
};

const rebooted: Harm = (vehicle, _pipeline, random) => vehicle.reboot({ silentMs: 500 + random() * 3000 });

const armed: Harm = async (vehicle, pipeline, random) => {
  vehicle.arm();
  await pause(pipeline, 1500 + random() * 3000);
  vehicle.disarm();
};

async function fly(protocol: string, personality: PersonalityName, harm: Harm, options: RunOptions): Promise<Outcome> {
  const random = seededRandom(options.seed);
  const count = COUNT[options.scale];
  // Enough for all faults, each in the middle of a log.
  const sizes = Array.from({ length: count + 1 }, () => Math.floor(LOG_BYTES.least + random() * LOG_BYTES.more));
  await using pipeline = await Pipeline.open({
    protocol,
    seed: Math.floor(random() * 2 ** 31),
    signal: options.signal,
    files: Object.fromEntries(sizes.map((bytes, n) => [`sess${n % 3}/log10${n}.ulg`, bytes])),
    source: { vehicle: { personality } },
    job: { attempts: 50 },
  });
  const vehicle = pipeline.source.vehicle!;
  pipeline.start();
  let done = 0;
  while (done < count) {
    const wantedBytes = vehicle.stats.dataBytes + LOG_BYTES.least * (0.2 + 0.6 * random());
    if (!await pipeline.until(() => vehicle.stats.dataBytes >= wantedBytes, PATIENCE_MS)) break;
    await harm(vehicle, pipeline, random);
    done++;
  }
  await pipeline.untilDelivered(PATIENCE_MS);
  return await pipeline.finish({
    runs: done,
    resentLimitBytes: done * RESENT_FILE_BYTES,
    notes: [personality],
  });
}

function row(name: string, fault: string, harm: Harm): Scenario {
  return {
    name,
    fault,
    protocols: ["mavftp->local"],
    needs: [],
    // A vehicle is heard once a second.
    patient: true,
    async run(protocol, options) {
      const sum = emptyOutcome();
      const one = options.seed % PERSONALITIES.length;
      const chosen = options.scale === "full" ? PERSONALITIES : [PERSONALITIES[one]!];
      for (const personality of chosen) {
        const outcome = await fly(protocol, personality, harm, options);
        options.tell(`${personality}: ${outcome.runs}, ${outcome.resentBytes} bytes sent again`);
        addOutcome(sum, outcome);
      }
      return sum;
    },
  };
}

export const VEHICLES: readonly Scenario[] = [
  row("vehicle-unplug", "the vehicle's link breaks in the middle of a log, and comes back", unplugged),
  row("vehicle-reboot", "the vehicle restarts in the middle of a log", rebooted),
  row("vehicle-armed", "the vehicle arms in the middle of a log, and lands", armed),
];
