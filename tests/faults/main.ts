/** `deno task faults [--only NAME[,NAME]] [--scale ci|full] [--seed N|A-B]`: runs the campaign and writes `MATRIX.md`; `--render` only brings the file into order. */
import { execFileSync } from "node:child_process";
import { type Cell, keyOf, parseMatrix, renderMatrix } from "./matrix.ts";
import { SCENARIOS } from "./registry.ts";
import {
  addOutcome,
  emptyOutcome,
  missingNeeds,
  type Outcome,
  problemsOf,
  type Scale,
  type Scenario,
  seedOf,
} from "./scenario.ts";

const FILE = new URL("MATRIX.md", import.meta.url);
/** Aborted by Ctrl-C and SIGTERM: each run then ends its programs and servers before we end. */
const ended = new AbortController();
/** Patient scenarios at once. */
const BESIDE_COUNT = 4;

interface Options {
  only: string[] | undefined;
  protocol: string | undefined;
  scale: Scale;
  /** The first and the last whose runs are summed. */
  seeds: [first: number, last: number];
}

function parse(args: string[]): Options | string {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const options: Options = { only: undefined, protocol: undefined, scale: "full", seeds: [seed, seed] };
  for (let at = 0; at < args.length; at += 2) {
    const [name, value] = [args[at], args[at + 1]];
    if (name === "--only" && value !== undefined) {
      options.only = value.split(",");
      const unknown = options.only.find((only) => !SCENARIOS.some((scenario) => scenario.name === only));
      if (unknown !== undefined) {
        return `No scenario is named "${unknown}": ${SCENARIOS.map((scenario) => scenario.name).join(", ")}`;
      }
    } else if (name === "--protocol" && value !== undefined) options.protocol = value;
    else if (name === "--scale" && (value === "ci" || value === "full")) options.scale = value;
    else if (name === "--seed" && /^\d+(-\d+)?$/.test(value ?? "")) {
      const [first, last = first] = value!.split("-").map(Number) as [number, number?];
      options.seeds = [first, last];
    } else return "Usage: deno task faults [--only NAME[,NAME]] [--protocol A->B] [--scale ci|full] [--seed N|A-B]";
  }
  return options;
}

function commitOfCode(): string {
  const git = (...args: string[]) =>
    execFileSync("git", args, { cwd: new URL(".", import.meta.url) }).toString().trim();
  const isChanged = git("status", "--porcelain", "--", ":/", ":!MATRIX.md") !== "";
  return git("rev-parse", "--short=10", "HEAD") + (isChanged ? "+" : "");
}

/** Runs a row for one protocol with each seed, and tells `keep` how things stand after each. */
async function runCell(
  scenario: Scenario,
  protocol: string,
  options: Options,
  keep: (outcome: Outcome, seed: string) => Promise<void>,
): Promise<boolean> {
  const label = `${scenario.name} ${protocol}`;
  const startedMs = performance.now();
  const [first, last] = options.seeds;
  const sum = emptyOutcome();
  for (let seed = first; seed <= last && !ended.signal.aborted; seed++) {
    const outcome = await scenario.run(protocol, {
      seed: seedOf(seed, scenario, protocol),
      scale: options.scale,
      signal: ended.signal,
      tell: (line) => console.log(`         ${label}: ${line}`),
    });
    const problems = problemsOf(outcome);
    addOutcome(sum, outcome);
    await keep(sum, first === seed ? String(seed) : `${first}-${seed}`);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
    const words = problems.length === 0 ? `passed   ${label}` : `FAILED   ${label}: ${problems.join(", ")}`;
    console.log(`${words}: ${sum.runs} faults in ${seconds} s; ${outcome.notes.join("; ")}`);
    if (problems.length > 0) return false;
  }
  return true;
}

/** Cells of earlier runs stay where this run has none. */
async function write(cells: readonly Cell[]): Promise<void> {
  const old = parseMatrix(await Deno.readTextFile(FILE).catch(() => ""));
  const fresh = new Set(cells.map(keyOf));
  await Deno.writeTextFile(FILE, renderMatrix([...old.filter((cell) => !fresh.has(keyOf(cell))), ...cells], SCENARIOS));
}

async function main(args: string[]): Promise<number> {
  if (args.length === 1 && args[0] === "--render") {
    await write([]);
    return 0;
  }
  const options = parse(args);
  if (typeof options === "string") {
    console.error(options);
    return 2;
  }
  const chosen = SCENARIOS.filter(({ name }) => options.only?.includes(name) ?? true);
  const missing = [...new Set(chosen.flatMap(missingNeeds))];
  if (missing.length > 0) {
    console.error(`Campaign needs ${missing.join(", ")}: install what .ci/run installs`);
    return 1;
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => ended.abort());
  const commit = commitOfCode();
  console.log(`seed ${options.seeds.join("-")}, scale ${options.scale}, commit ${commit}`);
  const cells = new Map<string, Cell>();
  let failedCount = 0;
  const queue = chosen.flatMap((scenario) =>
    scenario.protocols.filter((protocol) => protocol === (options.protocol ?? protocol))
      .map((protocol) => ({ scenario, protocol }))
  );
  const work = async (mine: typeof queue) => {
    for (let next = mine.shift(); next !== undefined && !ended.signal.aborted; next = mine.shift()) {
      const { protocol, scenario: { fault } } = next;
      try {
        const passed = await runCell(next.scenario, protocol, options, async (outcome, seed) => {
          const cell = { fault, protocol, outcome, seed, commit };
          cells.set(keyOf(cell), cell);
          // What is known is kept when a long campaign is ended.
          await write([...cells.values()]);
        });
        if (!passed) failedCount++;
      } catch (error) {
        failedCount++;
        console.log(`FAILED   ${next.scenario.name} ${next.protocol}:`, error);
        if (error instanceof SuppressedError) console.log(error.error, "and at its end:", error.suppressed);
      }
    }
  };
  const patient = queue.filter(({ scenario }) => scenario.patient);
  await Promise.all([
    work(queue.filter(({ scenario }) => !scenario.patient)),
    ...Array.from({ length: BESIDE_COUNT }, () => work(patient)),
  ]);
  console.log(failedCount === 0 ? `All ${cells.size} passed` : `${failedCount} failed`);
  return failedCount === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
