/** The link breaks at every 1/64 of a file, in both directions. */
import { FTP_SERVER_KINDS } from "../../support/ftp_servers.ts";
import type { Break, WireHooks } from "../../support/ftp_wire.ts";
import { Pipeline, RESENT_FILE_BYTES } from "../pipeline.ts";
import { addOutcome, emptyOutcome, type Outcome, type RunOptions, type Scenario, seededRandom } from "../scenario.ts";

const PARTS = 64;
/** How far the figure of `status` may be from the wire's, for each cut. */
const STATUS_SLACK_BYTES = 64 * 1024;

function cuts(how: Break["how"], fault: string): Scenario {
  return {
    fault,
    name: `cut-${how}`,
    protocols: ["local->ftp", "ftp->local", "ftp->ftp"],
    needs: FTP_SERVER_KINDS,
    async run(protocol, options) {
      const random = seededRandom(options.seed);
      const sum = emptyOutcome();
      if (options.scale === "full") {
        for (const kind of FTP_SERVER_KINDS) {
          const all = Array.from({ length: PARTS }, (_, n) => n + 1);
          addOutcome(sum, await run(protocol, kind, how, all, random, options));
          options.tell(`${kind}: ${sum.runs} cuts`);
        }
        return sum;
      }
      // Places and the server come from the seed; the last byte is always among them.
      const places = [1 + Math.floor(random() * (PARTS - 2)), PARTS - 1, PARTS];
      const kind = FTP_SERVER_KINDS[Math.floor(random() * FTP_SERVER_KINDS.length)]!;
      addOutcome(sum, await run(protocol, kind, how, places, random, options));
      return sum;
    },
  };
}

/** One file for each place, each broken there once and in each direction. */
async function run(
  protocol: string,
  kind: (typeof FTP_SERVER_KINDS)[number],
  how: Break["how"],
  places: number[],
  random: () => number,
  { signal }: RunOptions,
): Promise<Outcome> {
  const files: Record<string, number> = {};
  for (const place of places) files[`cut ${place}.bin`] = 700_000 + Math.floor(random() * 900_000);
  let cutsCount = 0;
  const breakOnce = (verbs: RegExp): WireHooks => {
    const broken = new Set<string>();
    return {
      onTransfer: ({ verb, path }) => {
        const file = verbs.test(verb) ? pipeline.fileOf(path) : undefined;
        if (file === undefined || broken.has(file.path)) return undefined;
        broken.add(file.path);
        cutsCount++;
        const place = Number(/(\d+)\.bin$/.exec(file.path)![1]);
        return { atByte: Math.max(1, Math.floor(file.sizeBytes * place / PARTS)), how };
      },
    };
  };
  await using pipeline = await Pipeline.open({
    protocol,
    seed: Math.floor(random() * 2 ** 31),
    signal,
    files,
    source: { ftp: { kind, hooks: breakOnce(/^RETR$/) } },
    target: { ftp: { kind, hooks: breakOnce(/^STOR$/) } },
  });
  pipeline.start();
  await pipeline.untilDelivered(600_000);
  const outcome = await pipeline.finish({ runs: cutsCount, resentLimitBytes: cutsCount * RESENT_FILE_BYTES });
  const { allBytes, strandedBytes } = pipeline.resent();
  const told = pipeline.resentByProgram;
  const slackBytes = cutsCount * STATUS_SLACK_BYTES;
  // What was stranded had left the program's machine: it cannot know that the server did not get it, and counts it.
  if (told < allBytes - slackBytes || told > allBytes + strandedBytes + slackBytes) {
    console.log(`What went wrong: ${allBytes} sent again, ${strandedBytes} stranded, and status says ${told}`);
    outcome.unhealthy++;
  }
  const stranded = strandedBytes === 0 ? "" : `, ${strandedBytes} stranded in the wire`;
  outcome.notes.push(`${kind}: ${allBytes} sent again${stranded}, status says ${told}`);
  return outcome;
}

export const CUTS: readonly Scenario[] = [
  cuts("link", "control and data cut at every 1/64 of a file"),
  cuts("cut", "data connection closed at every 1/64 of a file"),
  cuts("reset", "data connection reset (RST) at every 1/64 of a file"),
];
