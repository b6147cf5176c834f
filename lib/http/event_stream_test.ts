import assert from "node:assert/strict";
import { EventReader, PageBed } from "./_page_bed.ts";
import { EventRing } from "./event_ring.ts";

const found = (path: string) => ({ event: "found" as const, job: "logs", path, generation: 1 });
const pathOf = (data: string) => (JSON.parse(data) as { path: string }).path;

Deno.test("the event stream tells what sync --json tells, with the device and a number", async () => {
  await using bed = new PageBed();
  await using reader = await EventReader.open(bed.port);
  assert.equal((await reader.next()).type, "reset");
  bed.events.emit(found("a.ulg"));
  const receipt = { path: "a.ulg", sizeBytes: 3, verified: "size" as const };
  bed.events.emit({ event: "delivered", job: "logs", path: "a.ulg", target: "nas", receipt });
  const first = JSON.parse((await reader.next()).data);
  assert.deepEqual({ ...first, time: "" }, { schema: 1, ...found("a.ulg"), time: "", device: "drone1" });
  assert.equal(JSON.parse((await reader.next()).data).device, "hangar");
});

Deno.test("the event stream loses nothing and repeats nothing over reconnects", async () => {
  await using bed = new PageBed();
  const seen: string[] = [];
  let lastId: string | undefined;
  let sent = 0;
  for (let round = 0; round < 6; round++) {
    await using reader = await EventReader.open(bed.port, lastId);
    if (round === 0) lastId = (await reader.next()).id;
    for (let index = 0; index < 50; index++) bed.events.emit(found(`f${sent++}`));
    // Leaves in the middle, while more comes.
    while (seen.length < sent - 20) {
      const message = await reader.next();
      assert.equal(message.type, "message");
      seen.push(pathOf(message.data));
      lastId = message.id;
    }
    for (let index = 0; index < 7; index++) bed.events.emit(found(`f${sent++}`));
  }
  await using reader = await EventReader.open(bed.port, lastId);
  while (seen.length < sent) seen.push(pathOf((await reader.next()).data));
  assert.deepEqual(seen, Array.from({ length: sent }, (_, index) => `f${index}`));
});

Deno.test("who was away for too long, or knows another run, is told to look anew", async () => {
  await using bed = new PageBed();
  let id: string;
  {
    await using reader = await EventReader.open(bed.port);
    await reader.next();
    bed.events.emit(found("first"));
    id = (await reader.next()).id;
  }
  for (let index = 0; index < 12_000; index++) bed.events.emit(found(`f${index}`));
  for (const lastId of [id, "00000000-5", "nonsense", `${id.split("-")[0]}-999999`]) {
    await using reader = await EventReader.open(bed.port, lastId);
    const reset = await reader.next();
    assert.equal(reset.type, "reset", lastId);
    bed.events.emit(found("after"));
    assert.equal(pathOf((await reader.next()).data), "after");
  }
});

Deno.test("the event stream tells what moves, not each step of it", async () => {
  await using bed = new PageBed();
  await using reader = await EventReader.open(bed.port);
  await reader.next();
  for (let done = 0; done <= 1000; done++) {
    bed.events.emit({ event: "progress", job: "logs", path: "a", target: "nas", doneBytes: done, sizeBytes: 1000 });
  }
  let message = await reader.next([]);
  while (message.data === "[]") message = await reader.next([]);
  assert.equal(message.type, "moving");
  const [file] = JSON.parse(message.data);
  assert.deepEqual(
    { ...file, silentMs: 0 },
    { job: "logs", path: "a", target: "nas", device: "hangar", doneBytes: 1000, sizeBytes: 1000, silentMs: 0 },
  );
  bed.events.emit(found("b"));
  assert.equal(pathOf((await reader.next()).data), "b");
});

Deno.test("so many may watch and no more, and who leaves makes room", async () => {
  await using bed = new PageBed();
  const readers = await Promise.all(Array.from({ length: 32 }, () => EventReader.open(bed.port)));
  assert.deepEqual(readers.map(({ status }) => status), Array(32).fill(200));
  const late = await EventReader.open(bed.port);
  assert.equal(late.status, 503);
  await late[Symbol.asyncDispose]();
  await Promise.all(readers.map((reader) => reader[Symbol.asyncDispose]()));
  // The server notices that a reader left when it next has something to say.
  bed.events.emit(found("a"));
  for (let tries = 0;; tries++) {
    await using again = await EventReader.open(bed.port);
    if (again.status === 200) break;
    assert.ok(tries < 100, "No room was made");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});

Deno.test("EventRing keeps the newest within its bounds", () => {
  const ring = new EventRing();
  assert.deepEqual(ring.after(0, 10), []);
  assert.equal(ring.after(1, 10), undefined);
  for (let index = 1; index <= 25_000; index++) ring.push(`e${index}`);
  assert.equal(ring.newest, 25_000);
  assert.equal(ring.after(10_000, 1), undefined);
  assert.deepEqual(ring.after(24_998, 10), [{ number: 24_999, text: "e24999" }, { number: 25_000, text: "e25000" }]);
  const large = new EventRing();
  for (let index = 0; index < 100; index++) large.push("x".repeat(100_000));
  assert.equal(large.newest, 100);
  assert.equal(large.after(50, 1), undefined);
  assert.equal(large.after(95, 10)?.length, 5);
});
