import assert from "node:assert/strict";
import { DirectorySync } from "./directories.ts";
import { LocalRoot } from "./local_root.ts";
import { Queues } from "./queues.ts";

Deno.test("sync() lets calls that come meanwhile share the next fsync, and never the running one", async () => {
  const dir = await Deno.makeTempDir();
  const directories = new DirectorySync();
  const first = directories.sync(dir);
  const second = directories.sync(dir);
  const third = directories.sync(dir);
  assert.notEqual(first, second);
  assert.equal(second, third);
  await Promise.all([first, second, third]);
  await directories.sync(dir);
  await Deno.remove(dir);
  await assert.rejects(directories.sync(dir), Deno.errors.NotFound);
});

Deno.test("syncNames() fsyncs each directory on the way once, also one that somebody else made", async () => {
  const base = await Deno.makeTempDir();
  const synced: string[] = [];
  class Watched extends DirectorySync {
    override sync(directory: string): Promise<void> {
      synced.push(directory.slice(base.length));
      return super.sync(directory);
    }
  }
  try {
    const root = new LocalRoot(base, "target", base);
    const directories = new Watched();
    await Deno.mkdir(`${base}/a/b`, { recursive: true });
    await directories.syncNames(root, "a/b/file");
    assert.deepEqual(synced.splice(0), ["/a/b", "/a", ""]);
    await directories.syncNames(root, "a/b/file");
    assert.deepEqual(synced.splice(0), ["/a/b"]);
    directories.noteMade(["a/b"]);
    await directories.syncNames(root, "a/b/file");
    assert.deepEqual(synced.splice(0), ["/a/b", "/a"]);
  } finally {
    await Deno.remove(base, { recursive: true });
  }
});

Deno.test("syncNames() opens few of many directories at once, and rests between them", async () => {
  const base = await Deno.makeTempDir();
  const depth = 50;
  let open = 0;
  let openMax = 0;
  let rests = 0;
  class Watched extends DirectorySync {
    override async sync(directory: string): Promise<void> {
      openMax = Math.max(openMax, ++open);
      await super.sync(directory).finally(() => open--);
    }
  }
  try {
    const path = "d/".repeat(depth);
    await Deno.mkdir(`${base}/${path}`, { recursive: true });
    await new Watched().syncNames(new LocalRoot(base, "target", base), `${path}file`, () => {
      assert.equal(open, 0, "a rest is for others");
      rests++;
      return Promise.resolve();
    });
    assert.ok(openMax <= 4, `${openMax} at once`);
    assert.ok(rests >= depth / 4 - 1, `${rests} rests`);
  } finally {
    await Deno.remove(base, { recursive: true });
  }
});

Deno.test("run() lets work of one name run one after another, also after a failure", async () => {
  const queues = new Queues();
  const order: string[] = [];
  const work = (name: string, fails = false) => async () => {
    order.push(`${name} starts`);
    await Promise.resolve();
    order.push(`${name} ends`);
    if (fails) throw new Error(name);
  };
  const runs = await Promise.allSettled([
    queues.run("a", work("1", true)),
    queues.run("a", work("2")),
    queues.run("a", work("3")),
  ]);
  assert.deepEqual(runs.map((run) => run.status), ["rejected", "fulfilled", "fulfilled"]);
  assert.deepEqual(order, ["1 starts", "1 ends", "2 starts", "2 ends", "3 starts", "3 ends"]);
});
