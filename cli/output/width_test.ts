import assert from "node:assert/strict";
import { displayWidth, fit, truncateMiddle } from "./width.ts";

Deno.test("displayWidth() counts columns as a terminal does", () => {
  const cases: [string, number][] = [
    ["", 0],
    ["log_1.ulg", 9],
    ["žluťoučký", 9],
    ["z\u030cluty\u0301", 5],
    ["日本語.txt", 10],
    ["한국어", 6],
    ["ﬀ", 1],
    ["ｆｕｌｌ", 8],
    ["🚁", 2],
    ["✅", 2],
    ["→…↓", 3],
    ["\x1b[2mdim\x1b[22m", 3],
  ];
  for (const [text, width] of cases) assert.equal(displayWidth(text), width, text);
});

Deno.test("displayWidth() never counts a joined emoji too narrow", () => {
  assert.ok(displayWidth("👨‍👩‍👧") >= 2);
});

Deno.test("truncateMiddle() keeps the start and the end", () => {
  assert.equal(truncateMiddle("short", 5), "short");
  assert.equal(truncateMiddle("2026-11-23/12_00_33.ulg", 12), "2026-…33.ulg");
  assert.equal(truncateMiddle("abcdef", 4, ".."), "a..f");
  assert.equal(truncateMiddle("abcdef", 1), "a");
  assert.equal(truncateMiddle("abcdef", 0), "");
});

Deno.test("truncateMiddle() and fit() keep to the width for any text", () => {
  const texts = [
    "日本語の長い名前のファイル.ulg",
    "🚁🚁🚁🚁🚁🚁🚁",
    "z\u030c".repeat(20),
    "👨‍👩‍👧".repeat(9),
    "a".repeat(255),
    "é日a🚁".repeat(7),
  ];
  for (const text of texts) {
    for (let width = 0; width < 40; width++) {
      assert.ok(displayWidth(truncateMiddle(text, width)) <= width, `${text} in ${width}`);
      assert.equal(displayWidth(fit(text, width)), width, `${text} in ${width}`);
    }
  }
});

Deno.test("truncateMiddle() never cuts an accent from its letter", () => {
  assert.equal(truncateMiddle("e\u0301".repeat(9), 4), "e\u0301…e\u0301e\u0301");
});

Deno.test("fit() fills on the side that is asked for", () => {
  assert.equal(fit("7", 3, "right"), "  7");
  assert.equal(fit("日", 3), "日 ");
});
