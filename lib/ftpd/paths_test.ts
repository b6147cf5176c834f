import assert from "node:assert/strict";
import { Jail, splitVirtual, virtualPath } from "./paths.ts";

Deno.test("virtualPath() works out a path as text and never climbs above the root", () => {
  assert.equal(virtualPath("/", "a"), "/a");
  assert.equal(virtualPath("/a/b", "c"), "/a/b/c");
  assert.equal(virtualPath("/a/b", "../c"), "/a/c");
  assert.equal(virtualPath("/a", "/x//y/./z/"), "/x/y/z");
  assert.equal(virtualPath("/a", "../../../../etc/passwd"), "/etc/passwd");
  assert.equal(virtualPath("/a", ""), "/a");
  assert.equal(virtualPath("/", ".."), "/");
  assert.equal(virtualPath("/", ' leading, "quoted" and trailing '), '/ leading, "quoted" and trailing ');
});

Deno.test("virtualPath() refuses names that cannot be represented", () => {
  for (const name of ["a\0b", "a\rb", "a\nb", "a\x7fb", "a\ufffdb", "x".repeat(256), "d/".repeat(2100)]) {
    assert.throws(() => virtualPath("/", name), { name: "Refusal", code: 553 });
  }
});

Deno.test("splitVirtual() gives the directory and the last name", () => {
  assert.deepEqual(splitVirtual("/a"), { parent: "/", name: "a" });
  assert.deepEqual(splitVirtual("/a/b"), { parent: "/a", name: "b" });
});

async function withTree(run: (tree: { root: string; outside: string; jail: Jail }) => Promise<void>): Promise<void> {
  const base = await Deno.realPath(await Deno.makeTempDir({ prefix: "filesync-ftpd-" }));
  try {
    const [root, outside] = [`${base}/root`, `${base}/outside`];
    await Deno.mkdir(`${root}/logs`, { recursive: true });
    await Deno.mkdir(outside);
    await Deno.writeTextFile(`${root}/logs/a.ulg`, "a");
    await Deno.writeTextFile(`${outside}/secret`, "s");
    await run({ root, outside, jail: new Jail(root) });
  } finally {
    await Deno.remove(base, { recursive: true });
  }
}

Deno.test("Jail follows links that stay inside", () =>
  withTree(async ({ root, jail }) => {
    await Deno.symlink("logs", `${root}/link`);
    await Deno.symlink(`${root}/logs/a.ulg`, `${root}/file`);
    assert.equal(await jail.existing("/"), root);
    assert.equal(await jail.existing("/link/a.ulg"), `${root}/logs/a.ulg`);
    assert.equal(await jail.writable("/file"), `${root}/logs/a.ulg`);
    assert.equal(await jail.writable("/link/new.ulg"), `${root}/logs/new.ulg`);
    assert.equal(await jail.name("/link"), `${root}/link`);
    assert.equal(jail.virtualOf(`${root}/logs`), "/logs");
    assert.equal(jail.virtualOf(root), "/");
  }));

Deno.test("Jail refuses links that lead outside or nowhere, for reading, writing and naming", () =>
  withTree(async ({ root, outside, jail }) => {
    await Deno.symlink(outside, `${root}/dir`);
    await Deno.symlink(`${outside}/secret`, `${root}/file`);
    await Deno.symlink("../outside/new", `${root}/dangling`);
    await Deno.symlink("loop", `${root}/loop`);
    // A neighbour whose path starts with the same letters is not inside.
    await Deno.mkdir(`${root}-neighbour`);
    await Deno.symlink(`${root}-neighbour`, `${root}/neighbour`);
    for (const path of ["/dir", "/dir/secret", "/file", "/neighbour"]) {
      await assert.rejects(jail.existing(path), { name: "Refusal", code: 550 });
    }
    for (const path of ["/dir/new", "/file", "/neighbour/new", "/logs", "/"]) {
      await assert.rejects(jail.writable(path), { name: "Refusal", code: 550 });
    }
    await assert.rejects(jail.writable("/dangling"));
    await assert.rejects(jail.writable("/loop"));
    await assert.rejects(jail.name("/dir/secret"), { code: 550 });
    await assert.rejects(jail.name("/"), { code: 550 });
    assert.equal(jail.virtualOf(outside), undefined);
    assert.equal(jail.virtualOf(`${root}-neighbour`), undefined);
  }));

Deno.test("Jail refuses to write to what is no regular file", () =>
  withTree(async ({ root, jail }) => {
    const fifo = await new Deno.Command("mkfifo", { args: [`${root}/pipe`] }).output();
    assert.equal(fifo.code, 0);
    await assert.rejects(jail.writable("/pipe"), { code: 550, message: "Not a regular file" });
  }));
