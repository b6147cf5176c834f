import assert from "node:assert/strict";
import { Ticker } from "./ticker.ts";

Deno.test("Ticker calls all that look again and again, and none that has stopped", async () => {
  const ticker = new Ticker(1);
  let stopped = 0;
  const stopFirst = ticker.add(() => stopped++);
  let ticks = 0;
  await new Promise<void>((resolve) => {
    const stop = ticker.add(() => {
      if (++ticks === 2) stopFirst();
      if (ticks < 4) return;
      stop();
      resolve();
    });
  });
  // No timer is left: Deno's own checks of a test see to that.
  assert.deepEqual([stopped, ticks], [2, 4]);
  await new Promise<void>((resolve) => {
    const stop = ticker.add(() => resolve(stop()));
  });
});
