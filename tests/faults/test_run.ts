/** One cell of the campaign as a test, at the scale `ci`. */
import assert from "node:assert/strict";
import { type Outcome, problemsOf, type Scenario, seedOf } from "./scenario.ts";

/** `FILESYNC_SEED=n` repeats a run. */
const SEED = Number(Deno.env.get("FILESYNC_SEED") ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed: FILESYNC_SEED=${SEED}`);

/** The protocols of a row that a run of the tests takes; the seed turns through all of them, and so the runs do. */
export function someProtocols({ name, protocols }: Scenario, count: number): string[] {
  const start = seedOf(SEED, { name }, "") % protocols.length;
  return [...protocols.slice(start), ...protocols.slice(0, start)].slice(0, count);
}

function runOnce(scenario: Scenario, protocol: string, seed: number): Promise<Outcome> {
  return scenario.run(protocol, { seed, scale: "ci", signal: new AbortController().signal, tell: () => {} });
}

export async function runInTest(scenario: Scenario, protocol: string): Promise<void> {
  const seed = seedOf(SEED, scenario, protocol);
  let outcome = await runOnce(scenario, protocol, seed);
  // On a fast machine all may have arrived before the fault could strike: that says nothing, and other instants are tried.
  for (let again = 1; outcome.runs === 0 && again < 4; again++) {
    outcome = await runOnce(scenario, protocol, seed + again);
  }
  assert.deepEqual(problemsOf(outcome), [], `FILESYNC_SEED=${SEED}: ${JSON.stringify(outcome)}`);
}
