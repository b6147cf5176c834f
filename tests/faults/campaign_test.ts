// Goal: every row of the campaign passes, on each machine and at each change. Method: the short scale, a printed seed.
import assert from "node:assert/strict";
import { testNeeding } from "../support/needs.ts";
import { SCENARIOS } from "./registry.ts";
import { missingNeeds, problemsOf, type Scenario, seedOf } from "./scenario.ts";

const SEED = Number(Deno.env.get("FILESYNC_SEED") ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed: FILESYNC_SEED=${SEED}`);

async function run(scenario: Scenario, protocol: string): Promise<void> {
  const outcome = await scenario.run(protocol, {
    seed: seedOf(SEED, scenario, protocol),
    scale: "ci",
    signal: new AbortController().signal,
    tell: () => {},
  });
  assert.deepEqual(problemsOf(outcome), [], `FILESYNC_SEED=${SEED}: ${JSON.stringify(outcome)}`);
}

for (const scenario of SCENARIOS.filter(({ patient }) => !patient)) {
  const missing = missingNeeds(scenario);
  for (const protocol of scenario.protocols) {
    testNeeding(
      missing.join(", "),
      `sync survives: ${scenario.fault}, ${protocol}`,
      () => run(scenario, protocol),
      missing.length === 0,
    );
  }
}

// They wait for time limits to pass: all together.
const patient = SCENARIOS.filter((scenario) => scenario.patient);
const missing = [...new Set(patient.flatMap(missingNeeds))];
if (patient.length > 0) {
  testNeeding(missing.join(", "), "sync survives what takes patience", async (t) => {
    const steps = patient.flatMap((scenario) => scenario.protocols.map((protocol) => ({ scenario, protocol })));
    await Promise.all(steps.map(({ scenario, protocol }) =>
      t.step({
        name: `${scenario.fault}, ${protocol}`,
        fn: () => run(scenario, protocol),
        sanitizeOps: false,
        sanitizeResources: false,
        sanitizeExit: false,
      })
    ));
  }, missing.length === 0);
}
