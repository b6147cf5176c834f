import assert from "node:assert/strict";
import { Bell } from "./signals.ts";

/** Whether a wait ends without anything else happening. */
async function ends(wait: Promise<void>): Promise<boolean> {
  let ended = false;
  wait.then(() => ended = true);
  await new Promise((resolve) => setTimeout(resolve, 0));
  return ended;
}

Deno.test("Bell.ring() wakes everyone who waits, once", async () => {
  const bell = new Bell();
  const waits = [bell.wait(), bell.wait(), bell.wait()];
  bell.ring();
  await Promise.all(waits);
  const abort = new AbortController();
  const next = bell.wait(abort.signal);
  assert.equal(await ends(next), false);
  abort.abort();
  await next;
});

Deno.test("Bell.ring() that nobody heard wakes the next one who comes, and rings only once", async () => {
  const bell = new Bell();
  bell.ring();
  bell.ring();
  assert.equal(await ends(bell.wait()), true);
  const abort = new AbortController();
  const second = bell.wait(abort.signal);
  assert.equal(await ends(second), false);
  abort.abort();
  await second;
});

Deno.test("Bell.wait() ends at its timeout, at an abort, and at once when it was aborted; no timer is left", async () => {
  const bell = new Bell();
  await bell.wait(undefined, 0);
  await bell.wait(undefined, -5);
  await bell.wait(AbortSignal.abort(), 1e12);
  const abort = new AbortController();
  const wait = bell.wait(abort.signal, 1e12);
  abort.abort();
  await wait;
  const rung = bell.wait(undefined, 1e12);
  bell.ring();
  await rung;
});

Deno.test("Bell.wait() that was aborted leaves a ring for the one who can use it", async () => {
  const bell = new Bell();
  bell.ring();
  await bell.wait(AbortSignal.abort());
  assert.equal(await ends(bell.wait(undefined, 1e6)), true);
});
