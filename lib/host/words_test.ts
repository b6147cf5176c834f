import assert from "node:assert/strict";
import { tidy, wordsFor } from "./words.ts";

const SCHEMA = {
  properties: {
    user: { type: "string" },
    passwd: { type: "string", writeOnly: true },
    headers: { type: "object", additionalProperties: { type: "string", writeOnly: true } },
    keys: { type: "array", items: { type: "string", writeOnly: true } },
    auth: { type: "object", writeOnly: true },
  },
};

Deno.test("tidy() makes one line of any text", () => {
  assert.equal(tidy("  \x1b[1;31mred\x1b[0m\r\n\ttext\0 \x07bell\x9b "), "red text bell");
  assert.equal(tidy("lone \ud800 surrogate"), "lone \ufffd surrogate");
  assert.equal(tidy("äöü €"), "äöü €");
});

Deno.test("tidy() cuts what is too long", () => {
  assert.equal(tidy("x".repeat(10_000)).length, 2001);
  assert.equal(tidy("abcdef", 3), "ab…f");
  assert.match(
    tidy(`Cannot upload "${"d/".repeat(2000)}": server hangs up`),
    /^Cannot upload .*…d.*: server hangs up$/,
  );
});

Deno.test("wordsFor() hides every value that the schema marks writeOnly, wherever it stands", () => {
  const words = wordsFor(SCHEMA, {
    user: "pilot",
    passwd: "p ss/word",
    headers: { Authorization: "Bearer abc" },
    keys: ["key-one", "key-one-and-two"],
    auth: { token: { value: "deep-secret" } },
    unknown: "shown",
  });
  assert.equal(
    words("pilot p ss/word p%20ss%2Fword Bearer abc key-one-and-two key-one deep-secret shown"),
    "pilot *** *** *** *** *** *** shown",
  );
});

Deno.test("wordsFor() does not search for empty and very short secrets", () => {
  const words = wordsFor(SCHEMA, { passwd: "", keys: ["a"] });
  assert.equal(words("a banana"), "a banana");
});

Deno.test("wordsFor() takes any schema and any arguments", () => {
  assert.equal(wordsFor({}, { passwd: "hunter22" })("hunter22"), "hunter22");
  assert.equal(wordsFor({ properties: null }, { passwd: null })("text"), "text");
});
