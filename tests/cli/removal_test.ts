/** `after: "delete"`: what is removed from the source, what stays there and why, and where a person finds that. */
import assert from "node:assert/strict";
import { filesync, inTempDir, jsonLines } from "./support.ts";

/** A job from `in` to `first` and `second` that removes what both have. */
async function removing(dir: string, job: Record<string, unknown> = {}): Promise<void> {
  for (const name of ["in", "first", "second"]) await Deno.mkdir(`${dir}/${name}`, { recursive: true });
  const local = (path: string) => ({ driver: "local", args: { dir: path } });
  const config = {
    state: "./temp/filesync.db",
    jobs: [{
      name: "logs",
      source: local("./in"),
      targets: [{ name: "first", ...local("./first") }, { name: "second", ...local("./second") }],
      finder: { settle: "0s" },
      on_conflict: "park",
      after: "delete",
      ...job,
    }],
  };
  await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify(config));
}

const left = (dir: string) => [...Deno.readDirSync(`${dir}/in`)].map(({ name }) => name).sort();

Deno.test("what one of two targets does not have stays on the source, also when it is given up there", async () => {
  await inTempDir(async (dir) => {
    await removing(dir);
    for (const name of ["both", "one"]) await Deno.writeTextFile(`${dir}/in/${name}`, name);
    await Deno.writeTextFile(`${dir}/second/one`, "somebody's");
    const parked = await filesync(dir, ["sync", "--once", "--json"]);
    assert.equal(parked.code, 4, parked.stderr);
    assert.deepEqual(left(dir), ["one"]);
    const removed = jsonLines(parked.stdout).filter(({ event }) => event === "removed");
    assert.deepEqual(removed.map(({ path, job, device }) => [path, job, device]), [["both", "logs", "logs.source"]]);
    assert.match((await filesync(dir, ["why", "both"])).stdout, /source's copy: removed 20\d\d-/);
    assert.match((await filesync(dir, ["why", "one"])).stdout, /source's copy: kept/);
    assert.equal((await filesync(dir, ["forget", "one", "--target", "second"])).code, 0);
    assert.equal((await filesync(dir, ["sync", "--once"])).code, 0);
    assert.deepEqual(left(dir), ["one"], "nobody has proven that the second target has it");
    assert.match((await filesync(dir, ["status"])).stdout, /^ok: /);
  });
});

Deno.test("a copy that changed after its delivery stays, is told, and its new content is delivered and then removed", async () => {
  await inTempDir(async (dir) => {
    await removing(dir, { grace: "1h", on_change: "replace" });
    await Deno.writeTextFile(`${dir}/in/log`, "first content");
    assert.equal((await filesync(dir, ["sync", "--once"])).code, 0);
    assert.deepEqual(left(dir), ["log"], "the grace is not over");
    assert.match((await filesync(dir, ["why", "log"])).stdout, /source's copy: removed in (1 h|\d+ min)/);
    await removing(dir, { grace: "0s", on_change: "replace" });
    await Deno.writeTextFile(`${dir}/in/log`, "another content");
    const second = await filesync(dir, ["sync", "--once", "--json"]);
    assert.equal(second.code, 0, second.stderr);
    assert.deepEqual(left(dir), []);
    for (const target of ["first", "second"]) {
      assert.equal(await Deno.readTextFile(`${dir}/${target}/log`), "another content");
    }
    assert.match((await filesync(dir, ["why", "log"])).stdout, /source's copy: removed/);
  });
});
