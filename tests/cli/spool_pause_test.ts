/** A spool that takes nothing is told by `status`, with its reason, until it takes files again. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import type { StatusReport } from "../../lib/observe/mod.ts";
import { hasCommand, testNeeding } from "../support/needs.ts";
import { filesync, inTempDir, jsonLines, localJob, Running } from "./support.ts";

async function spoolJob(dir: string, spool: Record<string, unknown>): Promise<void> {
  await localJob(dir, { finder: { settle: "0s", interval: "300ms" } });
  const config = JSON.parse(await Deno.readTextFile(`${dir}/config.json`));
  await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify({ ...config, spool }));
  await Deno.writeTextFile(`${dir}/in/a.ulg`, "a");
}

async function report(dir: string): Promise<StatusReport> {
  return jsonLines((await filesync(dir, ["status", "--json"])).stdout)[0] as unknown as StatusReport;
}

async function untilPaused(dir: string, running: Running): Promise<StatusReport> {
  for (;;) {
    const status = await report(dir);
    if (status.spool.pause !== undefined) return status;
    assert.ok(!/"event":"delivered"/.test(running.stderr));
  }
}

Deno.test("status says that downloads wait for a disk with too little room, and why, while sync runs and when it does not", async () => {
  await inTempDir(async (dir) => {
    await spoolJob(dir, { dir: "./spool", min_free: "1000TiB" });
    const running = new Running(dir, ["sync", "--no-progress"]);
    try {
      const { word, spool } = await untilPaused(dir, running);
      assert.equal(word, "waiting");
      assert.match(spool.pause!.reason, /^Disk of the spool .*less free than spool\.min_free$/);
    } finally {
      running.child.kill("SIGTERM");
      await running.ended();
    }
    const { stdout } = await filesync(dir, ["status"]);
    assert.match(
      stdout,
      /^waiting: downloads wait: Disk of the spool has less free than spool\.min_free \(sync is not/,
    );
    assert.match(
      stdout,
      /^Spool: .*\n {2}downloads wait: Disk of the spool .*\n {2}They go on by themselves .*doctor/m,
    );
    const doctor = await filesync(dir, ["doctor"]);
    assert.match(doctor.stdout, /^problem +spool: .* are free, less than spool\.min_free of .*: nothing is fetched$/m);
    await spoolJob(dir, { dir: "./spool", min_free: 0 });
    assert.equal((await filesync(dir, ["sync", "--once", "--no-progress"])).code, 0);
    assert.equal((await report(dir)).spool.pause, undefined);
  });
});

testNeeding(
  "root and mount",
  "status says that downloads wait for a spool that is read-only, and takes it back when it can be written",
  async () => {
    await inTempDir(async (dir) => {
      await Deno.mkdir(`${dir}/disk`);
      await spoolJob(dir, { dir: "./disk/spool", min_free: 0 });
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "filesync-disk", `${dir}/disk`]);
      try {
        const running = new Running(dir, ["sync", "--json", "--no-progress"]);
        try {
          await running.stdoutMatches(/"event":"delivered".*a\.ulg/);
          execFileSync("mount", ["-o", "remount,ro", `${dir}/disk`]);
          await Deno.writeTextFile(`${dir}/in/b.ulg`, "b");
          const { word, spool } = await untilPaused(dir, running);
          assert.equal(word, "waiting");
          assert.match(spool.pause!.reason, /read-only/i);
          assert.match((await filesync(dir, ["doctor"])).stdout, /^problem +spool: Cannot write to .*read-only$/m);
          execFileSync("mount", ["-o", "remount,rw", `${dir}/disk`]);
          await running.stdoutMatches(/"event":"delivered".*b\.ulg/);
          assert.equal((await report(dir)).spool.pause, undefined);
        } finally {
          running.child.kill("SIGTERM");
          await running.ended();
        }
      } finally {
        execFileSync("umount", ["-l", `${dir}/disk`]);
      }
    });
  },
  Deno.uid() === 0 && hasCommand("mount"),
);
