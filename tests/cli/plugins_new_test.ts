/** `filesync plugins new`: what it makes works, and is tested, as it is. */
import assert from "node:assert/strict";
import { hasCommand, testNeeding } from "../support/needs.ts";
import { filesync, inTempDir, jsonLines } from "./support.ts";

for (const [language, need] of [["python", "python3"], ["ts", "deno"], ["sh", "jq"]] as const) {
  testNeeding(
    need,
    `filesync plugins new --lang ${language} makes a driver that passes its test as it is`,
    async () => {
      await inTempDir(async (dir) => {
        const made = await filesync(dir, ["plugins", "new", "my-camera", "--lang", language]);
        assert.equal(made.code, 0, made.stderr);
        assert.match(made.stdout, /^\.\/my-camera\/filesync-plugin\.json$/m);
        const info = await filesync(dir, ["plugins", "info", "./my-camera"]);
        assert.match(info.stdout, /^my-camera 0\.1\.0: /);
        const { code, stdout, stderr } = await filesync(dir, ["plugins", "test", "./my-camera", "--json"]);
        const lines = jsonLines(stdout);
        assert.deepEqual(lines.filter(({ result }) => result === "failed"), [], stderr);
        assert.equal(code, 0, stderr);
        assert.ok(Number(lines.at(-1)!["passed"]) > 35, `${lines.at(-1)!["passed"]} passed`);
        const again = await filesync(dir, ["plugins", "new", "my-camera", "--lang", language]);
        assert.equal(again.code, 1);
        assert.match(again.stderr, /^filesync: Cannot make a driver in ".\/my-camera": it holds /);
      });
    },
    language === "ts" || hasCommand(need),
  );
}

Deno.test("filesync plugins new refuses what could not be used, before it makes anything", async () => {
  await inTempDir(async (dir) => {
    const cases: [args: string[], words: RegExp][] = [
      [["local", "--lang", "ts"], /name of a built-in one/],
      [["My Camera", "--lang", "ts"], /expected a-z, 0-9 and -/],
      [["camera", "--lang", "pyhton"], /no driver to begin with in "pyhton"; did you mean "python"\?/],
      [["camera"], /In which language\?/],
    ];
    for (const [args, words] of cases) {
      const { code, stderr } = await filesync(dir, ["plugins", "new", ...args]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, words);
    }
    assert.deepEqual([...Deno.readDirSync(dir)], []);
  });
});
