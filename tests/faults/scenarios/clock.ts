/** A clock without a battery: the date jumps by years, forward and back, before, between and in the middle of runs. */
import { join } from "node:path";
import { FakeClock } from "../../support/fake_clock.ts";
import { FTP_SERVER_KINDS } from "../../support/ftp_servers.ts";
import { mixedFiles, Pipeline, RESENT_ALL_BYTES } from "../pipeline.ts";
import { addOutcome, emptyOutcome, type Outcome, type RunOptions, type Scenario, seededRandom } from "../scenario.ts";

/** Days from today: 1971, 1980, the near past and future, beyond 2038. */
const JUMPS = [-20_000, -16_700, -400, -1, 0, 1, 400, 5000, 14_000];
/** Jumps for one protocol. */
const COUNT = { ci: 2, full: 120 };
/** Slow enough that a jump meets files in the middle. */
const LIMITS = { download: "12MiB/s", upload: "12MiB/s" };
/** Modification times that cameras and autopilots give when they do not know the date, seconds since 1970. */
const ODD_TIMES = [0, 315_532_800, 4_000_000_000];

export const CLOCK_JUMPS: readonly Scenario[] = [{
  fault: "the date jumps by years, forward and back, while drivers are killed",
  name: "clock-jumps",
  protocols: ["local->local", "local->ftp", "ftp->local"],
  needs: ["faketime", ...FTP_SERVER_KINDS],
  patient: true,
  async run(protocol, options) {
    const sum = emptyOutcome();
    const random = seededRandom(options.seed);
    while (sum.runs < COUNT[options.scale]) {
      addOutcome(sum, await round(protocol, random, options));
      options.tell(`${sum.runs} jumps`);
    }
    return sum;
  },
}];

async function round(protocol: string, random: () => number, { signal }: RunOptions): Promise<Outcome> {
  const kind = FTP_SERVER_KINDS[Math.floor(random() * FTP_SERVER_KINDS.length)]!;
  await using pipeline = await Pipeline.open({
    protocol,
    seed: Math.floor(random() * 2 ** 31),
    signal,
    files: mixedFiles(random, { small: 12, big: 2 }),
    source: { ftp: { kind } },
    target: { ftp: { kind } },
    // Settling, back-off and the log's rotation go over the jumps.
    job: { attempts: 50, limits: LIMITS, finder: { settle: "1s", interval: "1s" } },
    config: { log: { file: "./filesync.log", max_size: "4KiB", keep: 2 } },
  });
  const paths = Object.keys(pipeline.sizes);
  ODD_TIMES.forEach((time, n) => Deno.utimeSync(join(pipeline.source.dir, paths[n * 5]!), time, time));
  const clock = new FakeClock(join(pipeline.dir, "work"));
  const days = () => JUMPS[Math.floor(random() * JUMPS.length)]!;
  let jumps = 0;
  for (let run = 0; run < 2; run++) {
    let now = days();
    clock.jump(now);
    const program = pipeline.start({ env: clock.env });
    await pipeline.until(() => program.events.length > run, 20_000);
    for (let inside = 0; inside < 2 && !program.hasEnded; inside++) {
      await pipeline.until(() => false, 300 + random() * 700);
      // Its restart, with a back-off, is what the program says next.
      const chosen = program.children[Math.floor(random() * program.children.length)];
      const before = program.events.length;
      now = days();
      clock.jump(now);
      if (chosen === undefined) continue;
      Deno.kill(chosen, "SIGKILL");
      const wasTold = await pipeline.until(() => program.events.length > before, 20_000);
      const told = new Date(String(program.events.at(-1)?.["time"])).getTime();
      // The fault happened when the program itself saw the other date.
      if (wasTold && Math.abs(told - Date.now() - now * 86_400_000) < 3_600_000) jumps++;
    }
    if (run === 0) await pipeline.kill();
  }
  await pipeline.untilDelivered();
  return await pipeline.finish({
    runs: jumps,
    resentLimitBytes: protocol === "local->local" ? null : RESENT_ALL_BYTES * (jumps + 1),
    brokenMax: 8,
    notes: protocol === "local->local" ? [] : [kind],
  });
}
