import assert from "node:assert/strict";
import { conflictPath, isTemporary, parentOf, pathProblem, temporaryPath } from "./paths.ts";

Deno.test("pathProblem() passes names that are odd but safe", () => {
  const fine = ["", "a", "a/b.ulg", "...", "..a", "a..", " ", "-rf", "a\\b", "100%", "Größe/日本語", "n".repeat(255)];
  for (const path of fine) assert.equal(pathProblem(path), undefined, JSON.stringify(path));
  assert.equal(pathProblem("я".repeat(127)), undefined);
  assert.equal(pathProblem(Array(16).fill("n".repeat(255)).join("/")), undefined, "4,095 bytes");
});

Deno.test("pathProblem() names what is wrong with a hostile name", () => {
  const hostile: [string, RegExp][] = [
    ["/etc/passwd", /starts with/],
    ["..", /".."/],
    ["a/../b", /".."/],
    ["./a", /"\."/],
    ["a//b", /empty name/],
    ["a/", /empty name/],
    ["a\0b", /control character/],
    ["a\r\nDELE b", /control character/],
    ["a\x7f", /control character/],
    ["a\ufffd", /UTF-8/],
    ["a\ud800", /UTF-8/],
    ["n".repeat(256), /longer than 255/],
    ["я".repeat(128), /longer than 255/],
    [Array(17).fill("n".repeat(255)).join("/"), /longer than 4096/],
  ];
  for (const [path, words] of hostile) {
    assert.match(pathProblem(path) ?? "none", words, JSON.stringify(path.slice(0, 20)));
  }
});

Deno.test("isTemporary() knows exactly the names of our own unfinished uploads", () => {
  assert.ok(isTemporary("filesync-0123456789abcdef.part"));
  assert.ok(isTemporary("a/b/filesync-0123456789abcdef.part"));
  for (
    const name of [
      "filesync-0123456789ABCDEF.part",
      "filesync-0123456789abcde.part",
      "filesync-0123456789abcdef.part.ulg",
      "a-filesync-0123456789abcdef.part",
      "filesync-0123456789abcdef.part/a",
    ]
  ) assert.ok(!isTemporary(name), name);
});

Deno.test("parentOf() is empty for a name in the root", () => {
  assert.equal(parentOf("a"), "");
  assert.equal(parentOf("a/b/c"), "a/b");
});

Deno.test("temporaryPath() is the same for each retry of a delivery and no other", async () => {
  const [one, two] = ["1".repeat(64), "2".repeat(64)];
  const path = await temporaryPath("dir/log.ulg", one);
  assert.ok(isTemporary(path));
  assert.equal(parentOf(path), "dir");
  assert.equal(await temporaryPath("dir/log.ulg", one), path);
  assert.notEqual(await temporaryPath("dir/log.ulg", two), path, "other content");
  assert.notEqual(await temporaryPath("dir/log~2.ulg", one), path, "another name");
  assert.ok(isTemporary(await temporaryPath("log.ulg", one)));
});

Deno.test("conflictPath() puts the number before the extension", () => {
  assert.equal(conflictPath("a/log.ulg", 2), "a/log~2.ulg");
  assert.equal(conflictPath("log.tar.gz", 10), "log.tar~10.gz");
  assert.equal(conflictPath("a.d/noext", 2), "a.d/noext~2");
  assert.equal(conflictPath(".hidden", 2), ".hidden~2");
  assert.equal(conflictPath("a/.hidden", 3), "a/.hidden~3");
  assert.equal(conflictPath("trailing.", 2), "trailing~2.");
});

Deno.test("conflictPath() stays within 255 bytes and keeps characters whole", () => {
  for (const name of [`${"n".repeat(251)}.ulg`, `${"я".repeat(125)}.ulg`, "\u{1f680}".repeat(63), "n".repeat(255)]) {
    const path = conflictPath(`dir/${name}`, 999);
    const { length } = new TextEncoder().encode(path.slice("dir/".length));
    assert.ok(length <= 255 && length >= 250, `${length} bytes`);
    assert.equal(pathProblem(path), undefined);
  }
});
