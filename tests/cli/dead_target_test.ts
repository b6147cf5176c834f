/** A target that is away for long fills the spool, and starves no other: with files of odd sizes, and sources that change. */
import assert from "node:assert/strict";
import { filesync, inTempDir, jsonLines, Running } from "./support.ts";

const QUOTA_BYTES = 1024 * 1024;

/** A job from `in` to `live`, and to `nas/dead` once `nas` is there. */
async function twoTargets(dir: string): Promise<void> {
  for (const name of ["in", "live"]) await Deno.mkdir(`${dir}/${name}`);
  const local = (path: string) => ({ driver: "local", args: { dir: path } });
  const config = {
    state: "./temp/filesync.db",
    spool: { quota: "1MiB", min_free: 0 },
    jobs: [{
      name: "logs",
      source: local("./in"),
      targets: [{ name: "live", ...local("./live") }, { name: "dead", ...local("./nas/dead") }],
      finder: { settle: "0s", interval: "300ms" },
    }],
  };
  await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify(config));
}

/** Files older than one another, each with bytes of its own. */
async function put(dir: string, files: [name: string, sizeBytes: number][]): Promise<void> {
  for (const [at, [name, sizeBytes]] of files.entries()) {
    const bytes = new Uint8Array(sizeBytes);
    for (let from = 0; from < sizeBytes; from += 65536) crypto.getRandomValues(bytes.subarray(from, from + 65536));
    await Deno.writeFile(`${dir}/in/${name}`, bytes);
    await Deno.utime(`${dir}/in/${name}`, 1_700_000_000 + at, 1_700_000_000 + at);
  }
}

async function contents(dir: string): Promise<Record<string, string>> {
  const found: [string, string][] = [];
  for (const { name } of Deno.readDirSync(dir)) {
    const hash = await crypto.subtle.digest("SHA-256", await Deno.readFile(`${dir}/${name}`));
    found.push([name, new Uint8Array(hash).toHex()]);
  }
  return Object.fromEntries(found.sort());
}

Deno.test("a dead target starves no live one, whatever the sizes, and gets everything once when it is back", async () => {
  await inTempDir(async (dir) => {
    await twoTargets(dir);
    const files: [string, number][] = [
      ...[0, 1, 2, 3, 4, 5].map((n): [string, number] => [`m${n}`, 300 * 1024]),
      ["as large as the quota", QUOTA_BYTES],
      ["larger than the quota", QUOTA_BYTES + 1],
      ["empty 1", 0],
      ["empty 2", 0],
      ...[6, 7, 8].map((n): [string, number] => [`m${n}`, 300 * 1024]),
    ];
    await put(dir, files);
    const { ["larger than the quota"]: _never, ...all } = await contents(`${dir}/in`);
    const running = new Running(dir, ["sync", "--json", "--verbose"]);
    const every = (target: string) =>
      Promise.all(
        Object.keys(all).map((name) =>
          running.stdoutMatches(new RegExp(`"event":"delivered".*"path":"${name}".*"target":"${target}"`))
        ),
      );
    try {
      await every("live");
      assert.deepEqual(await contents(`${dir}/live`), all);
      const parked = jsonLines((await filesync(dir, ["status", "--json"])).stdout)[0]!["parked"] as { path: string }[];
      assert.deepEqual(parked.map(({ path }) => path), ["larger than the quota"]);
      await Deno.mkdir(`${dir}/nas`);
      await every("dead");
    } finally {
      running.child.kill("SIGTERM");
      await running.ended();
    }
    assert.deepEqual(await contents(`${dir}/nas/dead`), all);
    assert.deepEqual(await contents(`${dir}/live`), all);
    const { stderr, stdout } = await running.ended();
    const delivered = jsonLines(stdout).filter(({ event }) => event === "delivered");
    assert.equal(delivered.length, 2 * Object.keys(all).length, "each once to each");
    assert.equal([...stderr.matchAll(/info spool: Files that only absent targets need leave/g)].length, 1);
  });
});

Deno.test("what left the spool for a live target, and then its source, is parked and told, and the rest delivered", async () => {
  await inTempDir(async (dir) => {
    await twoTargets(dir);
    await put(dir, [1, 2, 3, 4, 5].map((n) => [`m${n}`, 400 * 1024]));
    const first = await contents(`${dir}/in`);
    const once = () => filesync(dir, ["sync", "--once"]);
    const away = await once();
    assert.equal(away.code, 5);
    assert.match(away.stderr, /^5 files are still to be moved/m, "each is counted once, in the spool or not");
    assert.deepEqual(await contents(`${dir}/live`), first);
    // The newest went first, and left first.
    await Deno.remove(`${dir}/in/m5`);
    await put(dir, [["m4", 1000]]);
    await Deno.mkdir(`${dir}/nas`);
    const second = await once();
    assert.equal(second.code, 4, second.stderr);
    const now = await contents(`${dir}/in`);
    assert.deepEqual(await contents(`${dir}/nas/dead`), now);
    assert.deepEqual(await contents(`${dir}/live`), { ...first, m4: now["m4"] });
    const { stdout } = await filesync(dir, ["status"]);
    assert.match(stdout, /parked logs: m5[\s\S]*before all targets had it, and the source has it no more/);
    assert.match(stdout, /parked logs: m4[\s\S]*before all targets had it, and the source has other content now/);
    assert.equal((await filesync(dir, ["forget", "--parked"])).code, 0);
    assert.equal((await once()).code, 0);
  });
});
