import assert from "node:assert/strict";
import { type PathFacts, targetPath } from "./target_path.ts";

const FACTS: PathFacts = { path: "sess001/log100.ulg", job: "logs", device: "px4-1", host: "pi", timeMs: 0 };

Deno.test("targetPath() puts each value where the template has it", () => {
  assert.equal(targetPath("{path}", FACTS), "sess001/log100.ulg");
  assert.equal(
    targetPath("{job}/{host}/{device}/{date}/{path}", FACTS),
    "logs/pi/px4-1/1970-01-01/sess001/log100.ulg",
  );
});

Deno.test("targetPath() keeps a hostile device, job or host to one name, and takes no placeholder out of a value", () => {
  const hostile: [device: string, name: string][] = [
    ["../../etc", ".._.._etc"],
    ["..", "_"],
    [".", "_"],
    ["", "_"],
    ["/", "_"],
    ["a\\b", "a_b"],
    ["a\nb\u0000c\u007f", "a_b_c_"],
    ["{path}", "{path}"],
    ["$&$1", "$&$1"],
    ["\u00e4 b", "\u00e4 b"],
  ];
  for (const [device, name] of hostile) {
    assert.equal(targetPath("{device}/{path}", { ...FACTS, device }), `${name}/sess001/log100.ulg`, device);
  }
  assert.equal(
    targetPath("{job}/{host}/{path}", { ...FACTS, job: "../x", host: "a/b" }),
    ".._x/a_b/sess001/log100.ulg",
  );
});

Deno.test("targetPath() refuses what no target can have, also where only the whole is too long", () => {
  const rejected = (facts: Partial<PathFacts>, template = "{device}/{path}") =>
    assert.throws(() => targetPath(template, { ...FACTS, ...facts }), { name: "DriverError", code: "rejected" });
  rejected({ device: "x".repeat(256) });
  rejected({ device: "\ud800" });
  rejected({ path: Array(1100).fill("abc").join("/") }, "a/very/long/beginning/of/a/path/".repeat(30) + "{path}");
});

Deno.test("targetPath() dates a file by UTC, whatever year its card says", () => {
  const dated = (timeMs: number) => targetPath("{date}/{path}", { ...FACTS, timeMs }).split("/")[0];
  assert.equal(dated(Date.UTC(2027, 0, 1) - 1), "2026-12-31");
  assert.equal(dated(Date.UTC(12345, 6, 8)), "+012345-07-08");
  assert.equal(dated(-8.64e15), "-271821-04-20");
});
