/**
 * One suite over every driver: each case runs against the driver as a real process and a real device. What a driver
 * cannot do is asked of its capabilities, never of its name.
 */
import assert from "node:assert/strict";
import type { Role } from "../driver/mod.ts";
import { fails, withBench, withProcess } from "./bench.ts";
import type { Case } from "./case.ts";
import { DEVICE_CASES } from "./cases_device.ts";
import { DOWNLOAD_CASES } from "./cases_download.ts";
import { faultsOf } from "./cases_fault.ts";
import { LIST_CASES } from "./cases_list.ts";
import { READING_CASES } from "./cases_reading.ts";
import { UPLOAD_CASES } from "./cases_upload.ts";
import type { Fixture } from "./fixture.ts";
import { MessageJudge } from "./message_judge.ts";

/** Every case; a new one reaches every driver. */
const CASES: readonly Case[] = [...LIST_CASES, ...DOWNLOAD_CASES, ...UPLOAD_CASES, ...DEVICE_CASES];

/** `contract`: what it answers; `faults`: what is left when a call, the process or the host ends in the middle. */
export type CheckGroup = "contract" | "faults";

/** One promise, ready to be checked on a driver in a role. */
export interface Check {
  /** A sentence, the method first. */
  name: string;
  role: Role;
  group: CheckGroup;
  /**
   * Fails when the promise is broken.
   * @returns `false` when it does not concern this driver, which lacks the capability
   */
  run: () => Promise<boolean>;
}

/** The contract's cases for a driver in a role. */
export function casesOf(fixture: Fixture, role: Role): Check[] {
  const common = { role, group: "contract" as const };
  return [
    {
      ...common,
      name: "initialize() accepts a device that is not there, without looking for it",
      run: () => accepts(fixture, role),
    },
    ...fixture.refused.map(({ args, pointer }) => ({
      ...common,
      name: `initialize() refuses ${JSON.stringify(args)} at "${pointer}"`,
      run: () => refuses(fixture, role, args, pointer),
    })),
    ...CASES.filter((item) => concerns(item, fixture, role)).map((item) => ({
      ...common,
      name: item.name,
      run: () => tryCase(item, fixture, role),
    })),
  ];
}

/** The fault script for a driver in a role. */
export function faultChecksOf(fixture: Fixture, role: Role): Check[] {
  return faultsOf(fixture, role, false).map((item) => ({ ...item, role, group: "faults" }));
}

/**
 * What can be checked on a device that is in use, whose files are not ours: nothing is listed, fetched, written or
 * removed, and `device` may lack every way in.
 */
export function harmlessChecksOf(fixture: Fixture, role: Role): Check[] {
  const [accepting] = casesOf({ ...fixture, refused: [] }, role);
  return [
    ...(accepting === undefined ? [] : [accepting]),
    ...faultsOf(fixture, role, true).map((item) => ({ ...item, role, group: "faults" as const })),
  ];
}

/** What can be checked besides on a source in use that may be read, whatever it holds. */
export function readingChecksOf(fixture: Fixture, role: Role): Check[] {
  return READING_CASES.filter((item) => item.roles.includes(role)).map((item) => ({
    role,
    group: "contract",
    name: item.name,
    run: () => tryCase(item, fixture, role),
  }));
}

function concerns(item: Case, fixture: Fixture, role: Role): boolean {
  return item.roles.includes(role) && (fixture.nameOf === undefined || !LIST_CASES.includes(item));
}

async function tryCase(item: Case, fixture: Fixture, role: Role): Promise<boolean> {
  let concerned = true;
  await withBench(fixture, role, async (bench) => {
    concerned = item.needs === undefined || item.needs(bench.can, fixture);
    if (concerned) await item.run(bench);
  }, new MessageJudge({ hostile: item.hostile === true }));
  return concerned;
}

async function accepts(fixture: Fixture, role: Role): Promise<boolean> {
  await withProcess(fixture, role, fixture.absentArgs, async (client) => {
    const can = await client.capabilities();
    assert.ok(Number.isInteger(can.callsMax ?? 1) && (can.callsMax ?? 1) >= 1, "callsMax must be at least 1");
  });
  return true;
}

async function refuses(
  fixture: Fixture,
  role: Role,
  args: Record<string, unknown>,
  pointer: string,
): Promise<boolean> {
  await withProcess(fixture, role, args, async (client) => {
    const error = await fails(client.capabilities(), "invalid_config");
    assert.equal(error.details.pointer, pointer);
  });
  return true;
}
