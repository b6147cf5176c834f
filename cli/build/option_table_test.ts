import assert from "node:assert/strict";
import { argsTable, configTable, replaceMade, withoutPadding } from "./option_table.ts";

Deno.test("configTable() walks into objects and lists, and says what is required", () => {
  const schema = {
    properties: {
      $schema: { type: "string" },
      state: { description: "Where <it> lies" },
      jobs: { items: { required: ["name"], properties: { name: { description: 'a "*" | b' }, n: { default: 4 } } } },
      spool: { properties: { quota: { default: "2GiB", description: "Most" } } },
    },
  };
  assert.equal(
    configTable(schema),
    [
      "| key | default | meaning |",
      "| --- | --- | --- |",
      "| `state` |  | Where \\<it> lies |",
      '| `jobs[].name` | required | a "\\*" \\| b |',
      "| `jobs[].n` | `4` |  |",
      '| `spool.quota` | `"2GiB"` | Most |',
    ].join("\n"),
  );
});

Deno.test("argsTable() names secrets", () => {
  const args = { required: ["passwd"], properties: { passwd: { writeOnly: true, description: "Password" } } };
  assert.match(argsTable(args), /\| `passwd` \| required \| Password \(a secret\) \|/);
});

Deno.test("replaceMade() replaces the marked blocks and nothing else", () => {
  const text = "a\n<!-- made: driver: ftp -->\n\nold\n\n<!-- end -->\nb\n";
  const made = replaceMade(text, (name) => name.toUpperCase());
  assert.equal(made, "a\n<!-- made: driver: ftp -->\n\nDRIVER: FTP\n\n<!-- end -->\nb\n");
  assert.equal(replaceMade(made, (name) => name.toUpperCase()), made);
});

Deno.test("withoutPadding() forgets what a formatter adds to a table", () => {
  assert.equal(withoutPadding("| a   | b |\n| ------ | - |"), withoutPadding("| a | b |\n| --- | - |"));
});
