// Goal: however the program or a driver is killed, every file arrives once and whole, and no half file ever has a final
// name. Method: a short campaign of real kills with a printed seed; `deno task faults` runs the long one.
import assert from "node:assert/strict";
import { join } from "node:path";
import { killCampaign } from "./kill_campaign.ts";

/** Kills in one test; `FILESYNC_KILLS` makes it longer. */
const KILLS = Number(Deno.env.get("FILESYNC_KILLS") ?? "8");

for (const victim of ["host", "driver"] as const) {
  Deno.test(`sync delivers every file once and whole when the ${victim} is killed at random instants, local to local`, async () => {
    const seed = Number(Deno.env.get("FILESYNC_SEED") ?? Math.floor(Math.random() * 2 ** 31));
    console.log(`seed: FILESYNC_SEED=${seed}`);
    const dir = await Deno.makeTempDir({ prefix: "filesync-kill-" });
    const [workDir, sourceDir, targetDir] = ["work", "source", "target"].map((name) => join(dir, name)) as [
      string,
      string,
      string,
    ];
    for (const path of [workDir, sourceDir, targetDir]) await Deno.mkdir(path);
    try {
      const result = await killCampaign({
        workDir,
        source: { dir: sourceDir, device: { driver: "local", args: { dir: sourceDir } } },
        target: { dir: targetDir, device: { driver: "local", args: { dir: targetDir } } },
        seed,
        kills: KILLS,
        victim,
      });
      const nothing = { missing: [], corrupt: [], duplicated: [], leftovers: [], strange: [] };
      assert.deepEqual(result.verdict, nothing, result.stderr);
      assert.deepEqual(result.wrongAtAnInstant, []);
      assert.deepEqual(result.spoolLeftovers, []);
      assert.equal(result.exitCode, 0, result.stderr);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}
