// Goal: wherever the power goes, nothing is lost, half, doubled or deleted too early, and the next start goes on by
// itself. Method: the system calls of the real program are recorded, what any prefix of them may leave on a disk is built
// again and judged, and the engine and the program recover from it. FILESYNC_POWER=all takes every state.
import assert from "node:assert/strict";
import { hasCommand, testNeeding } from "../support/needs.ts";
import { PowerBed, type PowerBedOptions } from "./power_bed.ts";
import { powerCampaign, type PowerScale } from "./power_campaign.ts";
import { QuickPlugins } from "./quick_plugins.ts";

const FILES = {
  "empty.bin": 0,
  "b.bin": 1000,
  "new/deep/c.bin": 300_000,
  "new/d.bin": 70_000,
  "new/deep/e.bin": 5000,
};

/** @param large states of large files take ten times as long */
function scale(large: boolean): PowerScale {
  const seed = Number(Deno.env.get("FILESYNC_SEED") ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed: FILESYNC_SEED=${seed}`);
  return Deno.env.get("FILESYNC_POWER") === "all"
    ? { seed, mixtures: 3, judged: large ? 800 : Infinity, recovered: large ? 300 : Infinity, started: 10 }
    : { seed, mixtures: 3, judged: large ? 40 : 200, recovered: large ? 10 : 20, started: 1 };
}

/** More than the spool syncs at once. */
const LARGE_BYTES = 16 * 1024 * 1024;

function isAble(): boolean {
  return hasCommand("strace") && hasCommand("unshare") && hasCommand("mount") && Deno.uid() === 0;
}

function powerTest(name: string, options: PowerBedOptions, change?: (bed: PowerBed) => Promise<void>): void {
  testNeeding("strace, and mount as root", name, async () => {
    using bed = new PowerBed(options);
    await using quick = new QuickPlugins();
    await change?.(bed);
    await bed.record();
    const result = await powerCampaign(
      bed,
      quick.plugins,
      scale(Object.values(options.files).some((bytes) => bytes > LARGE_BYTES)),
    );
    console.log(JSON.stringify({ ...result, faults: result.faults.length }));
    assert.deepEqual(result.faults, []);
    assert.ok(result.recovered > 0 && result.started > 0 && result.cuts > 100);
  }, isAble());
}

powerTest("A power cut at any call of a run that deletes from its source after two targets have all", {
  files: FILES,
  targets: ["out", "second"],
  job: { after: "delete" },
});

powerTest("A power cut at any call of a large file, with what was synced on the way", {
  files: { "small.bin": 100_000, "large.bin": LARGE_BYTES + 2_000_000 },
  // Slow enough that it is synced on the way.
  job: { limits: { download: "40MiB/s" } },
});

powerTest(
  "A power cut at any call of a run that replaces older content on its target",
  { files: FILES, job: { on_change: "replace" } },
  async (bed) => {
    await bed.run();
    for (const path of ["b.bin", "new/deep/c.bin", "empty.bin"]) bed.put(path, 200_000);
  },
);
