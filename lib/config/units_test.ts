import assert from "node:assert/strict";
import {
  formatDuration,
  formatRate,
  formatSize,
  formatWindow,
  parseDuration,
  parseRate,
  parseSize,
  parseWindow,
} from "./units.ts";

Deno.test("parseSize() reads powers of 1000 and of 1024, fractions, spaces, and bare bytes", () => {
  assert.equal(parseSize("2GiB"), 2 ** 31);
  assert.equal(parseSize("200MiB"), 200 * 2 ** 20);
  assert.equal(parseSize("1.5 MB"), 1_500_000);
  assert.equal(parseSize(" 1 kB "), 1000);
  assert.equal(parseSize("1KB"), 1000);
  assert.equal(parseSize("2gib"), 2 ** 31);
  assert.equal(parseSize("7"), 7);
  assert.equal(parseSize(7), 7);
  assert.equal(parseSize("0B"), 0);
  assert.equal(parseSize(0), 0);
});

Deno.test("parseSize() refuses what is no size and says what was expected", () => {
  for (const wrong of ["", "lots", "-1MB", "1e3", "GiB", "1,5MB", "1MiB/s", "9999999TiB", -1, 1.5, NaN, Infinity]) {
    assert.throws(() => parseSize(wrong), /^SyntaxError: Expected a size such as "200MiB", got /, String(wrong));
  }
  assert.throws(() => parseSize("2G"), /write "2GiB" \(powers of 1024\) or "2GB" \(powers of 1000\)/);
  assert.throws(() => parseSize("2k"), /write "2KiB" \(powers of 1024\) or "2kB" \(powers of 1000\)/);
  assert.throws(() => parseSize("2Mb"), /unit "Mb" is unknown/);
});

Deno.test("parseRate() reads bytes per second and refuses zero, which would move nothing", () => {
  assert.equal(parseRate("500KiB/s"), 512_000);
  assert.equal(parseRate("1MB"), 1_000_000);
  assert.equal(parseRate("1 MB / s"), 1_000_000);
  assert.equal(parseRate(1000), 1000);
  assert.throws(() => parseRate("0B/s"), /Expected a rate above zero, or null for no limit, got "0B\/s"/);
  assert.throws(() => parseRate("fast"), /Expected a rate such as "500KiB\/s", got "fast"/);
});

Deno.test("parseDuration() reads joined units and bare seconds", () => {
  assert.equal(parseDuration("10s"), 10_000);
  assert.equal(parseDuration("5m"), 300_000);
  assert.equal(parseDuration("1h30m"), 5_400_000);
  assert.equal(parseDuration("1h 30m"), 5_400_000);
  assert.equal(parseDuration("2d"), 172_800_000);
  assert.equal(parseDuration("250ms"), 250);
  assert.equal(parseDuration("1s500ms"), 1500);
  assert.equal(parseDuration("1.5h"), 5_400_000);
  assert.equal(parseDuration("0s"), 0);
  assert.equal(parseDuration(0), 0);
  assert.equal(parseDuration(0.5), 500);
  assert.equal(parseDuration("3"), 3000);
});

Deno.test("parseDuration() refuses what is no duration and says what was expected", () => {
  for (const wrong of ["", "soon", "-5s", "5 parsecs", "s", "10s5m", "5s5s", "4000d", -1, NaN, Infinity]) {
    assert.throws(() => parseDuration(wrong), /^SyntaxError: Expected a duration such as "10s"/, String(wrong));
  }
  assert.throws(() => parseDuration("5min"), /unit "min" is unknown, the units are d, h, m, s and ms/);
});

Deno.test("parseDuration() takes linear time for a hostile text", () => {
  assert.throws(() => parseDuration("1".repeat(100_000)), SyntaxError);
  assert.throws(() => parseDuration("1s".repeat(50_000) + "!"), SyntaxError);
});

Deno.test("parseWindow() reads a window that crosses midnight", () => {
  assert.deepEqual(parseWindow("22:00-06:00"), { fromMinute: 1320, toMinute: 360 });
  assert.deepEqual(parseWindow("0:00 - 24:00"), { fromMinute: 0, toMinute: 1440 });
  for (const wrong of ["22-6", "25:00-06:00", "22:60-06:00", "22:00-24:01", "night"]) {
    assert.throws(() => parseWindow(wrong), /Expected a window of local time such as "22:00-06:00"/, wrong);
  }
  assert.throws(() => parseWindow("06:00-06:00"), /it is empty/);
});

Deno.test("format functions give texts that parse back to the same value", () => {
  for (const bytes of [0, 1, 999, 1000, 1024, 1_500_000, 2 ** 31, 2 ** 40 + 1]) {
    assert.equal(parseSize(formatSize(bytes)), bytes);
  }
  for (const ms of [0, 1, 250, 1500, 90_000, 5_400_000, 90_061_001]) {
    assert.equal(parseDuration(formatDuration(ms)), ms);
  }
  assert.equal(formatSize(2 ** 31), "2GiB");
  assert.equal(formatRate(512_000), "500KiB/s");
  assert.equal(formatDuration(5_400_000), "1h30m");
  assert.equal(formatWindow(parseWindow("22:00-06:05")), "22:00-06:05");
});
