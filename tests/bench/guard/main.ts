/** Tells whether the program got slower than it was, beside its peers: `deno task bench:guard`, by hand or each night. */
import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { compare, line, type Pair, QUANTITIES, type Ratios, ratiosOf } from "./compare.ts";
import { GUARDED, type Guarded, peerName, withPairs } from "./guarded.ts";
import { readRecord, type Recorded, writeRecord } from "./record.ts";

const USAGE = `Usage: deno task bench:guard [--rounds N] [--tolerance T] [--record] [workload…]

Runs each workload beside a peer, alternating, and compares the ratios with those of tests/bench/guard.json.
What seems worse is measured once more before it is called so.

Workloads: ${GUARDED.map(({ name }) => name).join(", ")} (all where none is named)

  --rounds N     pairs of runs of each workload (default 7)
  --tolerance T  how much worse is still the same: 0.5 for half again (default), since days differ more than runs do
  --record       write the ratios down: the next runs are compared with them
  --help         this text

Exit codes: 0 nothing got worse, 1 something did, 2 usage, 3 nothing could be compared`;

const EXIT = { same: 0, worse: 1, usage: 2, nothing: 3 };

interface Options {
  guarded: readonly Guarded[];
  rounds: number;
  tolerance: number;
  record: boolean;
}

/** @returns the exit code when there is nothing to run */
function optionsOf(args: string[]): Options | number {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        rounds: { type: "string", default: "7" },
        tolerance: { type: "string", default: "0.5" },
        record: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(USAGE);
      return EXIT.same;
    }
    const unknown = positionals.find((name) => !GUARDED.some((guarded) => guarded.name === name));
    if (unknown !== undefined) throw new TypeError(`Workload "${unknown}" is not guarded`);
    const rounds = Number(values.rounds);
    const tolerance = Number(values.tolerance);
    if (!Number.isInteger(rounds) || rounds < 1) {
      throw new TypeError(`Expected --rounds of at least 1, got ${values.rounds}`);
    }
    if (!(tolerance >= 0)) throw new TypeError(`Expected --tolerance of at least 0, got ${values.tolerance}`);
    const guarded = GUARDED.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
    return { guarded, rounds, tolerance, record: values.record };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    return EXIT.usage;
  }
}

/** Measures one workload and tells what it came to. */
async function look(guarded: Guarded, { rounds, tolerance }: Options, recorded: Recorded) {
  const before = recorded.workloads[guarded.name];
  const peer = withVersion(peerName(guarded));
  return await withPairs(guarded, async (measurePairs) => {
    const pairs: Pair[] = await measurePairs(rounds);
    let now = ratiosOf(pairs, peer);
    let verdicts = compare(now, before, tolerance);
    if (Object.values(verdicts).includes("worse")) {
      console.error(`${guarded.name}: seems worse, measured once more`);
      pairs.push(...await measurePairs(rounds));
      now = ratiosOf(pairs, peer);
      verdicts = compare(now, before, tolerance);
    }
    for (const quantity of QUANTITIES) {
      console.log(line(guarded.name, quantity, { now, before, verdict: verdicts[quantity] }));
    }
    return { now, verdicts: Object.values(verdicts) };
  });
}

/** With the version of the program behind a peer's name, where it is not ourselves. */
function withVersion(peer: string): string {
  const [command] = peer.split(" ");
  if (command === "FileSync,") return peer;
  const text = execFileSync(command!, [command === "rclone" ? "version" : "--version"]).toString();
  return `${peer} (${/\d+(\.\d+)+/.exec(text)?.[0] ?? "?"})`;
}

async function main(args: string[]): Promise<number> {
  const options = optionsOf(args);
  if (typeof options === "number") return options;
  const recorded = readRecord();
  const measured: Record<string, Ratios> = {};
  let isWorse = false;
  let isCompared = false;
  for (const guarded of options.guarded) {
    try {
      const { now, verdicts } = await look(guarded, options, recorded);
      measured[guarded.name] = now;
      isWorse ||= verdicts.includes("worse");
      isCompared ||= !verdicts.includes("unknown");
    } catch (error) {
      console.log(`${guarded.name}: not measured: ${error instanceof Error ? error.message.split("\n")[0] : error}`);
    }
  }
  if (options.record) {
    writeRecord(`${Deno.build.target}, ${cpus().length} cores, ${cpus()[0]?.model}`, measured);
    return EXIT.same;
  }
  return isWorse ? EXIT.worse : isCompared ? EXIT.same : EXIT.nothing;
}

Deno.exitCode = await main(Deno.args);
