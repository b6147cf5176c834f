/** Every row of the fault campaign, in the order of the table. */
import type { Scenario } from "./scenario.ts";
import { KILLS } from "./scenarios/kill.ts";
import { CUTS } from "./scenarios/cut.ts";
import { POWER_CUTS } from "./scenarios/power.ts";
import { INJECTIONS } from "./scenarios/inject.ts";
import { DISKS } from "./scenarios/disk.ts";

export const SCENARIOS: readonly Scenario[] = [
  ...KILLS,
  ...CUTS,
  ...POWER_CUTS,
  ...INJECTIONS,
  ...DISKS,
];
