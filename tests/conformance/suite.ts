/** The conformance suite of `lib/conformance` as tests of a driver's own. */
import assert from "node:assert/strict";
import { casesOf, faultChecksOf, type Fixture } from "../../lib/conformance/mod.ts";
import { discoverPlugins, type Plugin } from "../../lib/host/mod.ts";

export {
  type Backdoor,
  casesOf,
  describedFixture,
  directoryBackdoor,
  faultChecksOf,
  type Fixture,
  ODD_NAMES,
  parseDescription,
  type TestDevice,
} from "../../lib/conformance/mod.ts";

/** Registers the suite, its fault script included, as tests named `<name>: <case> [<role>]`. */
export function conformanceSuite(name: string, fixture: Fixture, only = /./): void {
  for (const role of fixture.roles) {
    for (const check of [...casesOf(fixture, role), ...faultChecksOf(fixture, role)]) {
      if (!only.test(check.name)) continue;
      Deno.test(`${name}: ${check.name} [${role}]`, async () => void await check.run());
    }
  }
}

/** The third-party plugin in `folder`, as the program would find it. */
export function pluginIn(folder: string): Plugin {
  // A clone that was made under umask 002 is refused otherwise, as it should be.
  for (const name of ["", ...[...Deno.readDirSync(folder)].map((item) => item.name)]) {
    const path = `${folder}/${name}`;
    Deno.chmodSync(path, (Deno.statSync(path).mode ?? 0o755) & 0o7755);
  }
  const found = discoverPlugins({ configDirs: [folder], builtIn: [], env: () => undefined, systemDir: "/none" });
  const [plugin] = found.all();
  assert.ok(
    plugin !== undefined && plugin.problem === undefined,
    `No usable plugin in "${folder}": ${plugin?.problem}`,
  );
  return plugin;
}
