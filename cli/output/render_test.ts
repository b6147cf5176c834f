import assert from "node:assert/strict";
import type { EventBody, FilesyncEvent } from "../../lib/observe/mod.ts";
import { Progress } from "../../lib/observe/mod.ts";
import { render } from "./render.ts";
import { displayWidth } from "./width.ts";

const PLAIN = { rows: 24, nowMs: 4000, colour: false, unicode: true };

function progressOf(...bodies: EventBody[]): Progress {
  const progress = new Progress();
  bodies.forEach((body, n) => progress.apply({ ...body, time: "" } as FilesyncEvent, n * 1000));
  return progress;
}

const moved = (path: string, doneMiB: number, sizeMiB: number, target?: string): EventBody => ({
  event: "progress",
  job: "logs",
  path,
  doneBytes: doneMiB * 1024 ** 2,
  sizeBytes: sizeMiB * 1024 ** 2,
  ...(target === undefined ? {} : { target }),
});

Deno.test("render() shows name, share, rate and time left of each moving file, and one line for all", () => {
  const progress = progressOf(
    { event: "found", job: "logs", path: "2026-11-23/12_00_33.ulg", generation: 1 },
    moved("2026-11-23/12_00_33.ulg", 0, 40),
    moved("2026-11-23/12_00_33.ulg", 2, 40),
    moved("2026-11-23/12_00_33.ulg", 4, 40),
    moved("a.ulg", 5, 5, "nas"),
  );
  assert.deepEqual(render(progress, { ...PLAIN, columns: 80 }), [
    "↓ 2026-11-23/12_00_33.ulg                    4.00/40.0 MiB  2.00 MiB/s     0:18",
    "↑ a.ulg                                 nas  5.00/5.00 MiB   finishing         ",
    "1 found · 0 downloaded · 0 delivered · 1 waiting · 2.00 MiB/s",
  ]);
});

Deno.test("render() keeps every line narrower than the terminal, whatever the names", () => {
  const progress = progressOf(
    moved("日本語の長い名前のファイル/ログ_0001.ulg", 1, 900),
    moved("👨‍👩‍👧🚁".repeat(20), 1, 900, "a target with quite a long name"),
    moved("x".repeat(4000), 1, 900, "nas"),
    { event: "device", device: "camera", role: "source", available: false },
  );
  for (let columns = 1; columns <= 200; columns++) {
    for (const colour of [false, true]) {
      for (const line of render(progress, { ...PLAIN, columns, colour })) {
        assert.ok(displayWidth(line) < Math.max(columns, 2), `${columns}: ${line}`);
      }
    }
  }
});

Deno.test("render() shows control characters escaped", () => {
  const [line] = render(progressOf(moved("a\x1b[2J\r\n\u202eb", 1, 2, "n\x07s")), { ...PLAIN, columns: 100 });
  assert.match(line!, /^↑ a\\x1b\[2J\\r\\n\\u202eb +n\\x07s /);
});

Deno.test("render() fits into the terminal's height", () => {
  const progress = progressOf(...Array.from({ length: 50 }, (_, n) => moved(`f${n}`, 1, 2)));
  const lines = render(progress, { ...PLAIN, columns: 60, rows: 10, nowMs: 50_000 });
  assert.equal(lines.length, 8);
  assert.equal(lines.at(-2), "  and 44 more");
  assert.ok(render(progress, { ...PLAIN, columns: 60, rows: 2, nowMs: 50_000 }).length <= 2);
});

Deno.test("render() says when a file waits, and makes up no time for it", () => {
  const progress = progressOf(moved("a", 1, 9), moved("a", 2, 9));
  const [line] = render(progress, { ...PLAIN, columns: 60, nowMs: 12_000 });
  assert.match(line!, /2\.00\/9\.00 MiB {5}waiting *$/);
});

Deno.test("render() draws with ASCII where nothing else can be shown", () => {
  const progress = progressOf(moved("a".repeat(100), 1, 9), moved("b", 1, 9, "nas"));
  const text = render(progress, { ...PLAIN, columns: 60, unicode: false }).join("");
  assert.match(text, /^[\x20-\x7e]*$/);
});

Deno.test("render() colours only when it may", () => {
  const progress = progressOf(moved("a", 1, 9));
  assert.ok(!render(progress, { ...PLAIN, columns: 60 }).join("").includes("\x1b"));
  assert.ok(render(progress, { ...PLAIN, columns: 60, colour: true }).join("").includes("\x1b["));
});
