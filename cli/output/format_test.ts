import assert from "node:assert/strict";
import { count, formatBytes, formatDuration, formatEta, formatRate, formatShare } from "./format.ts";

Deno.test("formatBytes() shows three digits in IEC units", () => {
  const cases: [number, string][] = [
    [0, "0 B"],
    [999, "999 B"],
    [1023, "1023 B"],
    [1024, "1.00 KiB"],
    [1536, "1.50 KiB"],
    [10_240, "10.0 KiB"],
    [102_400, "100 KiB"],
    [1024 * 1023.4, "1023 KiB"],
    [1024 * 1023.6, "1.00 MiB"],
    [13_002_342, "12.4 MiB"],
    [5 * 1024 ** 3, "5.00 GiB"],
    [Number.MAX_SAFE_INTEGER, "8.00 PiB"],
  ];
  for (const [bytes, words] of cases) assert.equal(formatBytes(bytes), words, String(bytes));
});

Deno.test("formatBytes(), formatShare() and formatRate() keep to their widths", () => {
  for (let bytes = 1; bytes < 2 ** 60; bytes = Math.ceil(bytes * 1.37)) {
    assert.ok(formatBytes(bytes).length <= 8, formatBytes(bytes));
    assert.ok(formatRate(bytes).length <= 10, formatRate(bytes));
    assert.ok(formatShare(bytes, bytes).length <= 13, formatShare(bytes, bytes));
    assert.ok(formatShare(bytes / 3, bytes).length <= 13, formatShare(bytes / 3, bytes));
  }
});

Deno.test("formatShare() uses the unit of the whole", () => {
  assert.equal(formatShare(0, 47_815_066), "0.00/45.6 MiB");
  assert.equal(formatShare(12_897_485, 47_815_066), "12.3/45.6 MiB");
  assert.equal(formatShare(512, undefined), "512 B");
  assert.equal(formatShare(0, 0), "0/0 B");
});

Deno.test("formatEta() is a clock of at most seven columns", () => {
  const cases: [number, string][] = [
    [0, "0:00"],
    [6400, "0:07"],
    [754_000, "12:34"],
    [3_723_000, "1:02:03"],
    [183_600_000, "2d 3h"],
    [1e13, ">99 d"],
  ];
  for (const [ms, words] of cases) assert.equal(formatEta(ms), words);
});

Deno.test("formatDuration() uses two units at most", () => {
  const cases: [number, string][] = [
    [0, "0 ms"],
    [999.4, "999 ms"],
    [999.6, "1.0 s"],
    [4200, "4.2 s"],
    [59_949, "59.9 s"],
    [59_951, "1 min"],
    [200_000, "3 min 20 s"],
    [18_720_000, "5 h 12 min"],
    [273_600_000, "3 d 4 h"],
  ];
  for (const [ms, words] of cases) assert.equal(formatDuration(ms), words);
});

Deno.test("count() agrees in number", () => {
  assert.equal(count(0, "file"), "0 files");
  assert.equal(count(1, "file"), "1 file");
  assert.equal(count(2, "delivery", "deliveries"), "2 deliveries");
});
