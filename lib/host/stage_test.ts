import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import { type Pack, pack } from "tar-stream";
import { pluginRoot, StageError, stagePlugin } from "./stage.ts";

async function inStage(work: (dir: string, stage: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-stage-" });
  try {
    await Deno.mkdir(`${dir}/box/stage`, { recursive: true });
    await work(dir, `${dir}/box/stage`);
    assert.deepEqual([...Deno.readDirSync(`${dir}/box`)].map(({ name }) => name), ["stage"], "Something leads out");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function archive(add: (tar: Pack) => void): Promise<Uint8Array> {
  const tar = pack();
  tar.entry({ name: "manifest", mode: 0o666 }, "{}");
  add(tar);
  tar.finalize();
  const parts: Uint8Array[] = [];
  for await (const part of tar) parts.push(part as Uint8Array);
  return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

const LIMITS = { bytesMax: 4 * 2 ** 20, namesMax: 100 };

async function refuses(bytes: Uint8Array, words: RegExp, what: string): Promise<void> {
  await inStage(async (dir, stage) => {
    await Deno.writeFile(`${dir}/archive`, bytes);
    await assert.rejects(stagePlugin(`${dir}/archive`, stage, LIMITS), (error) => {
      assert.ok(error instanceof StageError, `${what}: ${error}`);
      assert.match(error.message, words, what);
      return true;
    });
  });
}

const HOSTILE: Record<string, [add: (tar: Pack) => void, words: RegExp]> = {
  "a path that leads out": [(tar) => tar.entry({ name: "../evil" }, "x"), /holds "\.\.\/evil": path holds "\.\."/],
  "a path in the middle of which is ..": [(tar) => tar.entry({ name: "a/../../evil" }, "x"), /path holds "\.\."/],
  "an absolute path": [(tar) => tar.entry({ name: "/evil" }, "x"), /name starts with "\/"/],
  "a symbolic link": [(tar) => tar.entry({ name: "a", type: "symlink", linkname: "/etc" }), /"a", a symlink/],
  "a hard link": [(tar) => tar.entry({ name: "a", type: "link", linkname: "/etc/passwd" }), /"a", a link/],
  "a device": [(tar) => tar.entry({ name: "a", type: "character-device" }), /"a", a character-device/],
  "a name twice": [(tar) => tar.entry({ name: "manifest" }, "x"), /Cannot unpack .*exists/],
  "control characters": [(tar) => tar.entry({ name: "a\nb" }, "x"), /control character/],
  "too many files": [(tar) => {
    for (let n = 0; n < 101; n++) tar.entry({ name: `many/${n}` }, "");
  }, /more than 100 files/],
};

Deno.test("stagePlugin() refuses what a hostile archive holds", async () => {
  for (const [what, [add, words]] of Object.entries(HOSTILE)) await refuses(await archive(add), words, what);
});

Deno.test("stagePlugin() ends an archive that unpacks without end, is cut or is none", async () => {
  // 5 MiB of zeros in 5 kB.
  const bomb = gzipSync(await archive((tar) => tar.entry({ name: "zeros" }, Buffer.alloc(5 * 2 ** 20))));
  await refuses(bomb, /more than 4 MiB/, "a bomb");
  const whole = await archive((tar) => tar.entry({ name: "a" }, "x".repeat(5000)));
  await refuses(gzipSync(whole).subarray(0, 60), /expected a tar archive/, "a cut one");
  await refuses(whole.subarray(0, 2000), /expected a tar archive/, "a cut one without gzip");
  await refuses(new TextEncoder().encode("no archive at all"), /expected a tar archive/, "words");
  await refuses(new Uint8Array(0), /expected a tar archive/, "nothing");
});

Deno.test("stagePlugin() takes files that only we can write to, and pluginRoot() finds the manifest", async () => {
  await inStage(async (dir, stage) => {
    const tar = await archive((tar) => tar.entry({ name: "./bin/run", mode: 0o777 }, "x"));
    await Deno.writeFile(`${dir}/archive`, gzipSync(tar));
    await stagePlugin(`${dir}/archive`, stage);
    const modes = ["manifest", "bin", "bin/run"].map((name) => Deno.statSync(`${stage}/${name}`).mode! & 0o777);
    assert.deepEqual(modes, [0o644, 0o755, 0o755]);
    assert.equal(pluginRoot(stage, "manifest"), stage);
    assert.equal(pluginRoot(stage, "other"), stage);
    await Deno.mkdir(`${dir}/outer`);
    await Deno.rename(stage, `${dir}/outer/release-1`);
    await Deno.mkdir(stage);
    assert.equal(pluginRoot(`${dir}/outer`, "manifest"), `${dir}/outer/release-1`);
  });
});
