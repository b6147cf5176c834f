// Goal: the table tells what the code would do today: the same rows, all run, all passed.
import assert from "node:assert/strict";
import { keyOf, parseMatrix, renderMatrix } from "./matrix.ts";
import { SCENARIOS } from "./registry.ts";
import { emptyOutcome, problemsOf, type Scenario } from "./scenario.ts";

const FILE = new URL("MATRIX.md", import.meta.url);
const rows = SCENARIOS.flatMap(({ fault, protocols }) => protocols.map((protocol) => keyOf({ fault, protocol })));

Deno.test("MATRIX.md has the rows of the code and no others", () => {
  const cells = parseMatrix(Deno.readTextFileSync(FILE));
  assert.deepEqual(cells.map(keyOf), rows, "Run: deno task faults --only <name>");
});

Deno.test("MATRIX.md tells of no failure, and is what the code would write", () => {
  const text = Deno.readTextFileSync(FILE);
  const cells = parseMatrix(text);
  assert.deepEqual(
    cells.flatMap((cell) => problemsOf(cell.outcome).map((problem) => `${keyOf(cell)}: ${problem}`)),
    [],
  );
  assert.equal(renderMatrix(cells, SCENARIOS), text);
});

Deno.test("Scenarios have names of their own, and each row is there once", () => {
  assert.equal(new Set(SCENARIOS.map(({ name }) => name)).size, SCENARIOS.length);
  assert.equal(new Set(rows).size, rows.length);
  assert.ok(SCENARIOS.every(({ name }) => /^[a-z0-9-]+$/.test(name)));
});

Deno.test("renderMatrix() and parseMatrix() keep every figure, and a failure is shown", () => {
  const scenario: Scenario = { fault: "flood", name: "flood", protocols: ["a->b", "b->a"], needs: [], run: never };
  const outcome = { ...emptyOutcome(), runs: 7, resentBytes: 5, resentLimitBytes: 4, notes: ["one", "two, three"] };
  const cells = [{ fault: "flood", protocol: "b->a", outcome, seed: "42-44", commit: "abc+" }];
  const text = renderMatrix(cells, [scenario]);
  assert.deepEqual(parseMatrix(text), cells);
  assert.match(text, /\| flood \| not run \| FAILED \|/);
  assert.match(text, /5 bytes sent again: at most 4/);
});

function never(): Promise<never> {
  return Promise.reject(new Error("Not to be run"));
}
