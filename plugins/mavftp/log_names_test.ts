import assert from "node:assert/strict";
import { isLogName, newestDirectories, newestLogs, parseLastLog } from "./log_names.ts";

Deno.test("newestLogs() takes the newest of each family of names, since a lost clock begins another", () => {
  const paths = [
    "2026-11-21/09_14_07.ulg",
    "2026-11-22/08_00_00.ulg",
    "2026-11-22/16_03_58_replayed.ulg",
    "sess9/log100.ulg",
    "sess010/log099.ulg",
    "notes.txt",
  ];
  assert.deepEqual([...newestLogs(paths)].sort(), ["2026-11-22/16_03_58_replayed.ulg", "sess010/log099.ulg"]);
});

Deno.test("newestLogs() believes LASTLOG.TXT where ArduPilot's numbers have begun again", () => {
  const paths = ["00000001.BIN", "00000002.BIN", "00000499.BIN", "00000500.BIN"];
  assert.deepEqual([...newestLogs(paths)], ["00000500.BIN"]);
  assert.deepEqual([...newestLogs(paths, 2)], ["00000002.BIN"]);
  assert.deepEqual([...newestLogs(paths.reverse(), 2)], ["00000002.BIN"]);
  // Its file is gone: the highest is all that is known.
  assert.deepEqual([...newestLogs(paths, 77)], ["00000500.BIN"]);
});

Deno.test("newestDirectories() counts sessions as numbers", () => {
  assert.deepEqual(newestDirectories(["2026-11-21", "2026-02-30", "sess9", "sess010", "other"]), [
    "2026-11-21",
    "sess010",
  ]);
  assert.deepEqual(newestDirectories([]), []);
});

Deno.test("parseLastLog() reads the leading digits alone: the file is written over and never cut", () => {
  assert.deepEqual(["12\r\n", "12\r\n7\r\n", "12D\r\n", " 3", ""].map(parseLastLog), [12, 12, 12, 3, undefined]);
});

Deno.test("isLogName() knows each stack's logs, and nothing else", () => {
  const logs = ["2026-11-21/09_14_07.ulg", "2026-11-21/09_14_07.ulgc", "sess001/log100.ulg", "00000012.BIN", "3.bin"];
  for (const path of logs) assert.ok(isLogName(path), path);
  for (const path of ["LASTLOG.TXT", "bootlog.txt", "crash_dump.bin", "2026-11-21", "a/00000012.BIN"]) {
    assert.ok(!isLogName(path), path);
  }
});
