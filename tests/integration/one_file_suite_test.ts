/**
 * The end-to-end suite once more, with the program as one file: as an unprivileged user, without a network, and with
 * nothing on PATH but what any system has. What a test looks at and which exit codes it wants is the same.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { hasCommand, testNeeding } from "../support/needs.ts";
import { giveAway, NOBODY } from "../support/one_file.ts";
import { programOf, sharedRelease } from "../support/release.ts";

/** Of tests/cli those that need no server beside the program, and no other user than it is given. */
const SUITE = ["sync", "admin", "usage"];

testNeeding(
  "root, unshare, setpriv, ip and npm",
  `one file: passes ${SUITE.map((name) => `tests/cli/${name}_test.ts`).join(", ")} as nobody, without Deno or network`,
  async () => {
    const dir = await Deno.makeTempDir({ prefix: "filesync-one-file-suite-" });
    try {
      await Deno.chmod(dir, 0o755);
      await Deno.copyFile(programOf(await sharedRelease(), Deno.build.arch), join(dir, "filesync"));
      Deno.mkdirSync(join(dir, "cache"));
      giveAway(join(dir, "cache"));
      // A test makes its files as who runs the tests: they become the user's before the program sees them.
      const user = `--reuid ${NOBODY} --regid ${NOBODY} --clear-groups`;
      const run = `ip link set lo up && PATH=/usr/bin:/bin FILESYNC_CACHE_DIR=${dir}/cache exec setpriv ${user} "$@"`;
      const program =
        `#!/bin/sh\nchown -hR ${NOBODY}:${NOBODY} .\nexec unshare --net sh -c '${run}' sh ${dir}/filesync "$@"\n`;
      Deno.writeTextFileSync(join(dir, "program"), program, { mode: 0o755 });
      const files = SUITE.map((name) => new URL(`../cli/${name}_test.ts`, import.meta.url).pathname);
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["test", "-A", "--no-prompt", "--preload", new URL("../support/limits.ts", import.meta.url).pathname]
          .concat(files),
        env: { FILESYNC_TEST_PROGRAM: join(dir, "program"), NO_COLOR: "1" },
        stdin: "null",
      }).output();
      const words = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assert.equal(code, 0, words);
      assert(Number(/^ok \| (\d+) passed/m.exec(words)?.[1]) > 35, words);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
  Deno.uid() === 0 && ["unshare", "setpriv", "ip", "npm"].every((name) => hasCommand(name)),
);
