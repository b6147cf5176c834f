import assert from "node:assert/strict";
import { DriverError, type ErrorCode, type Turn } from "../driver/mod.ts";
import { death } from "../../tests/support/fake_device.ts";
import { GateBed, settle } from "./_gate_bed.ts";
import { TurnPool } from "./turns.ts";

Deno.test("turn() gives as many turns as the device takes calls, and the next when one ends", async () => {
  using bed = new GateBed();
  bed.device.can = { callsMax: 2 };
  const [first, second] = [await bed.turn(), await bed.turn()];
  let third: Turn | undefined;
  const waiting = bed.turn().then((turn) => third = turn);
  await settle();
  assert.equal(third, undefined);
  first.end();
  first.end();
  await waiting;
  assert.equal(bed.gate.active, 2, "ending twice frees one turn");
  second.end();
  third!.end();
  assert.equal(bed.gate.active, 0);
  assert.equal(bed.device.count("capabilities"), 1);
});

Deno.test("prepare() starts the plugin once, and touches no device", async () => {
  using bed = new GateBed("target");
  bed.gate.prepare();
  bed.gate.prepare();
  await settle();
  bed.gate.prepare();
  await settle();
  assert.deepEqual(bed.device.calls, ["capabilities "]);
  (await bed.gate.turn("a", { signal: new AbortController().signal })).end();
  assert.deepEqual(bed.device.calls, ["capabilities "]);
});

Deno.test("end() starts back-off anew for a link that breaks after it has carried something", async () => {
  using bed = new GateBed();
  const broken = new DriverError("unavailable", "Link is gone");
  const waitAfter = async (hasProgressed: boolean) => {
    (await bed.turn()).end(broken, hasProgressed);
    const waitMs = bed.clock.nextMs!;
    await bed.clock.pass(waitMs);
    return waitMs;
  };
  for (let n = 0; n < 6; n++) assert.ok(await waitAfter(true) < 1500);
  for (let n = 0; n < 6; n++) await waitAfter(false);
  assert.ok(await waitAfter(false) > 15_000);
  assert.ok(await waitAfter(true) < 1500);
});

Deno.test("turn() lets two jobs take turns, however many turns one of them asks for", async () => {
  using bed = new GateBed();
  bed.device.can = { callsMax: 1 };
  const served: string[] = [];
  const asks = ["greedy", "greedy", "greedy", "greedy", "modest", "modest"].map((user) =>
    bed.turn(user).then(async (turn) => {
      served.push(user);
      await settle();
      turn.end();
    })
  );
  await Promise.all(asks);
  assert.deepEqual(served.slice(0, 4).filter((user) => user === "modest").length, 2, served.join(" "));
});

Deno.test("turn() starves nobody when three jobs ask all the time", async () => {
  using bed = new GateBed();
  bed.device.can = { callsMax: 1 };
  const counts = new Map([["a", 0], ["b", 0], ["c", 0]]);
  const ends = new AbortController();
  const job = async (user: string) => {
    while (!ends.signal.aborted) {
      const turns = await Promise.all([bed.turn(user), bed.turn(user)].map((asked) =>
        asked.then((turn) => {
          counts.set(user, counts.get(user)! + 1);
          turn.end();
          if (counts.get(user)! >= 100) ends.abort();
        })
      ));
      assert.equal(turns.length, 2);
    }
  };
  await Promise.all([...counts.keys()].map(job));
  const least = Math.min(...counts.values());
  assert.ok(least >= 30, JSON.stringify([...counts]));
});

Deno.test("turn() follows callsMax as the device grows and shrinks", async () => {
  using bed = new GateBed();
  bed.device.can = { callsMax: 1 };
  const first = await bed.turn();
  const more = [bed.turn(), bed.turn()];
  await settle();
  assert.equal(bed.gate.active, 1);
  bed.device.say({ callsMax: 3 });
  const [second, third] = await Promise.all(more);
  assert.equal(bed.gate.active, 3);
  bed.device.say({ callsMax: 1 });
  const last = bed.turn();
  first.end();
  second!.end();
  await settle();
  assert.equal(bed.gate.active, 1, "two had to end before another may start");
  third!.end();
  (await last).end();
});

Deno.test("turn() runs alone what asks for it: it waits for the others and keeps them out", async () => {
  using bed = new GateBed();
  const first = await bed.turn("a");
  let alone: Turn | undefined;
  let after: Turn | undefined;
  const asked = [bed.turn("a", true).then((turn) => alone = turn), bed.turn("a").then((turn) => after = turn)];
  await settle();
  assert.deepEqual([alone, after], [undefined, undefined]);
  first.end();
  await settle();
  assert.ok(alone !== undefined && after === undefined);
  assert.equal(alone.alone, true);
  alone.end();
  await Promise.all(asked);
  after!.end();
});

Deno.test("turn() tells every call of a dead plugin that it was not alone", async () => {
  using bed = new GateBed();
  const turns = [await bed.turn(), await bed.turn(), await bed.turn()];
  for (const turn of turns) turn.end(death("SIGSEGV", false));
  assert.deepEqual(turns.map((turn) => turn.alone), [false, false, false]);
  await bed.clock.pass(60_000);
  const single = await bed.turn("job1", true);
  single.end(death("SIGSEGV", false));
  assert.equal(single.alone, true);
});

Deno.test("turn() rejects when it is aborted, before and while it waits, and leaves no trace", async () => {
  using bed = new GateBed();
  bed.device.can = { callsMax: 1 };
  await assert.rejects(bed.turn("a", false, AbortSignal.abort()), { name: "AbortError" });
  const first = await bed.turn();
  const abort = new AbortController();
  const waiting = bed.turn("a", false, abort.signal);
  abort.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  first.end();
  assert.equal(await bed.gets(), true);
});

Deno.test("DeviceGate holds its queue while the device is away and opens after stat of the root works", async () => {
  using bed = new GateBed();
  (await bed.turn()).end(new DriverError("unavailable", "No route"));
  assert.equal(bed.gate.isOpen, false);
  let got = false;
  const waiting = bed.turn().then((turn) => {
    got = true;
    turn.end();
  });
  bed.device.script = ({ method }) => {
    if (method === "stat") throw new DriverError("unavailable", "Still no route");
  };
  for (let n = 0; n < 10; n++) await bed.clock.pass(60_000);
  assert.equal(got, false);
  assert.ok(bed.device.count("stat") >= 10);
  assert.ok(bed.clock.nextMs! <= 40_000, "it is asked for at least every 30 s and jitter");
  bed.device.script = () => {};
  await bed.clock.pass(60_000);
  await waiting;
  assert.deepEqual(bed.words, ["unavailable", "available"], "one event per transition");
  assert.deepEqual(bed.records.length, 2);
  assert.equal(bed.clock.pending, 0);
});

Deno.test("DeviceGate tries a plugin again that cannot even say what it can do", async () => {
  using bed = new GateBed();
  bed.device.script = ({ method, nth }) => {
    if (method === "capabilities" && nth < 3) throw death(null as never, false);
  };
  const waiting = bed.turn();
  for (let n = 0; n < 6; n++) await bed.clock.pass(60_000);
  (await waiting).end();
  assert.deepEqual(bed.words, ["broken", "available"]);
});

const errors: [ErrorCode, number, number][] = [
  ["unavailable", 500, 2000],
  ["broken", 500, 2000],
  ["held", 30_000, 30_000],
  ["denied", 45 * 60_000, 75 * 60_000],
  ["invalid_config", 24 * 3600_000, Infinity],
  ["unsupported", 24 * 3600_000, Infinity],
];
for (const [code, fromMs, toMs] of errors) {
  Deno.test(`DeviceGate closes at "${code}" and looks again when the contract says`, async () => {
    using bed = new GateBed();
    (await bed.turn()).end(new DriverError(code, "Words", { hint: "Do this" }));
    const next = bed.clock.nextMs!;
    assert.ok(next >= fromMs && next <= toMs, `${next} ms`);
    assert.deepEqual(bed.gate.closed, { code, reason: "Words", hint: "Do this" });
    assert.equal(await bed.gets(), false);
    assert.equal(bed.events.length, 1);
    assert.equal(bed.events[0]!.available, code === "held");
  });
}

for (const code of ["not_found", "changed", "corrupt", "rejected", "failed", "uncertain", "cancelled"] as ErrorCode[]) {
  Deno.test(`DeviceGate stays open at "${code}", which speaks of a file`, async () => {
    using bed = new GateBed();
    (await bed.turn()).end(new DriverError(code, "Words"));
    assert.equal(await bed.gets(), true);
    assert.deepEqual(bed.events, []);
  });
}

Deno.test('DeviceGate stays open at "denied" with the scope of a file', async () => {
  using bed = new GateBed();
  (await bed.turn()).end(new DriverError("denied", "Words", { scope: "file" }));
  assert.equal(await bed.gets(), true);
});

Deno.test('DeviceGate rests a full target, and leaves a source open whose "no_space" is the spool', async () => {
  using target = new GateBed("target");
  (await target.turn()).end(new DriverError("no_space", "552"));
  assert.equal(await target.gets(), false);
  await target.clock.pass(30_000);
  assert.equal(await target.gets(), true);
  using source = new GateBed("source");
  (await source.turn()).end(new DriverError("no_space", "Spool"));
  assert.equal(await source.gets(), true);
});

Deno.test("DeviceGate takes what many calls under way fail of for one failure", async () => {
  using bed = new GateBed("target");
  bed.device.can.callsMax = 32;
  const turns = await Promise.all(Array.from({ length: 32 }, () => bed.turn()));
  for (const turn of turns) turn.end(new DriverError("no_space", "552"));
  await bed.clock.pass(30_000);
  assert.equal(await bed.gets(), true, "the second look would come after ten minutes");
});

Deno.test("DeviceGate tells of a full target once, and of its room when an upload has shown it", async () => {
  using bed = new GateBed("target");
  for (let n = 0; n < 5; n++) {
    (await bed.turn()).end(new DriverError("no_space", "552"));
    await bed.clock.pass(3600_000);
  }
  assert.deepEqual(bed.events.map(({ available }) => available), [false]);
  (await bed.turn()).end();
  assert.deepEqual(bed.events.map(({ available }) => available), [false, true]);
});

Deno.test("DeviceGate tells a handful of times a day of a target that answers and fails in use", async () => {
  using bed = new GateBed("target");
  const failure = new DriverError("unavailable", "Data connection is refused");
  let tries = 0;
  for (let passedMs = 0; passedMs < 24 * 3600_000;) {
    (await bed.turn()).end(failure);
    tries++;
    const waitMs = bed.clock.nextMs!;
    await bed.clock.pass(waitMs);
    passedMs += waitMs;
  }
  assert.ok(tries > 2000, `${tries} tries: it is not given up`);
  assert.deepEqual(bed.words, ["unavailable", "available", "unavailable", "available", "unavailable"]);
  (await bed.turn()).end();
  assert.equal(bed.words.at(-1), "available", "what is proven by use is told");
  (await bed.turn()).end(failure);
  await bed.clock.pass(bed.clock.nextMs!);
  assert.deepEqual(bed.words.slice(-2), ["unavailable", "available"], "and the count begins anew");
});

Deno.test("DeviceGate tells at once that a target is back that was away for long", async () => {
  using bed = new GateBed("target");
  (await bed.turn()).end(new DriverError("unavailable", "No route"));
  bed.device.script = () => {
    throw new DriverError("unavailable", "No route");
  };
  for (let n = 0; n < 20; n++) await bed.clock.pass(3600_000);
  bed.device.script = () => {};
  await bed.clock.pass(3600_000);
  assert.deepEqual(bed.words, ["unavailable", "available"]);
});

Deno.test("DeviceGate is silent after stop(): no timer, no call, no turn", async () => {
  const bed = new GateBed();
  const running = await bed.turn();
  bed.gate.stop();
  bed.device.say({ held: true });
  bed.device.say({ available: false });
  running.end(new DriverError("unavailable", "x"));
  assert.equal(bed.clock.pending, 0);
  assert.deepEqual(bed.events, []);
  bed[Symbol.dispose]();
});

Deno.test("turn() of a plugin that cannot be started closes the device, whatever it calls the failure", async () => {
  for (const code of ["failed", "not_found", "changed", "corrupt", "rejected", "uncertain"] as const) {
    using bed = new GateBed();
    bed.device.script = ({ method }) => {
      if (method === "capabilities") throw new DriverError(code, "Not today");
    };
    assert.equal(await bed.gets(), false);
    assert.deepEqual([bed.words, bed.gate.closed?.code, bed.gate.closed?.reason], [["broken"], "broken", "Not today"]);
    assert.ok((bed.clock.nextMs ?? Infinity) <= 2000, "it is looked for again");
  }
});

Deno.test("the two roles of an exclusive device close and open together, and are refused one by one", async () => {
  const turns = new TurnPool();
  using source = new GateBed("source", turns);
  using target = new GateBed("target", turns);
  for (const bed of [source, target]) bed.device.can = { callsMax: 2 };
  (await source.turn()).end();
  (await target.turn()).end();
  (await source.turn()).end(new DriverError("unavailable", "Unplugged"));
  assert.deepEqual([source.words, target.words], [["unavailable"], ["unavailable"]]);
  assert.equal(await target.gets(), false);
  await source.clock.pass(2000);
  await settle();
  assert.deepEqual([source.words.at(-1), target.words.at(-1)], ["available", "available"]);
  (await target.turn()).end(new DriverError("denied", "Read-only"));
  assert.deepEqual([source.gate.isOpen, target.gate.isOpen], [true, false]);
  assert.ok(await source.gets());
});
