/** Kills of the program, of a driver, and of all at once, at random instants, again and again. */
import { FTP_SERVER_KINDS, type FtpServerKind } from "../../support/ftp_servers.ts";
import { filesFor, mixedFiles, Pipeline, RESENT_ALL_BYTES } from "../pipeline.ts";
import { killed } from "../program.ts";
import { addOutcome, emptyOutcome, type Outcome, type RunOptions, type Scenario, seededRandom } from "../scenario.ts";

type Victim = "host" | "driver" | "all";

/** Kills of one victim for one protocol: by each test run, in full over FTP and directories, in full over the others. */
const COUNTS: Record<Victim, { ci: number; full: number; others: number }> = {
  host: { ci: 4, full: 260, others: 80 },
  driver: { ci: 4, full: 60, others: 30 },
  all: { ci: 2, full: 30, others: 15 },
};

/** The pipelines that the program is mostly used for. */
const FIRST = ["local->local", "local->ftp", "ftp->local", "ftp->ftp"];
const OTHERS = ["local->post", "mavftp->local", "local->webdav", "webdav->local"];

/** Kills before a new set of files and another server. */
const ROUND_KILLS = 25;

/** A vehicle is heard once a second, and asked nothing before: a kill that meets its files comes later. */
const HEARD_MS = 1500;

/** Slow enough that a kill meets files in the middle. */
const LIMITS = { download: "12MiB/s", upload: "12MiB/s" };

function kills(victim: Victim, fault: string): Scenario {
  return {
    fault,
    name: `kill-${victim}`,
    protocols: [...FIRST, ...OTHERS],
    needs: [...FTP_SERVER_KINDS, "apache2"],
    async run(protocol, options) {
      const sum = emptyOutcome();
      const random = seededRandom(options.seed);
      const scale = options.scale === "full" && !FIRST.includes(protocol) ? "others" : options.scale;
      const killsMax = COUNTS[victim][scale];
      while (sum.runs < killsMax) {
        const leftCount = Math.min(ROUND_KILLS, killsMax - sum.runs);
        const kind = FTP_SERVER_KINDS[Math.floor(random() * FTP_SERVER_KINDS.length)]!;
        addOutcome(sum, await round(protocol, victim, kind, leftCount, random, options));
        options.tell(`${sum.runs} kills`);
      }
      return sum;
    },
  };
}

/** One set of files, killed until it has arrived or the kills are over. */
async function round(
  protocol: string,
  victim: Victim,
  kind: FtpServerKind,
  killsMax: number,
  random: () => number,
  { signal, scale }: RunOptions,
): Promise<Outcome> {
  const counts = scale === "ci" ? { small: 30, big: 3 } : { small: 60, big: 4 };
  await using pipeline = await Pipeline.open({
    protocol,
    seed: Math.floor(random() * 2 ** 31),
    signal,
    files: filesFor(protocol, mixedFiles(random, counts)),
    source: { ftp: { kind } },
    target: { ftp: { kind } },
    job: { attempts: 50, limits: LIMITS },
  });
  let killsCount = 0;
  const isOver = () => killsCount >= killsMax || pipeline.delivered.size === Object.keys(pipeline.sizes).length;
  while (!isOver()) {
    const program = pipeline.start();
    while (!isOver() && !program.hasEnded) {
      const heardMs = pipeline.source.vehicle === undefined ? 0 : random() * HEARD_MS;
      const waitMs = heardMs + (victim === "driver" ? 500 + random() * 700 : 300 + random() * 1200);
      await pipeline.until(isOver, waitMs);
      if (isOver() || program.hasEnded) break;
      if (victim === "driver") {
        const { children } = program;
        const chosen = children[Math.floor(random() * children.length)];
        if (chosen === undefined || !killed(chosen)) continue;
      } else {
        const { children } = program;
        program.kill();
        if (victim === "all") children.forEach(killed);
        await program.exit;
      }
      killsCount++;
    }
    if (victim === "driver" && isOver()) await pipeline.kill();
  }
  pipeline.start();
  await pipeline.untilDelivered();
  return await pipeline.finish({
    runs: killsCount,
    resentLimitBytes: killsCount * RESENT_ALL_BYTES,
    brokenMax: Infinity,
    notes: protocol.split("->").includes("ftp") ? [kind] : [],
  });
}

export const KILLS: readonly Scenario[] = [
  kills("host", "kill of the program at random instants"),
  kills("driver", "kill of a driver at random instants"),
  kills("all", "kill of the program and its drivers at once"),
];
