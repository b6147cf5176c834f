import assert from "node:assert/strict";
import { Memory } from "./memory.ts";

const SERVER = "https://cloud.example/dav/";

Deno.test("Memory keeps what was learned of a server over a restart, for that server, and for 30 days", async () => {
  const dir = await Deno.makeTempDir({ prefix: "filesync-memory-" });
  try {
    const first = new Memory(dir, SERVER);
    assert.deepEqual([first.partialWrite, first.hasRoot], [undefined, false]);
    first.learn("patch");
    first.learnRoot();
    const second = new Memory(dir, SERVER);
    assert.deepEqual([second.partialWrite, second.hasRoot], ["patch", true]);
    const other = new Memory(dir, "https://other.example/dav/");
    assert.deepEqual([other.partialWrite, other.hasRoot], [undefined, false]);
    const known = JSON.parse(await Deno.readTextFile(`${dir}/webdav.json`));
    for (const days of [31, -31]) {
      const learnedMs = Date.now() - days * 24 * 60 * 60 * 1000;
      await Deno.writeTextFile(`${dir}/webdav.json`, JSON.stringify({ ...known, learnedMs }));
      assert.deepEqual([new Memory(dir, SERVER).partialWrite, new Memory(dir, SERVER).hasRoot], [undefined, true]);
    }
    await Deno.writeTextFile(`${dir}/webdav.json`, '{"server":');
    assert.equal(new Memory(dir, SERVER).partialWrite, undefined);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
