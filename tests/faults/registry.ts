/** Every row of the fault campaign, in the order of the table. */
import type { Scenario } from "./scenario.ts";
import { KILLS } from "./scenarios/kill.ts";
import { CUTS } from "./scenarios/cut.ts";
import { CLOCK_JUMPS } from "./scenarios/clock.ts";
import { DAMAGED_STORES } from "./scenarios/damage.ts";
import { POWER_CUTS } from "./scenarios/power.ts";
import { SOAK } from "./scenarios/soak.ts";
import { REPLIES } from "./scenarios/replies.ts";
import { FORMS } from "./scenarios/forms.ts";
import { WEBDAV } from "./scenarios/webdav.ts";
import { SERVERS } from "./scenarios/servers.ts";
import { SILENCES } from "./scenarios/silence.ts";
import { VEHICLES } from "./scenarios/vehicle.ts";
import { INJECTIONS } from "./scenarios/inject.ts";
import { DISKS } from "./scenarios/disk.ts";
import { DRIVE_ROWS } from "./scenarios/drive.ts";

export const SCENARIOS: readonly Scenario[] = [
  ...KILLS,
  ...CUTS,
  ...POWER_CUTS,
  ...CLOCK_JUMPS,
  ...DAMAGED_STORES,
  ...SOAK,
  ...SILENCES,
  ...REPLIES,
  ...SERVERS,
  ...FORMS,
  ...WEBDAV,
  ...VEHICLES,
  ...INJECTIONS,
  ...DISKS,
  ...DRIVE_ROWS,
];
