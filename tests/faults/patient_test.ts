// Goal: the rows of the campaign that mostly wait for time limits pass too. Method: all of them at once, beside the others.
import { testNeeding } from "../support/needs.ts";
import { SCENARIOS } from "./registry.ts";
import { runInTest } from "./test_run.ts";
import { missingNeeds } from "./scenario.ts";

const patient = SCENARIOS.filter((scenario) => scenario.patient);
const missing = [...new Set(patient.flatMap(missingNeeds))];
const steps = patient.flatMap((scenario) => scenario.protocols.map((protocol) => ({ scenario, protocol })));

testNeeding(missing.join(", "), "sync survives what takes patience", async (t) => {
  await Promise.all(steps.map(({ scenario, protocol }) =>
    t.step({
      name: `${scenario.fault}, ${protocol}`,
      fn: () => runInTest(scenario, protocol),
      // Each step sees what the others have open; the test as a whole is checked.
      sanitizeOps: false,
      sanitizeResources: false,
      sanitizeExit: false,
    })
  ));
}, missing.length === 0);
