import assert from "node:assert/strict";
import { exitOfAnswer, ok, problem, shellWord, Tally, warning } from "./finding.ts";

Deno.test("Tally ends with the first of 3, 7, 6, 8, 4, 5, 1 that a problem comes to", () => {
  const order = [3, 7, 6, 8, 4, 5, 1];
  for (let from = 0; from < order.length; from++) {
    for (const codes of [order.slice(from), order.slice(from).reverse()]) {
      const tally = new Tally();
      tally.add(ok("a", "is well"));
      for (const code of codes) tally.add(problem("a", code, "is not"));
      assert.equal(tally.verdict.exitCode, order[from]);
    }
  }
});

Deno.test("Tally counts warnings and ends well with them", () => {
  const tally = new Tally();
  tally.add(ok("a", "is well"));
  tally.add(warning("a", "could be better", "Better it"));
  assert.deepEqual(tally.verdict, { findings: 2, warnings: 1, problems: 0, exitCode: 0 });
});

Deno.test("exitOfAnswer() gives what sync would end with", () => {
  const codes = ["invalid_config", "denied", "unavailable", "held", "not_found", "broken", "failed"] as const;
  assert.deepEqual(codes.map(exitOfAnswer), [3, 6, 5, 5, 5, 8, 1]);
});

Deno.test("shellWord() leaves nothing for a shell to act on", () => {
  assert.deepEqual(["/a/b.db", "a b", "it's", "$(x)", ""].map(shellWord), [
    "/a/b.db",
    "'a b'",
    `'it'\\''s'`,
    "'$(x)'",
    "''",
  ]);
});
