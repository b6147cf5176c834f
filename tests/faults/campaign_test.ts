// Goal: every row of the campaign passes, on each machine and at each change. Method: the short scale, a printed seed.
import { testNeeding } from "../support/needs.ts";
import { SCENARIOS } from "./registry.ts";
import { missingNeeds } from "./scenario.ts";
import { runInTest, someProtocols } from "./test_run.ts";

for (const scenario of SCENARIOS.filter(({ patient }) => !patient)) {
  const missing = missingNeeds(scenario);
  for (const protocol of someProtocols(scenario, 2)) {
    testNeeding(
      missing.join(", "),
      `sync survives: ${scenario.fault}, ${protocol}`,
      () => runInTest(scenario, protocol),
      missing.length === 0,
    );
  }
}
