/** The README's first command, as a user types it. */
import assert from "node:assert/strict";
import { PROJECT_ROOT } from "../support/project_files.ts";

Deno.test("demo moves every file to FTP and back, compares them, and leaves nothing behind", async () => {
  const temp = await Deno.makeTempDir({ prefix: "filesync-demo-test-" });
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", "cli/demo.ts"],
      cwd: PROJECT_ROOT,
      env: { TMPDIR: temp, NO_COLOR: "1" },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    const words = decoder.decode(stdout);
    assert.equal(code, 0, words + decoder.decode(stderr));
    assert.match(words, /5 of 5 files are the same in all three places/);
    assert.match(words, /Armed: hears \d+ heartbeats of ours and no request\n/);
    assert.match(words, /then armed in the middle of a log: no request any more\n/);
    assert.match(words, /3 of 3 logs on the server are the autopilot's/);
    assert.deepEqual([...Deno.readDirSync(temp)], []);
  } finally {
    await Deno.remove(temp, { recursive: true });
  }
});
