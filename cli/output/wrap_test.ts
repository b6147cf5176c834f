import assert from "node:assert/strict";
import { table } from "./table.ts";
import { displayWidth } from "./width.ts";
import { wrap } from "./wrap.ts";

Deno.test("wrap() breaks between words only, and indents what follows", () => {
  const text = "  nas: Connection refused by the server, which may be off";
  assert.deepEqual(wrap(text, 30), [
    "  nas: Connection refused by",
    "    the server, which may be",
    "    off",
  ]);
  assert.deepEqual(wrap(text, 200), [text]);
  assert.deepEqual(wrap(text, undefined), [text]);
});

Deno.test("wrap() keeps every word and its order at every width", () => {
  const text =
    'problem  nas (target) login: Server says "530 Login incorrect" for 日本語 at ftp://nas.example.org/files';
  for (let columns = 10; columns < 120; columns++) {
    const lines = wrap(text, columns, 9);
    assert.deepEqual(lines.join(" ").split(/ +/), text.split(/ +/));
    for (const line of lines) {
      assert.ok(displayWidth(line) <= columns || line.trim().split(" ").length === 1, `${columns}: "${line}"`);
    }
  }
});

Deno.test("wrap() leaves a word that is too long whole, and counts no colours", () => {
  const path = `/srv/${"long/".repeat(20)}file`;
  assert.deepEqual(wrap(`in ${path} now`, 40), ["in", `  ${path}`, "  now"]);
  assert.deepEqual(wrap("\x1b[31mred\x1b[0m text", 8), ["\x1b[31mred\x1b[0m text"]);
});

Deno.test("table() wraps its last column, and stands its cells below one another where there is no room for that", () => {
  const columns = [{ title: "NAME" }, { title: "STATE" }, { title: "REASON" }];
  const rows = [["nas", "away", "Connection refused by the server at port 21"], ["cam", "available", ""]];
  assert.deepEqual(table(columns, rows, 38), [
    "NAME  STATE      REASON",
    "nas   away       Connection refused by",
    "                 the server at port 21",
    "cam   available",
  ]);
  assert.deepEqual(table(columns, rows, 30), [
    "nas",
    "  away, Connection refused by",
    "    the server at port 21",
    "cam",
    "  available",
  ]);
  assert.deepEqual(table(columns, rows), table(columns, rows, 200));
});
