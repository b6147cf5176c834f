/** `filesync service` on a system that runs systemd, with the program as a user has it: one file. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { hasCommand, testNeeding } from "../support/needs.ts";
import { programOf, sharedRelease } from "../support/release.ts";
import { canBoot, must, until, withSystemd } from "../support/systemd_bed.ts";

const CONFIG = JSON.stringify({
  jobs: [{
    name: "j",
    source: { driver: "local", args: { dir: "/srv/in" } },
    target: { driver: "local", args: { dir: "/srv/out" } },
    finder: { interval: "1s", settle: "0s" },
  }],
});

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

      // One that lives and does nothing is ended by the watchdog, and started again.
      const dropIn = "/etc/systemd/system/filesync.service.d";
      await must(
        bed,
        `mkdir ${dropIn} && printf '[Service]\\nWatchdogSec=10\\nRestartSec=1\\n' > ${dropIn}/soon.conf &&
         systemctl daemon-reload && systemctl restart filesync && systemctl kill --kill-whom=main -s STOP filesync`,
      );
      await until(bed, "journalctl -u filesync | grep -q 'Watchdog timeout'");
      await must(bed, "echo three > /srv/in/3.log");
      await until(bed, "cmp -s /srv/in/3.log /srv/out/3.log");

      await must(bed, "systemctl stop filesync && systemctl show filesync -p Result --value | grep -qx success");
      assert.match(await must(bed, "filesync service uninstall"), /^done {3}.*filesync\.service is removed$/m);
      await must(bed, "test ! -e /etc/systemd/system/filesync.service && test -s /var/lib/filesync/filesync.db");
      assert.equal((await bed.sh("filesync service status")).code, 1);
    });
  },
  canBoot(),
);

testNeeding(
  "root, systemd, overlayfs, npm and curl",
  "service --ftp: serves a directory over TLS as a user of its own, also after a kill, and is taken out",
  async () => {
    await withSystemd(async (bed) => {
      Deno.copyFileSync(programOf(await sharedRelease(), Deno.build.arch), join(bed.share, "filesync"));
      await must(bed, "install -m 755 /share/filesync /usr/local/bin/filesync && mkdir /w && echo one > /w/1.log");
      assert.equal((await bed.sh("filesync service install --ftp srv/logs")).code, 2);

      const told = await must(bed, "filesync service install --ftp /srv/logs");
      assert.match(told, /^done {3}filesync-ftp\.service runs$/m);
      assert.match(told, /TCP 2121 and 50000-50099: sudo ufw allow 2121\/tcp && sudo ufw allow 50000:50099\/tcp/);
      const credential = "/etc/filesync/credentials/ftp-passwd";
      assert.equal(await must(bed, `stat -c '%a %U' ${credential} /etc/filesync/credentials`), "600 root\n700 root\n");
      const passwd = await must(bed, `cat ${credential}`);
      assert.match(passwd, /^[\w-]{24}\n$/);

      const cert = "/var/lib/filesync-ftp/ftp-tls.crt";
      const curl = `curl -sS --ssl-reqd --cacert ${cert} -u "filesync:$(cat ${credential})"`;
      await must(bed, `${curl} -T /w/1.log ftp://127.0.0.1:2121/`);
      assert.equal(await must(bed, "stat -c '%U' /srv/logs/1.log && cat /srv/logs/1.log"), "filesync-ftp\none\n");
      assert.notEqual((await bed.sh(`curl -sS -u "filesync:${passwd.trim()}" ftp://127.0.0.1:2121/`)).code, 0);

      // The same certificate serves after a crash, which systemd makes up for.
      const sum = await must(bed, `sha256sum ${cert}`);
      await must(bed, "systemctl kill --kill-whom=main -s KILL filesync-ftp");
      await until(bed, `${curl} -o /w/back ftp://127.0.0.1:2121/1.log`, "filesync-ftp");
      assert.equal(await must(bed, `cat /w/back && sha256sum ${cert}`), `one\n${sum}`);
      const [status] = (await must(bed, "filesync service status --ftp --json")).trim().split("\n");
      const { unit, running, restarts, status: words } = JSON.parse(status!);
      assert.deepEqual({ unit, running, restarts }, { unit: "filesync-ftp.service", running: true, restarts: 1 });
      assert.equal(words, "Serving /srv/logs on port 2121");

      // A person's options are taken, also the port that cameras know, and stay through another installation.
      await must(bed, "sed -i 's/^FILESYNC_PORT=.*/FILESYNC_PORT=21/' /etc/filesync/filesync-ftp.env");
      const again = await must(bed, "filesync service install --ftp /srv/logs && systemctl restart filesync-ftp");
      assert.equal([...again.matchAll(/^as is /gm)].length, 6, again);
      assert.match(again, /ufw allow 21\/tcp/);
      await must(bed, `${curl} -o /w/back ftp://127.0.0.1/1.log`);
      assert.equal(await must(bed, `cat ${credential}`), passwd);

      await must(
        bed,
        "systemctl stop filesync-ftp && systemctl show filesync-ftp -p Result --value | grep -qx success",
      );
      assert.match(
        await must(bed, "filesync service uninstall --ftp"),
        /^done {3}.*filesync-ftp\.service is removed$/m,
      );
      await must(bed, `test -s /srv/logs/1.log && test -s ${credential} && test -s /etc/filesync/filesync-ftp.env`);
      assert.equal((await bed.sh("filesync service status --ftp")).code, 1);
    });
  },
  canBoot() && hasCommand("curl"),
);
