/** Somebody on the server's machine swaps a directory for a link that leads outside, as fast as it goes. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { testNeeding } from "../../tests/support/needs.ts";
import { bench, bytesOf } from "./_bench.ts";

const SECRET = "the secret outside";
const SWAPPER = String.raw`
import os, sys
os.chdir(sys.argv[1])
while True:
    for before, after in (("d", "real"), ("link", "d"), ("d", "link"), ("real", "d")):
        os.rename(before, after)
`;

testNeeding(
  "python3",
  "A directory that is swapped for a link between check and use leads nobody outside",
  async () => {
    const outside = await Deno.makeTempDir({ prefix: "filesync-ftpd-outside-" });
    try {
      await bench({}, async ({ root, login }) => {
        Deno.mkdirSync(join(root, "d"));
        Deno.writeTextFileSync(join(root, "d/f"), "inside");
        for (const name of ["f", "gone", "moved"]) Deno.writeTextFileSync(join(outside, name), SECRET);
        Deno.symlinkSync(outside, join(root, "link"));
        const client = await login();
        const swapper = new Deno.Command("python3", { args: ["-c", SWAPPER, root], stdin: "null" }).spawn();
        let reached = 0;
        try {
          for (let n = 0; n < 400; n++) {
            const got = await client.fetch("RETR d/f").catch(() => undefined);
            if (got !== undefined) {
              reached++;
              assert.equal(new TextDecoder().decode(got), "inside");
            }
            assert(!(await client.say("HASH d/f")).text.includes(HASH_OF_SECRET), "HASH told of the secret");
            const names = await client.fetchLines("NLST d").catch((): string[] => []);
            assert(!names.includes("gone"), "NLST told of what is outside");
            await client.store("STOR d/f", bytesOf("inside")).catch(() => {});
            for (const line of [`MKD d/new${n}`, "DELE d/gone", `RNFR d/moved`, `RNTO d/there${n}`]) {
              await client.say(line);
            }
          }
        } finally {
          swapper.kill("SIGKILL");
          await swapper.status;
        }
        assert(reached > 0, "the race was never open");
        const kept = [...Deno.readDirSync(outside)].map(({ name }) => name).sort();
        assert.deepEqual(kept, ["f", "gone", "moved"]);
        for (const name of kept) assert.equal(Deno.readTextFileSync(join(outside, name)), SECRET);
      });
    } finally {
      await Deno.remove(outside, { recursive: true });
    }
  },
);

const HASH_OF_SECRET = new Uint8Array(await crypto.subtle.digest("SHA-256", bytesOf(SECRET))).toHex();
