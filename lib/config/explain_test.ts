import assert from "node:assert/strict";
import { ConfigError, didYouMean, formatKey, listOf, nearest, parseKey } from "./explain.ts";

Deno.test("nearest() finds a slip of the keyboard and leaves a different word alone", () => {
  const known = ["interval", "settle", "order", "max_first"];
  assert.equal(nearest("serttle", known), "settle");
  assert.equal(nearest("setlte", known), "settle");
  assert.equal(nearest("ORDER", known), "order");
  assert.equal(nearest("maxfirst", known), "max_first");
  assert.equal(nearest("password", known), undefined);
  assert.equal(nearest("username", ["host", "user", "passwd"]), "user");
  assert.equal(nearest("pass", ["host", "user", "passwd"]), "passwd");
  assert.equal(nearest("file", ["file_first", "file_second"]), undefined);
  assert.equal(nearest("x", []), undefined);
  assert.equal(nearest("x".repeat(10_000), known), undefined);
  assert.equal(didYouMean("serttle", known), '; did you mean "settle"?');
  assert.equal(didYouMean("zzz", known), "");
});

Deno.test("formatKey() and parseKey() are the reverse of each other", () => {
  for (const path of [["jobs", 0, "source", "args", "dir"], ["devices", "my nas"], ["devices", 'a"]b', 3], []]) {
    assert.deepEqual(parseKey(formatKey(path)), path);
  }
  assert.equal(formatKey(["jobs", 0, "source"]), "jobs[0].source");
});

Deno.test("ConfigError prints every problem with its place and, below it, the remedy", () => {
  const error = new ConfigError([
    { file: "config.json", line: 12, column: 15, key: "jobs[0].movers", message: 'Expected x, got "four"', hint: "Do" },
    { file: "FILESYNC_STATE", key: "", message: "Wrong" },
  ]);
  assert.equal(error.message, 'config.json:12:15: jobs[0].movers: Expected x, got "four"\n  Do\nFILESYNC_STATE: Wrong');
});

Deno.test("listOf() joins names as people do", () => {
  assert.equal(listOf([]), "");
  assert.equal(listOf(["a"]), "a");
  assert.equal(listOf(["a", "b", "c"], "and"), "a, b and c");
});
