/** The rclone example against a real rclone: its own cases are those that each start of rclone could break. */
import assert from "node:assert/strict";
import {
  casesOf,
  describedFixture,
  faultChecksOf,
  parseDescription,
  pluginIn,
} from "../../../tests/conformance/suite.ts";
import { hasCommand, testNeeding } from "../../../tests/support/needs.ts";

/** Each case starts rclone dozens of times: those that the others imply are left to `filesync plugins test`. */
const CASES = new RegExp(
  [
    /^initialize\(\)/,
    /^list\(\) (sends each|of a missing)/,
    /^download\(\) (fetches|that is|resumes|cuts|never|of a file)/,
    /^upload\(\) (with|takes odd|keeps the mod|that is|of a spool)/,
    /^(confirm|remove|check)\(\)/,
    /is away|^stdout|^the process|^unknown/,
  ].map(({ source }) => source).join("|"),
);
const NAMES = ["with space", "-rf", "*star~tilde^caret`tick|pipe<less>more", "Größe.ulg", "colon:name"];

const folder = import.meta.dirname ?? ".";
if (hasCommand("rclone") && hasCommand("python3")) {
  const description = parseDescription(Deno.readTextFileSync(`${folder}/filesync-test.json`));
  const fixture = describedFixture(pluginIn(folder), { ...description, names: NAMES });
  for (const role of fixture.roles) {
    const checks = [...casesOf(fixture, role), ...faultChecksOf(fixture, role)].filter(({ name }) => CASES.test(name));
    assert.ok(checks.length > 15, `only ${checks.length} cases`);
    for (const check of checks) Deno.test(`rclone: ${check.name} [${role}]`, async () => void await check.run());
  }
} else testNeeding("rclone", "rclone: the conformance suite", () => {}, false);
