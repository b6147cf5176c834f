import assert from "node:assert/strict";
import { DriverError, type Turn } from "../driver/mod.ts";
import { GateBed, settle } from "./_gate_bed.ts";

Deno.test("DeviceGate waits as long as the driver asks, but not for ever", async () => {
  using bed = new GateBed();
  (await bed.turn()).end(new DriverError("held", "Busy", { retryAfterMs: 5000 }));
  assert.equal(bed.clock.nextMs, 5000);
});

Deno.test("DeviceGate asks ever less often a device that says to ask at once, looks well, and is held all the same", async () => {
  using bed = new GateBed();
  const waitsMs: number[] = [];
  for (let n = 0; n < 8; n++) {
    (await bed.turn()).end(new DriverError("held", "Busy", { retryAfterMs: 0 }));
    waitsMs.push(bed.clock.nextMs!);
    await bed.clock.pass(waitsMs.at(-1)!);
  }
  assert.ok(waitsMs[0]! >= 500, `${waitsMs}`);
  assert.ok(waitsMs.at(-1)! >= 10_000, `${waitsMs}`);
});

Deno.test("DeviceGate is held by $/state until $/state ends it", async () => {
  using bed = new GateBed();
  (await bed.turn()).end();
  bed.device.say({ held: true, reason: "Armed" });
  assert.equal(await bed.gets(), false);
  for (let n = 0; n < 10; n++) await bed.clock.pass(3600_000);
  assert.equal(bed.device.count("stat"), 0, "an armed vehicle is not asked anything");
  bed.device.say({ held: false });
  assert.equal(await bed.gets(), true);
  assert.deepEqual(bed.words, ["held", "available"]);
});

Deno.test("DeviceGate stays held while other news arrive", async (t) => {
  const news: [string, (bed: GateBed, running: Turn) => void | Promise<void>][] = [
    ["the link is back", (bed) => bed.device.say({ available: true })],
    ["the link is away and back", (bed) => {
      bed.device.say({ available: false });
      bed.device.say({ available: true });
    }],
    ["a call under way fails", async (bed, running) => {
      running.end(new DriverError("unavailable", "Session ended"));
      await bed.clock.pass(120_000);
    }],
    ["a call under way fails as held", async (bed, running) => {
      running.end(new DriverError("held", "Session ended", { retryAfterMs: 10 }));
      await bed.clock.pass(120_000);
    }],
    ["more calls are allowed", (bed) => bed.device.say({ callsMax: 8 })],
  ];
  for (const [name, happen] of news) {
    await t.step(name, async () => {
      using bed = new GateBed();
      const running = await bed.turn();
      bed.device.say({ held: true, reason: "Armed" });
      await happen(bed, running);
      assert.equal(await bed.gets(), false);
      assert.equal(bed.device.count("stat"), 0);
      running.end();
      bed.device.say({ held: false });
      await bed.clock.pass(120_000);
      assert.equal(await bed.gets(), true);
    });
  }
});

Deno.test("DeviceGate stays held when it was just being asked whether it is there", async () => {
  using bed = new GateBed();
  (await bed.turn()).end(new DriverError("unavailable", "Away"));
  const answer = Promise.withResolvers<void>();
  bed.device.script = ({ method }) => method === "stat" ? answer.promise : undefined;
  await bed.clock.pass(60_000);
  bed.device.say({ held: true, reason: "Armed" });
  answer.resolve();
  await settle();
  assert.equal(await bed.gets(), false);
});

Deno.test("DeviceGate opens when the plugin that held it has died", async () => {
  using bed = new GateBed();
  (await bed.turn()).end();
  bed.device.say({ held: true, reason: "Armed" });
  // What the host says when such a plugin has died: ask again.
  bed.device.say({ available: true, held: false });
  assert.equal(await bed.gets(), true);
});

Deno.test("DeviceGate closes while $/state says that the device is away", async () => {
  using bed = new GateBed();
  (await bed.turn()).end();
  bed.device.say({ available: false, reason: "Unplugged" });
  assert.equal(await bed.gets(), false);
  bed.device.say({ available: true });
  assert.equal(await bed.gets(), true);
  assert.deepEqual(bed.words, ["unavailable", "available"]);
});
