import assert from "node:assert/strict";
import { ConfigError } from "./explain.ts";
import { locateInFile, parseSource, readSource } from "./parse.ts";

function problemsOf(text: string): string {
  try {
    parseSource("c.json", text);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message;
  }
  throw new Error("Expected a ConfigError");
}

Deno.test("parseSource() takes comments and trailing commas", () => {
  const source = parseSource("c.json", '// one\n{ /* two */ "a": [1, 2,], "b": { "c": null, }, }\n');
  assert.deepEqual(source.value, { a: [1, 2], b: { c: null } });
});

Deno.test("parseSource() locates values, keys, and the nearest thing around what is missing", () => {
  const source = parseSource("c.json", '{\n  "a": [\n    { "b": 1 }\n  ]\n}');
  assert.deepEqual(source.locate(["a", 0, "b"]), { line: 3, column: 12 });
  assert.deepEqual(source.locate(["a", 0, "b"], "key"), { line: 3, column: 7 });
  assert.deepEqual(source.locate(["a", 0, "missing"]), { line: 3, column: 5 });
  assert.deepEqual(source.locate([]), { line: 1, column: 1 });
});

Deno.test("parseSource() tells where text is no JSON", () => {
  assert.match(problemsOf("hello"), /^c\.json:1:1: Text is no JSON value/);
  assert.match(problemsOf('{\n "a": 1\n "b": 2 }'), /^c\.json:3:2: Expected ","/);
  assert.match(problemsOf('{ "a": "x'), /String has no closing quote/);
  assert.match(problemsOf('{ "a": 1'), /Expected "}", got the end of the file/);
  assert.match(problemsOf("{ a: 1 }"), /Expected a key in double quotes/);
  assert.match(problemsOf(""), /Expected JSON, got an empty file/);
  assert.match(problemsOf("// nothing\n"), /Expected JSON, got an empty file/);
  assert.match(problemsOf("{} {}"), /Expected the end of the file/);
});

Deno.test("parseSource() tells of nesting that no configuration has", () => {
  assert.match(problemsOf("[".repeat(200_000)), /^c\.json: Cannot parse/);
});

Deno.test("parseSource() refuses a key that is there twice, wherever it is", () => {
  const message = problemsOf('{ "a": 1,\n "b": [{ "c": 1, "c": 2 }],\n "a": 2 }');
  assert.match(message, /c\.json:3:2: a: Key "a" is there twice/);
  assert.match(message, /c\.json:2:18: b\[0\]\.c: Key "c" is there twice/);
});

Deno.test("parseSource() keeps a __proto__ key harmless", () => {
  const source = parseSource("c.json", '{ "__proto__": { "polluted": true } }');
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  assert.equal((source.value as { polluted?: boolean }).polluted, undefined);
});

Deno.test("readSource() names a missing file, a directory, a device node and bytes that are no text", () => {
  const dir = Deno.makeTempDirSync();
  try {
    assert.throws(() => readSource(`${dir}/none.json`), /none\.json: Cannot find this configuration file\n {2}Name it/);
    assert.throws(() => readSource(dir), /it is a directory/);
    assert.throws(() => readSource("/dev/zero"), /Expected a file, got a device node/);
    Deno.writeFileSync(`${dir}/latin.json`, new Uint8Array([0x7b, 0xe9, 0x7d]));
    assert.throws(() => readSource(`${dir}/latin.json`), /Expected text in UTF-8/);
    Deno.writeTextFileSync(`${dir}/bom.json`, "\ufeff{}");
    assert.deepEqual(readSource(`${dir}/bom.json`).value, {});
    Deno.truncateSync(`${dir}/bom.json`, 5 * 2 ** 20);
    assert.throws(() => readSource(`${dir}/bom.json`), /at most 4MiB/);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("locateInFile() gives no place for a file that is gone", () => {
  assert.deepEqual(locateInFile("/nonexistent/config.json", "a"), {});
});
