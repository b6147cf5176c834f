/** One cell of the campaign as a test, at the scale `ci`. */
import assert from "node:assert/strict";
import { problemsOf, type Scenario, seedOf } from "./scenario.ts";

/** `FILESYNC_SEED=n` repeats a run. */
const SEED = Number(Deno.env.get("FILESYNC_SEED") ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed: FILESYNC_SEED=${SEED}`);

/** The protocols of a row that a run of the tests takes; the seed turns through all of them, and so the runs do. */
export function someProtocols({ name, protocols }: Scenario, count: number): string[] {
  const start = seedOf(SEED, { name }, "") % protocols.length;
  return [...protocols.slice(start), ...protocols.slice(0, start)].slice(0, count);
}

export async function runInTest(scenario: Scenario, protocol: string): Promise<void> {
  const outcome = await scenario.run(protocol, {
    seed: seedOf(SEED, scenario, protocol),
    scale: "ci",
    signal: new AbortController().signal,
    tell: () => {},
  });
  assert.deepEqual(problemsOf(outcome), [], `FILESYNC_SEED=${SEED}: ${JSON.stringify(outcome)}`);
}
