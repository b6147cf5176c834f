import assert from "node:assert/strict";
import { DRIVES, hasDrives, LoopDrive, tool } from "../../tests/support/loop_drive.ts";
import { testNeeding } from "../../tests/support/needs.ts";
import { look } from "./libc.ts";
import { SystemEvents } from "./system_events.ts";
import { CALM_MS, Watch } from "./watch.ts";

// Loads the C library, which stays, before a test could be blamed for it.
look("/");

/** Longer than any test lasts. */
const FOR_EVER_MS = 600_000;

testNeeding(DRIVES, "SystemEvents tells of a drive that is plugged in and of one that is pulled", async () => {
  const base = await Deno.makeTempDir({ prefix: "filesync-watch-" });
  await using drive = await LoopDrive.make(base, { sizeMib: 8 });
  for (const act of [() => drive.plugIn(), () => drive.detach()]) {
    // Made anew: nothing of what happened before is told.
    const events = SystemEvents.open()!;
    const told = events.next(FOR_EVER_MS);
    await act();
    assert.equal(await told, true);
    await events.close();
  }
  await Deno.remove(base, { recursive: true });
}, hasDrives());

testNeeding(DRIVES, "SystemEvents tells of what is mounted and unmounted", async () => {
  const dir = await Deno.makeTempDir({ prefix: "filesync-watch-" });
  for (const act of [() => tool("mount", "-t", "tmpfs", "none", dir), () => tool("umount", dir)]) {
    const events = SystemEvents.open()!;
    const told = events.next(FOR_EVER_MS);
    await act();
    assert.equal(await told, true);
    await events.close();
  }
  await Deno.remove(dir);
}, hasDrives());

testNeeding(DRIVES, "SystemEvents ends a wait when it is closed, and when its time is over", async () => {
  const events = SystemEvents.open()!;
  // Others may plug and mount meanwhile.
  while (await events.next(1));
  const told = (async () => {
    while (await events.next(FOR_EVER_MS));
  })();
  await events.close();
  await told;
  assert.equal(await events.next(FOR_EVER_MS), false);
}, hasDrives());

/** What a system tells: each of `answers`, then nothing until it is closed. */
class Told {
  readonly waitsMs: number[] = [];
  readonly #answers: boolean[];
  #end = () => {};

  constructor(answers: boolean[]) {
    this.#answers = answers;
  }

  async next(waitMs: number): Promise<boolean> {
    this.waitsMs.push(waitMs);
    const answer = this.#answers.shift();
    if (answer !== undefined) return answer;
    await new Promise<void>((resolve) => this.#end = resolve);
    return false;
  }

  close(): Promise<void> {
    this.#end();
    return Promise.resolve();
  }
}

/** Resolves when `count` looks were taken. */
async function looks(count: number, events: Told | undefined): Promise<void> {
  let seen = 0;
  let done = () => {};
  const enough = new Promise<void>((resolve) => done = resolve);
  const watch = new Watch(() => {
    if (++seen === count) done();
    return Promise.resolve();
  }, { events });
  await enough;
  await watch.close();
}

Deno.test("Watch looks at its start, when something is told, and while links and partitions may follow", async () => {
  const events = new Told([true, false, true]);
  await looks(4, events);
  assert.ok(events.waitsMs.length >= 3);
  assert.ok(events.waitsMs.every((waitMs) => waitMs < CALM_MS), events.waitsMs.join());
});

Deno.test("Watch looks again by itself where the system tells nothing", async () => {
  await looks(2, undefined);
});
