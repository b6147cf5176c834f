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
    assert.deepEqual([...Deno.readDirSync(temp)], []);
  } finally {
    await Deno.remove(temp, { recursive: true });
  }
});
