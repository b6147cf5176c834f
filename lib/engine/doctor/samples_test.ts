import assert from "node:assert/strict";
import { samplesOf, takesNothing } from "./samples.ts";

const rules = (include: string[], exclude: string[] = []) => ({ include, exclude, minSizeBytes: 0 });

Deno.test("samplesOf() gives paths that each pattern matches", () => {
  assert.equal(samplesOf(rules(["*.ulg", "/log/*", "img[0-9]?.jpg", "[!a]*"])).length, 8);
  assert.ok(samplesOf(rules(["/log/*"])).every((path) => path.startsWith("log/")));
});

Deno.test("takesNothing() sees that exclude leaves out all that include takes in", () => {
  assert.equal(takesNothing(rules(["*"], ["*"])), true);
  assert.equal(takesNothing(rules(["*.ulg"], ["*.ulg"])), true);
  assert.equal(takesNothing(rules(["*.ulg", "*.jpg"], ["*.[uj]*"])), true);
  assert.equal(takesNothing(rules(["/log/*"], ["log/*"])), true);
  assert.equal(takesNothing(rules(["a.txt"], ["a.*"])), true);
});

Deno.test("takesNothing() does not speak of rules that leave something", () => {
  assert.equal(takesNothing(rules(["*"])), false);
  assert.equal(takesNothing(rules(["*"], ["*.tmp", ".*", "?", "a*"])), false);
  assert.equal(takesNothing(rules(["*.ulg"], ["?.ulg"])), false);
  assert.equal(takesNothing(rules(["*.ulg", "*.jpg"], ["*.ulg"])), false);
  // The notice of the configuration speaks of these.
  assert.equal(takesNothing(rules([])), false);
});
