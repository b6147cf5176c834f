import assert from "node:assert/strict";
import { demandedDocs } from "./doc_lint.ts";

// As Deno 2.9.5 prints it, colours included.
const complaint = (kind: string, row: number, column: number) =>
  `\x1b[1m\x1b[31merror[${kind}]\x1b[0m: \x1b[1mwords of ${kind}\x1b[0m\n  \x1b[38;5;12m-->\x1b[0m ` +
  `\x1b[36m${Deno.cwd()}/lib/a.ts\x1b[0m\x1b[33m:${row}:${column}\x1b[0m\n  |\n${row} | code\n  | ^\n\n\n`;

Deno.test("demandedDocs() keeps undocumented symbols, and passes members and private types over", () => {
  const output = complaint("missing-jsdoc", 3, 1) + complaint("missing-jsdoc", 4, 3) +
    complaint("private-type-ref", 5, 1) + complaint("missing-return-type", 6, 3) + complaint("missing-jsdoc", 3, 1);
  assert.equal(demandedDocs(output), "lib/a.ts:3: words of missing-jsdoc\nlib/a.ts:6: words of missing-return-type");
  assert.equal(demandedDocs(complaint("missing-jsdoc", 4, 3)), "");
});

Deno.test("demandedDocs() does not take another failure for a clean list", () => {
  assert.equal(demandedDocs("error: Module not found"), "error: Module not found");
});
