/**
 * One suite over every driver: each case runs against the driver as a real process and a real device. What a driver
 * cannot do is asked of its capabilities, never of its name.
 */
import assert from "node:assert/strict";
import type { Role } from "../../lib/driver/mod.ts";
import { fails, withBench, withProcess } from "./bench.ts";
import type { Case } from "./case.ts";
import { DEVICE_CASES } from "./cases_device.ts";
import { DOWNLOAD_CASES } from "./cases_download.ts";
import { LIST_CASES } from "./cases_list.ts";
import { UPLOAD_CASES } from "./cases_upload.ts";
import type { Fixture } from "./fixture.ts";

export { pluginIn } from "./bench.ts";
export { directoryBackdoor } from "./directory_device.ts";
export { type Backdoor, type Fixture, ODD_NAMES, type TestDevice } from "./fixture.ts";

/** Every case; a new one reaches every driver. */
export const CASES: readonly Case[] = [...LIST_CASES, ...DOWNLOAD_CASES, ...UPLOAD_CASES, ...DEVICE_CASES];

/** Registers the suite as tests named `<name>: <case> [<role>]`. */
export function conformanceSuite(name: string, fixture: Fixture): void {
  for (const role of fixture.roles) {
    Deno.test(`${name}: initialize() accepts a device that is not there, without looking for it [${role}]`, () =>
      withProcess(fixture, role, fixture.absentArgs, async (client) => {
        const can = await client.capabilities();
        assert.ok(Number.isInteger(can.callsMax ?? 1) && (can.callsMax ?? 1) >= 1, "callsMax must be at least 1");
      }));
    for (const { args, pointer } of fixture.refused) {
      Deno.test(`${name}: initialize() refuses ${JSON.stringify(args)} at "${pointer}" [${role}]`, () =>
        refuses(fixture, role, args, pointer));
    }
    for (const item of CASES) {
      if (!item.roles.includes(role) || (fixture.nameOf !== undefined && LIST_CASES.includes(item))) continue;
      Deno.test(`${name}: ${item.name} [${role}]`, () =>
        withBench(fixture, role, async (bench) => {
          if (item.needs === undefined || item.needs(bench.can, fixture)) await item.run(bench);
        }));
    }
  }
}

async function refuses(fixture: Fixture, role: Role, args: Record<string, unknown>, pointer: string): Promise<void> {
  await withProcess(fixture, role, args, async (client) => {
    const error = await fails(client.capabilities(), "invalid_config");
    assert.equal(error.details.pointer, pointer);
  });
}
