// Goal: the rows of the campaign that mostly wait for time limits pass too. Method: several at once, beside the others.
import { testNeeding } from "../support/needs.ts";
import { SCENARIOS } from "./registry.ts";
import { runInTest, someProtocols } from "./test_run.ts";
import { missingNeeds } from "./scenario.ts";

const patient = SCENARIOS.filter((scenario) => scenario.patient);
const missing = [...new Set(patient.flatMap(missingNeeds))];
const steps = patient.flatMap((scenario) => someProtocols(scenario, 1).map((protocol) => ({ scenario, protocol })));
/** At once: each is a program with its drivers and servers. */
const BESIDE_COUNT = 6;

testNeeding(missing.join(", "), "sync survives what takes patience", async (t) => {
  const work = async () => {
    for (let next = steps.shift(); next !== undefined; next = steps.shift()) {
      const { scenario, protocol } = next;
      await t.step({
        name: `${scenario.fault}, ${protocol}`,
        fn: () => runInTest(scenario, protocol),
        // Each step sees what the others have open; the test as a whole is checked.
        sanitizeOps: false,
        sanitizeResources: false,
        sanitizeExit: false,
      });
    }
  };
  await Promise.all(Array.from({ length: BESIDE_COUNT }, work));
}, missing.length === 0);
