import assert from "node:assert/strict";
import type { EventBody, FilesyncEvent, StatusReport, Summary } from "../../lib/observe/mod.ts";
import { EventWords } from "./event_lines.ts";
import { statusLines } from "./status.ts";
import { summaryLines } from "./summary.ts";
import { table } from "./table.ts";

const NOTHING: Summary = {
  found: 0,
  downloaded: 0,
  downloadedBytes: 0,
  delivered: 0,
  deliveredBytes: 0,
  parked: 0,
  uncertain: 0,
  gone: 0,
  left: 0,
  elapsedMs: 4200,
  exitCode: 0,
};

Deno.test("summaryLines() says what was done and what is to do", () => {
  assert.deepEqual(summaryLines({ ...NOTHING, delivered: 3, deliveredBytes: 13_002_342 }), [
    "3 files delivered (12.4 MiB) in 4.2 s",
  ]);
  assert.deepEqual(summaryLines({ ...NOTHING, delivered: 2, deliveredBytes: 2 }, { severalTargets: true }), [
    "2 deliveries made (2 B) in 4.2 s",
  ]);
  assert.deepEqual(summaryLines(NOTHING), ["Nothing to do: all is delivered (looked in 4.2 s)"]);
  assert.match(
    summaryLines({ ...NOTHING, exitCode: 5 })[0]!,
    /^Nothing found: a device is away or held, see "filesync status"/,
  );
  assert.deepEqual(summaryLines({ ...NOTHING, left: 1 }).slice(1), [
    '1 file is still to be moved: see "filesync status" for what it waits for',
  ]);
  assert.deepEqual(summaryLines({ ...NOTHING, parked: 1, uncertain: 2, gone: 1, left: 5 }), [
    "Nothing delivered in 4.2 s",
    '1 file is parked: see "filesync status" for the reasons',
    '2 deliveries are uncertain: see "filesync status", and look on the target',
    "1 file vanished from the source before being fetched",
    '5 files are still to be moved: see "filesync status" for what they wait for',
  ]);
});

function wordsOf(...bodies: EventBody[]): string[] {
  const words = new EventWords();
  return bodies.flatMap((body) => {
    const line = words.line({ ...body, time: "" } as FilesyncEvent);
    return line === undefined ? [] : [`${line.level} ${line.scope}: ${line.message}`];
  });
}

Deno.test("EventWords tells of a device only when it changes", () => {
  const device = { event: "device", device: "nas", role: "target" } as const;
  const away = { ...device, available: false, code: "denied", reason: "530 no", hint: "Check user and passwd" };
  assert.deepEqual(
    wordsOf({ ...device, available: true }, away, away, { ...device, available: true }, {
      ...device,
      available: true,
      held: true,
      reason: "armed",
    }),
    [
      "debug nas: Device is available as target",
      "warning nas: Device denies access: 530 no. Check user and passwd",
      "info nas: Device is available again",
      "info nas: Device is held: armed",
    ],
  );
});

Deno.test("EventWords tells twelve changes an hour of a device that comes and goes all day", () => {
  let nowMs = 0;
  const words = new EventWords(() => nowMs);
  const lines: string[] = [];
  for (; nowMs < 24 * 3600_000; nowMs += 30_000) {
    const available = nowMs % 60_000 !== 0;
    const more = available ? {} : { code: "unavailable", reason: "Link is gone" };
    const line = words.line({ event: "device", device: "radio", role: "target", available, ...more, time: "" });
    if (line !== undefined) lines.push(line.message);
  }
  assert.equal(lines.length, 24 * 12);
  assert.equal(lines[11], "Device is available again (it comes and goes: for an hour no more is told)");
  assert.equal(lines[12], "Device is not available: Link is gone (it changed 108 more times in the last hour)");
});

Deno.test("EventWords says under which name and how proven a file landed", () => {
  const file = { event: "delivered", job: "logs", target: "nas" } as const;
  assert.deepEqual(
    wordsOf(
      { ...file, path: "d/a.ulg", receipt: { path: "a.ulg", sizeBytes: 10, verified: "checksum" } },
      { ...file, path: "a.ulg", receipt: { path: "a~2.ulg", sizeBytes: 10, verified: "size" } },
      { ...file, path: "a.ulg", receipt: { path: "a.ulg", sizeBytes: 10, verified: "accepted", url: "https://x/1" } },
      { ...file, path: "a.ulg", receipt: { path: "a.ulg", sizeBytes: 10, verified: "size" }, note: "Log is cut off" },
    ),
    [
      'info logs: Delivered "d/a.ulg" to "nas" (10 B, checksum verified)',
      'info logs: Delivered "a.ulg" to "nas" as "a~2.ulg" (10 B, size verified)',
      'info logs: Delivered "a.ulg" to "nas" (10 B, accepted): https://x/1',
      'info logs: Delivered "a.ulg" to "nas" (10 B, size verified); its source says: Log is cut off',
    ],
  );
});

Deno.test("EventWords names what went wrong and what to do", () => {
  assert.deepEqual(
    wordsOf(
      {
        event: "parked",
        job: "logs",
        path: "a",
        reason: "too large",
        code: "rejected",
        target: "web",
        hint: "Split it",
      },
      { event: "uncertain", job: "logs", path: "a", target: "web", reason: "answer was lost" },
      { event: "gone", job: "logs", path: "b" },
      { event: "progress", job: "logs", path: "b", doneBytes: 1 },
    ),
    [
      'warning logs: Parked "a" for "web": too large. Split it',
      'warning logs: Cannot tell whether "a" landed on "web": answer was lost',
      'info logs: "b" vanished from the source before it was fetched',
    ],
  );
});

Deno.test("EventWords says which file a line is about where thousands may have one trouble: the log counts these", () => {
  const words = new EventWords();
  const file = { job: "logs", path: "a.ulg", time: "" };
  const told: FilesyncEvent[] = [
    { event: "parked", ...file, reason: "Too large", code: "rejected" },
    { event: "uncertain", ...file, target: "nas", reason: "Link went down" },
    { event: "gone", ...file },
    { event: "removed", ...file },
  ];
  for (const event of told) assert.deepEqual(words.line(event)?.about, { file: "a.ulg" }, event.event);
});

Deno.test("table() lines up by what a terminal shows", () => {
  assert.deepEqual(
    table([{ title: "NAME" }, { title: "SIZE", side: "right" }, { title: "X" }], [
      ["日本", "7", "é"],
      ["a", "1234567", ""],
    ]),
    [
      "NAME     SIZE  X",
      "日本        7  é",
      "a     1234567",
    ],
  );
});

Deno.test("statusLines() shows the journey, devices, what is parked and the spool", () => {
  const none = { count: 0, bytes: 0 };
  const report: StatusReport = {
    schema: 1,
    time: "2026-11-23T10:00:00.000Z",
    word: "attention",
    state: "/var/lib/filesync/filesync.db",
    pid: 42,
    jobs: [{
      name: "logs",
      found: { count: 2, bytes: 2048 },
      downloading: none,
      spooled: { count: 1, bytes: 1024 },
      done: { count: 7, bytes: 7168 },
      parked: none,
      gone: none,
      targets: [{
        name: "nas",
        waiting: none,
        uploading: { count: 1, bytes: 1024 },
        delivered: { count: 7, bytes: 7168 },
        parked: none,
        uncertain: { count: 1, bytes: 1024 },
      }],
    }],
    devices: [
      {
        name: "camera",
        role: "source",
        available: false,
        held: false,
        reason: "no\x1b",
        since: "2026-11-23T09:58:00.000Z",
      },
    ],
    parked: [{
      job: "logs",
      path: "a\nb",
      target: "nas",
      state: "uncertain",
      reason: "answer was lost",
      hint: "Look on the target",
      attempts: 2,
      since: "2026-11-23T09:00:00.000Z",
    }],
    parkedTotal: 3,
    noted: Array.from({ length: 4 }, (_, n) => ({
      job: "logs",
      path: `${n}.ulg`,
      note: "ends in\nthe middle",
      since: "2026-11-23T09:00:00.000Z",
    })),
    notedTotal: 7,
    spool: { dir: "/spool", usedBytes: 1024, quotaBytes: 2048 },
    resentBytes: 0,
    resentUploadBytes: 0,
  };
  const nowMs = Date.parse("2026-11-23T10:00:00.000Z");
  assert.deepEqual(statusLines(report, { colour: false, unicode: true, nowMs }), [
    "attention: something needs you (sync runs as process 42)",
    "",
    "JOB   STATION          FILES  REST",
    "logs  source   10 (10.0 KiB)  2 (2.00 KiB) waiting",
    "      spool     1 (1.00 KiB)",
    "      → nas     7 (7.00 KiB)  1 (1.00 KiB) uploading, 1 (1.00 KiB) uncertain",
    "",
    "DEVICE  ROLE    STATE  FOR    REASON",
    "camera  source  away   2 min  no\\x1b",
    "",
    "Needs you: 3 files",
    "  uncertain logs: a\\nb → nas (2 attempts)",
    "    answer was lost",
    "    Look on the target",
    "  and 2 more",
    "",
    "As the source has it: 7 files",
    "  logs: 0.ulg",
    "    ends in\\nthe middle",
    "  logs: 1.ulg",
    "    ends in\\nthe middle",
    "  logs: 2.ulg",
    "    ends in\\nthe middle",
    "  and 4 more",
    "",
    "Spool: 1.00 KiB of 2.00 KiB in /spool",
    "State: /var/lib/filesync/filesync.db",
  ]);
  const [coloured] = statusLines(report, { colour: true, unicode: false, nowMs });
  assert.ok(coloured!.startsWith("\x1b[1;31mattention\x1b[0m"));
});

Deno.test("statusLines() tells equal reasons together, so that none hides another", () => {
  const rest = Array.from({ length: 99 }, (_, n) => ({
    job: "card",
    path: `f${n}.bin`,
    state: "parked" as const,
    reason: `Cannot take "f${n}.bin": too many`,
    hint: "filesync retry --job card takes the rest",
    attempts: 0,
    since: "2026-11-23T09:00:00.000Z",
  }));
  const other = { ...rest[0]!, path: "broken.bin", reason: "device reports size 0", hint: "Look at the card" };
  const report: StatusReport = {
    schema: 1,
    time: "2026-11-23T10:00:00.000Z",
    word: "attention",
    state: "/f.db",
    jobs: [],
    devices: [],
    parked: [...rest, other],
    parkedTotal: 5000,
    noted: [],
    notedTotal: 0,
    spool: { dir: "/spool", usedBytes: 0, quotaBytes: 2048 },
    resentBytes: 0,
    resentUploadBytes: 0,
  };
  const lines = statusLines(report, { colour: false, unicode: true, nowMs: Date.parse(report.time) });
  assert.deepEqual(lines.slice(lines.indexOf("Needs you: 5000 files"), -3), [
    "Needs you: 5000 files",
    "  parked card: f0.bin",
    "  parked card: f1.bin",
    "  parked card: f2.bin",
    '    Cannot take "f0.bin": too many',
    "    filesync retry --job card takes the rest",
    "  parked card: broken.bin",
    "    device reports size 0",
    "    Look at the card",
    "  and 4996 more",
  ]);
});
