import assert from "node:assert/strict";
import { isAlive } from "../faults/bad_drivers/open.ts";

const FILE = `
Deno.test("hangs on a process", async () => {
  const { success } = await new Deno.Command("sh", { args: ["-c", "echo $$ > pid; sleep 1000 & wait", "a daemon"] }).output();
  if (!success) throw new Error("The daemon is gone");
});
Deno.test("comes after", () => {});
Deno.test("hangs in itself", () => new Promise((resolve) => setTimeout(resolve, 100_000)));
`;

Deno.test("a test that hangs fails at the limit, says what it waited for, and leaves no process behind", async () => {
  const dir = await Deno.makeTempDir({ prefix: "filesync-limits-" });
  try {
    await Deno.writeTextFile(`${dir}/hang_test.ts`, FILE);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "test",
        "-A",
        "--no-prompt",
        "--no-config",
        "--preload",
        new URL("limits.ts", import.meta.url).pathname,
        "hang_test.ts",
      ],
      cwd: dir,
      env: { FILESYNC_TEST_LIMIT_S: "1", FILESYNC_TEST_GRACE_S: "1", NO_COLOR: "1" },
    }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.equal(code, 1, said);
    assert.match(said, /Test gave no result in 1 s\. It waited for:\n {2}process \d+, for \d+ s: sh -c .* a daemon/);
    assert.match(said, /The daemon is gone/);
    assert.match(said, /comes after \.\.\. ok/);
    assert.match(said, /uncaught error\)\nerror: Error: Test gave no result in 1 s\. It waited for:\n {2}no process/);
    assert.equal(isAlive(Number(await Deno.readTextFile(`${dir}/pid`))), false);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
