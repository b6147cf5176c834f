/** `filesync service` on a system that runs systemd, with the program as a user has it: one file. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { testNeeding } from "../support/needs.ts";
import { programOf, sharedRelease } from "../support/release.ts";
import { canBoot, type SystemdBed, withSystemd } from "../support/systemd_bed.ts";

const CONFIG = JSON.stringify({
  jobs: [{
    name: "j",
    source: { driver: "local", args: { dir: "/srv/in" } },
    target: { driver: "local", args: { dir: "/srv/out" } },
    finder: { interval: "1s", settle: "0s" },
  }],
});

/** Waits inside until `condition` holds, with the service's state if it never does. */
async function until(bed: SystemdBed, condition: string): Promise<void> {
  const { code, text } = await bed.sh(
    `for n in $(seq 200); do ${condition} && exit 0; sleep 0.2; done; systemctl status filesync; exit 1`,
  );
  assert.equal(code, 0, `${condition}: ${text}`);
}

/** Runs a command that must succeed. */
async function must(bed: SystemdBed, script: string): Promise<string> {
  const { code, text } = await bed.sh(script);
  assert.equal(code, 0, `${script}: ${text}`);
  return text;
}

testNeeding(
  "root, systemd, overlayfs and npm",
  "service: installed, it moves files locked in, is started again when killed, and is taken out",
  async () => {
    await withSystemd(async (bed) => {
      Deno.copyFileSync(programOf(await sharedRelease(), Deno.build.arch), join(bed.share, "filesync"));
      Deno.writeTextFileSync(join(bed.share, "config.json"), CONFIG);
      await must(
        bed,
        `install -m 755 /share/filesync /usr/local/bin/filesync && mkdir -p /etc/filesync /srv/in &&
         install -m 600 /share/config.json /etc/filesync/config.json && echo one > /srv/in/1.log`,
      );
      // The first reason is told before anything is written.
      const closed = await bed.sh("filesync service install");
      assert.equal(closed.code, 6, closed.text);
      assert.match(closed.text, /filesync cannot read \/etc\/filesync\/config\.json: sudo chgrp filesync/);
      assert.equal((await bed.sh("test -e /etc/systemd/system/filesync.service")).code, 1);

      await must(bed, "chgrp filesync /etc/filesync/config.json && chmod 640 /etc/filesync/config.json");
      assert.match(await must(bed, "filesync service install"), /^done {3}filesync\.service runs$/m);
      await until(bed, "cmp -s /srv/in/1.log /srv/out/1.log");
      assert.equal(await must(bed, "stat -c '%U %a' /srv/out/1.log"), "filesync 644\n");

      const again = await must(bed, "filesync service install");
      assert.equal([...again.matchAll(/^as is /gm)].length, 4, again);
      const [status] = (await must(bed, "filesync service status --json")).trim().split("\n");
      const { running, startsAtBoot, restarts } = JSON.parse(status!);
      assert.deepEqual({ running, startsAtBoot, restarts }, { running: true, startsAtBoot: true, restarts: 0 });
      // What root is told without an option is what the service does.
      assert.match(await must(bed, "cd / && filesync status"), /delivered \(sync runs as process \d+\)/);

      await must(bed, "systemctl kill --kill-whom=main -s KILL filesync && echo two > /srv/in/2.log");
      await until(bed, "cmp -s /srv/in/2.log /srv/out/2.log");
      assert.equal(await must(bed, "systemctl show filesync -p NRestarts --value"), "1\n");

      await must(bed, "systemctl stop filesync && systemctl show filesync -p Result --value | grep -qx success");
      assert.match(await must(bed, "filesync service uninstall"), /^done {3}.*filesync\.service is removed$/m);
      await must(bed, "test ! -e /etc/systemd/system/filesync.service && test -s /var/lib/filesync/filesync.db");
      assert.equal((await bed.sh("filesync service status")).code, 1);
    });
  },
  canBoot(),
);
