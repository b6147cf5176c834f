import assert from "node:assert/strict";
import { DirectorySync } from "./directories.ts";
import { Root } from "./root.ts";
import { Queues } from "./queues.ts";

Deno.test("sync() fails when the directory cannot be opened, and remembers neither success nor failure", async () => {
  const dir = await Deno.makeTempDir();
  const directories = new DirectorySync();
  await Promise.all([directories.sync(dir), directories.sync(dir), directories.sync(dir)]);
  await Deno.remove(dir);
  const results = await Promise.allSettled([directories.sync(dir), directories.sync(dir)]);
  assert.deepEqual(results.map(({ status }) => status), ["rejected", "rejected"]);
  await Deno.mkdir(dir);
  await directories.sync(dir);
  await Deno.remove(dir);
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
    const root = new Root(base, "target", base);
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
