import assert from "node:assert/strict";
import { formatWindows, isInWindow } from "./window.ts";

const at = (hours: number, minutes = 0) => new Date(2026, 5, 1, hours, minutes);

Deno.test("isInWindow() without windows is always true", () => {
  assert.equal(isInWindow([], at(3)), true);
});

Deno.test("isInWindow() counts from the first minute to before the last", () => {
  const windows = [{ fromMinute: 9 * 60, toMinute: 17 * 60 }];
  assert.deepEqual([at(8, 59), at(9), at(16, 59), at(17)].map((date) => isInWindow(windows, date)), [
    false,
    true,
    true,
    false,
  ]);
});

Deno.test("isInWindow() crosses midnight", () => {
  const windows = [{ fromMinute: 22 * 60, toMinute: 6 * 60 }];
  assert.deepEqual([at(21, 59), at(22), at(0), at(5, 59), at(6), at(12)].map((date) => isInWindow(windows, date)), [
    false,
    true,
    true,
    true,
    false,
    false,
  ]);
  assert.equal(formatWindows(windows), "22:00-06:00");
});
