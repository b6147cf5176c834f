import assert from "node:assert/strict";
import type { MovingFile, StatusReport } from "../../lib/observe/mod.ts";
import { screenLines } from "./screen.ts";
import { displayWidth } from "./width.ts";

const TALLY = { count: 0, bytes: 0 };

function report(jobs: number): StatusReport {
  return {
    schema: 1,
    time: "2026-11-30T12:00:00Z",
    word: "working",
    state: "/s.db",
    jobs: Array.from({ length: jobs }, (_, index) => ({
      name: `job${index}`,
      found: TALLY,
      downloading: TALLY,
      spooled: TALLY,
      done: TALLY,
      parked: TALLY,
      gone: TALLY,
      targets: [],
    })),
    devices: [],
    parked: [],
    parkedTotal: 0,
    noted: [],
    notedTotal: 0,
    spool: { dir: "/spool", usedBytes: 0, quotaBytes: 1 },
    resentBytes: 0,
    resentUploadBytes: 0,
  };
}

function moving(count: number): MovingFile[] {
  return Array.from({ length: count }, (_, index) => ({
    job: "job0",
    path: `a/rather/long/path/of/a/log/${index}.ulg`,
    doneBytes: 50,
    sizeBytes: 100,
    bytesPerSecond: 10,
    etaMs: 5000,
    silentMs: 0,
  }));
}

const OPTIONS = { columns: 60, rows: 20, colour: false, unicode: true, nowMs: 0 };

Deno.test("screenLines() never needs more rows than there are, and says what is left out", () => {
  for (const rows of [1, 2, 5, 20, 100]) {
    for (const [jobs, files] of [[0, 0], [1, 1], [40, 0], [40, 40]] as const) {
      const lines = screenLines(report(jobs), moving(files), { ...OPTIONS, rows });
      assert.ok(lines.length <= Math.max(2, rows - 1), `${lines.length} lines in ${rows} rows`);
      assert.match(lines[0]!, /^working/);
      if (jobs === 40 && rows === 20) assert.match(lines.at(-1)!, /^… \d+ more lines: filesync status$/);
    }
  }
});

Deno.test("screenLines() shows what moves under the word, within the width", () => {
  const lines = screenLines(report(1), moving(9), OPTIONS);
  const files = lines.filter((line) => line.startsWith("↓"));
  assert.equal(files.length, 5);
  assert.match(files[0]!, /0\.ulg.*50\/100 B.*10 B\/s.*0:05/);
  assert.ok(files.every((line) => displayWidth(line) < OPTIONS.columns));
  assert.ok(lines.includes("  and 4 more"));
  assert.match(screenLines(report(1), moving(1), { ...OPTIONS, unicode: false }).join("\n"), /^< a\/rather/m);
});
