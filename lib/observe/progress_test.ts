import assert from "node:assert/strict";
import type { EventBody, FilesyncEvent } from "./events.ts";
import { etaMs, Progress, Rate } from "./progress.ts";

const at = (body: EventBody) => ({ ...body, time: "2026-11-23T10:00:00Z" }) as FilesyncEvent;
const moved = (path: string, doneBytes: number, sizeBytes: number, target?: string) =>
  at({ event: "progress", job: "logs", path, sizeBytes, doneBytes, ...(target === undefined ? {} : { target }) });

Deno.test("Rate comes to a steady speed at once and follows a change within seconds", () => {
  const rate = new Rate();
  rate.add(0, 0);
  for (let ms = 200; ms <= 2000; ms += 200) rate.add(200, ms);
  assert.ok(Math.abs(rate.at(2000) - 1000) < 1, String(rate.at(2000)));
  for (let ms = 2200; ms <= 17_000; ms += 200) rate.add(1000, ms);
  assert.ok(rate.at(17_000) > 4500, String(rate.at(17_000)));
});

Deno.test("Rate fades when nothing comes", () => {
  const rate = new Rate();
  rate.add(0, 0);
  rate.add(1000, 1000);
  assert.equal(rate.at(2000), rate.at(1000));
  assert.ok(rate.at(30_000) < 10);
});

Deno.test("Rate takes bursts of one moment as one sample", () => {
  const rate = new Rate();
  rate.add(0, 0);
  for (let n = 0; n < 100; n++) rate.add(10, 1000 + n / 100);
  assert.ok(rate.at(1001) < 1100, String(rate.at(1001)));
});

Deno.test("Progress shows a file from its first sign of life to its end", () => {
  const progress = new Progress(new Map([["logs", 2]]));
  progress.apply(at({ event: "found", job: "logs", path: "a", generation: 1 }), 0);
  assert.equal(progress.totals.waiting, 2);
  progress.apply(moved("a", 10, 1000), 0);
  assert.equal(progress.isMoving, true);
  progress.apply(
    at({ event: "downloaded", job: "logs", path: "a", sizeBytes: 1000, sha256: "", resumedBytes: 0 }),
    500,
  );
  assert.equal(progress.isMoving, false);
  progress.apply(moved("a", 500, 1000, "nas"), 600);
  progress.apply(moved("a", 100, 1000, "web"), 600);
  assert.deepEqual(progress.moving(700).map((file) => file.target), ["nas", "web"]);
  const receipt = { path: "a", sizeBytes: 1000, verified: "size" as const };
  progress.apply(at({ event: "delivered", job: "logs", path: "a", target: "nas", receipt }), 700);
  progress.apply(at({ event: "parked", job: "logs", path: "a", target: "web", reason: "no", code: "rejected" }), 700);
  assert.equal(progress.isMoving, false);
  assert.deepEqual(
    [progress.totals.waiting, progress.totals.delivered, progress.totals.parked, progress.totals.deliveredBytes],
    [0, 1, 1, 1000],
  );
});

Deno.test("Progress counts no bytes of an earlier attempt as moved now", () => {
  const progress = new Progress();
  progress.apply(moved("a", 900_000, 1_000_000), 0);
  progress.apply(moved("a", 901_000, 1_000_000), 1000);
  assert.ok(Math.abs(progress.rate.at(1000) - 1000) < 1);
  assert.ok(Math.abs(progress.moving(1000)[0]!.rate.at(1000) - 1000) < 1);
});

Deno.test("Progress never waits for less than nothing when files of earlier runs are delivered", () => {
  const progress = new Progress();
  const receipt = { path: "old", sizeBytes: 1, verified: "size" as const };
  progress.apply(at({ event: "delivered", job: "logs", path: "old", target: "nas", receipt }), 0);
  assert.equal(progress.totals.waiting, 0);
});

Deno.test("Progress forgets a file that gives no sign of life any more", () => {
  const progress = new Progress();
  progress.apply(moved("a", 1, 1000), 0);
  assert.equal(progress.moving(60_000).length, 1);
  assert.equal(progress.moving(66_000).length, 0);
});

Deno.test("etaMs() says nothing before it can know, nor of what never ends", () => {
  const progress = new Progress();
  progress.apply(moved("a", 0, 10_000), 0);
  progress.apply(moved("a", 1000, 10_000), 1000);
  const [file] = progress.moving(1000);
  assert.equal(etaMs(file!, 1000), undefined);
  progress.apply(moved("a", 2000, 10_000), 2000);
  assert.ok(Math.abs(etaMs(file!, 2000)! - 8000) < 10);
  progress.apply(moved("a", 10_000, 10_000), 3000);
  assert.equal(etaMs(file!, 3000), undefined);
});
