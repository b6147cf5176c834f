import assert from "node:assert/strict";
import { join } from "node:path";
import { keptLog } from "../../tests/support/engine_bed.ts";
import { Store } from "../state/mod.ts";
import { WallClock } from "./wall_clock.ts";

/** Never open at the times below, which are all noon UTC or later in whatever zone: open for one minute only. */
const CLOSED = [{ fromMinute: 61, toMinute: 62 }];
const DAY_MS = 24 * 60 * 60 * 1000;

Deno.test("WallClock.isInWindow() ignores windows while the date is known to be wrong, and tells it once", async () => {
  const dir = await Deno.makeTempDir({ prefix: "filesync-clock-" });
  try {
    let nowMs = Date.UTC(1971, 1, 3, 12);
    let isSynchronised = false;
    const seams = { nowMs: () => nowMs, isSynchronised: () => isSynchronised };
    const log = keptLog();
    {
      using store = new Store(join(dir, "state.db"));
      const clock = new WallClock(store, log, seams);
      assert.equal(clock.isInWindow([]), true);
      assert.deepEqual([clock.isInWindow(CLOSED), clock.isInWindow(CLOSED)], [true, true]);
      assert.deepEqual(log.lines, [
        "warning: Clock says 1971-02-03 12:00 UTC, which is past: windows are ignored until it is right",
      ]);
      [nowMs, isSynchronised] = [Date.UTC(2027, 4, 5, 12), true];
      assert.equal(clock.isInWindow(CLOSED), false);
      assert.match(log.lines[1]!, /^info: Clock says 2027-05-05 12:00 UTC now: windows count again/);
    }
    // After the next start: the date is younger than the program, and older than what was right once.
    using store = new Store(join(dir, "state.db"));
    [nowMs, isSynchronised] = [Date.UTC(2027, 4, 5, 12) - 30 * DAY_MS, false];
    const clock = new WallClock(store, log, seams);
    assert.equal(clock.isInWindow(CLOSED), true);
    // The network says that this is the time after all: what was right once was not.
    isSynchronised = true;
    assert.equal(clock.isInWindow(CLOSED), false);
    isSynchronised = false;
    assert.equal(clock.isInWindow(CLOSED), false);
    nowMs -= DAY_MS;
    assert.equal(clock.isInWindow(CLOSED), true);
    // A date of the future that nobody has confirmed is believed, and spoils nothing.
    nowMs = Date.UTC(2041, 0, 1, 12);
    assert.equal(clock.isInWindow(CLOSED), false);
    nowMs = Date.UTC(2027, 4, 5, 12);
    assert.equal(clock.isInWindow(CLOSED), false);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
