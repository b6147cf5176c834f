import assert from "node:assert/strict";
import { testNeeding } from "../../tests/support/needs.ts";
import { compilePattern, compileRules } from "./rules.ts";

const ALL = { include: ["*"], exclude: [], minSizeBytes: 0 };

Deno.test("compileRules() takes all with the default rules", () => {
  const takes = compileRules(ALL);
  assert.ok(takes("a"));
  assert.ok(takes("a/b/.hidden"));
  assert.ok(takes("new\nline"));
});

Deno.test("compileRules() lets exclude win over include", () => {
  const takes = compileRules({ ...ALL, include: ["*.ulg", "keep/*"], exclude: ["*/broken/*", "*.tiff"] });
  assert.ok(takes("log/1.ulg"));
  assert.ok(takes("keep/x"));
  assert.ok(!takes("keep/x.tiff"));
  assert.ok(!takes("log/broken/1.ulg"));
  assert.ok(!takes("log/1.txt"));
});

Deno.test('compileRules() matches a pattern with a leading "/" against the path with one, any other without', () => {
  const takes = compileRules({ ...ALL, exclude: ["/files/*", "temp/*"] });
  assert.ok(!takes("files/a"));
  assert.ok(takes("my/files/a"));
  assert.ok(!takes("temp/a"));
  assert.ok(takes("a/temp/a"));
});

Deno.test("compileRules() takes nothing with an empty include", () => {
  assert.ok(!compileRules({ ...ALL, include: [] })("a"));
});

Deno.test("compileRules() keeps to the sizes, both included, and lets an unknown size pass", () => {
  const takes = compileRules({ ...ALL, minSizeBytes: 10, maxSizeBytes: 20 });
  assert.deepEqual([9, 10, 20, 21, undefined].map((size) => takes("a", size)), [false, true, true, false, true]);
});

Deno.test("compilePattern() takes bounded time for hostile patterns and names", () => {
  const name = "a".repeat(4096);
  assert.ok(!compilePattern(`${"*a".repeat(100)}*b`)(name));
  assert.ok(!compilePattern(`${"*?".repeat(1000)}b`)(name));
  assert.ok(compilePattern("*a*".repeat(500))(name));
});

Deno.test("compilePattern() counts characters, not their halves", () => {
  assert.ok(compilePattern("?.ulg")("🚁.ulg"));
  assert.ok(compilePattern("[🚀-🚂]")("🚁"));
  assert.ok(!compilePattern("[!🚁]")("🚁"));
  assert.ok(compilePattern("*🚁?")("x🚁🚁"));
});

testNeeding("python3", "compilePattern() agrees with Python's fnmatch.fnmatchcase", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % below;
  };
  const word = (alphabet: string[], longest: number) =>
    Array.from({ length: random(longest + 1) }, () => alphabet[random(alphabet.length)]).join("");
  const patternLetters = [..."**??[[[]]]!!--^abcAB./\\&~|🚁é \n"];
  const nameLetters = [..."aabbccAB./-!]^[\\&~|🚁é \n"];
  const cases: [string, string][] = Array.from(
    { length: 20_000 },
    () => [word(patternLetters, 9), word(nameLetters, 6)],
  );
  for (const inside of ["b-a", "!b-a", "b-a-c", "b-a!x", "!b-a-z", "a-", "-a", "!-a", "a-c-e", "]-a", "!]-a", "^a"]) {
    for (const name of nameLetters) cases.push([`[${inside}]`, name]);
  }
  const python = new Deno.Command("python3", {
    args: [
      "-W",
      "ignore",
      "-c",
      "import sys,json,fnmatch\nfor p,n in json.load(sys.stdin): sys.stdout.write('01'[fnmatch.fnmatchcase(n,p)])",
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = python.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(cases)));
  await writer.close();
  const { code, stdout } = await python.output();
  assert.equal(code, 0);
  const expected = new TextDecoder().decode(stdout);
  assert.equal(expected.length, cases.length);
  cases.forEach(([pattern, name], index) => {
    const context = `pattern ${JSON.stringify(pattern)}, name ${JSON.stringify(name)}, seed ${seed}`;
    assert.equal(compilePattern(pattern)(name), expected[index] === "1", context);
  });
});
