/** How fast a log comes on links that lose packets, in the time of a clock that the tests move: figures that repeat. */
import assert from "node:assert/strict";
import { sampleCard } from "../../tests/support/autopilot/mod.ts";
import { Bed } from "../../tests/support/mavftp_bed.ts";

const SIZE = 700_000;

/** 500 kB/s, 20 ms there and back, `loss` of all packets either way. */
async function flight(loss: number, seed: number) {
  const files = sampleCard("px4-main", { count: 1, sizeBytes: SIZE });
  const way = { latencyMs: 10, loss };
  const link = { down: { ...way, bytesPerSecond: 500_000 }, up: way };
  const bed = new Bed({ personality: "px4-main", traffic: { attitude: 0, position: 0 }, files, seed, link });
  await bed.ready();
  return { bed, log: files.paths().find((path) => path.endsWith(".ulg"))! };
}

/** Goodput from the opening to the last data, kB/s, and what it took. */
async function fetched(loss: number, seed: number) {
  const { bed, log } = await flight(loss, seed);
  const { result } = await bed.fetch(log);
  const { requests, lastDataMs } = bed.core.vehicle.stats;
  const openedMs = requests.find(({ opcode }) => opcode === "OpenFileRO")!.atMs;
  const lost = bed.core.down.counts.lost + bed.core.up.counts.lost;
  return { kbps: SIZE / (lastDataMs! - openedMs), lost, ...result.counters };
}

for (const [loss, wanted] of [[0, 370], [0.01, 360], [0.05, 310], [0.1, 270]] as const) {
  Deno.test(`transfer() brings more than ${wanted} kB/s where ${loss * 100} % are lost each way`, async () => {
    const runs = await Promise.all([1, 2, 3, 4, 5].map((seed) => fetched(loss, seed)));
    const rates = runs.map(({ kbps }) => kbps).sort((a, b) => a - b);
    assert.ok(rates[2]! > wanted, rates.map(Math.round).join(", "));
  });
}

Deno.test("transfer() asks about once for each packet that is lost", async () => {
  const plain = await fetched(0, 1);
  for (const seed of [1, 2, 3]) {
    const { reads, bursts, lost } = await fetched(0.05, seed);
    const perLost = (reads + bursts - plain.reads - plain.bursts) / lost;
    assert.ok(perLost <= 1.2, `${perLost} requests`);
  }
});

Deno.test("transfer() waits for no way there and back between the bursts of PX4, and fetches little twice for it", async () => {
  const { bed, log } = await flight(0, 1);
  const { result } = await bed.fetch(log);
  const { requests } = bed.core.vehicle.stats;
  const bursts = requests.filter(({ opcode }) => opcode === "BurstReadFile");
  assert.ok(bursts.length > 15);
  for (const [index, { offset }] of bursts.slice(1).entries()) {
    assert.ok(offset - bursts[index]!.offset < 48_000, "each follows the one before it");
  }
  assert.ok(result.counters.doubledBytes < SIZE * 0.1, `${result.counters.doubledBytes} bytes came twice`);
});

Deno.test("transfer() goes on at once after many requests for a burst were lost in a row", async () => {
  const { bed, log } = await flight(0, 1);
  const { faults, stats } = bed.core.vehicle;
  faults.add({
    on: ({ direction, opcode, packet }) =>
      direction === "request" && opcode === "BurstReadFile" && packet.offset > SIZE / 2,
    times: 7,
  });
  const { tookMs } = await bed.fetch(log);
  // The sequence numbers have run through more than half of their circle meanwhile.
  assert.equal(stats.count("OpenFileRO"), 1);
  assert.ok(tookMs < 6000, `${tookMs} ms`);
});
