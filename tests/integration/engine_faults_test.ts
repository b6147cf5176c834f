/** The stations behind the real gate of a device: what one bad file, one dead plugin or one dead target may cost. */
import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import { DeviceGate } from "../../lib/engine/device_gate.ts";
import { EventBus } from "../../lib/observe/mod.ts";
import type { Clock } from "../../lib/host/clock.ts";
import { Bed, type BedOptions } from "../support/engine_bed.ts";
import { death, type FakeDevice, sha256, someBytes } from "../support/fake_device.ts";

/** Waits take no time. */
const HASTY: Clock = {
  nowMs: () => performance.now(),
  after(_ms, run) {
    const timer = setTimeout(run, 0);
    return () => clearTimeout(timer);
  },
};

/** A bed with gates; disposing it stops them. */
class GatedBed extends Bed {
  readonly gates: DeviceGate[];

  constructor(options: BedOptions = {}) {
    const gates: DeviceGate[] = [];
    super({
      ...options,
      access: (name: string, client: FakeDevice) => {
        const gate = new DeviceGate({
          name,
          role: gates.length === 0 ? "source" : "target",
          client,
          events: new EventBus(),
          record: () => {},
          onChange: () => {},
          clock: HASTY,
        });
        gates.push(gate);
        return gate;
      },
    });
    this.gates = gates;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    for (const gate of this.gates) gate.stop();
    await super[Symbol.asyncDispose]();
  }
}

function put(bed: Bed, count: number, sizeBytes = 1000): void {
  for (let n = 0; n < count; n++) bed.source.put(`f${String(n).padStart(3, "0")}`, someBytes(sizeBytes + n, n + 1));
}

/** Retries until `holds`. */
async function retryUntil(bed: Bed, holds: () => boolean): Promise<void> {
  await bed.until(() => {
    bed.store.write(() => {
      bed.store.run("UPDATE file SET retry_at_ms = 0 WHERE retry_at_ms > 0");
      bed.store.run("UPDATE delivery SET retry_at_ms = 0 WHERE retry_at_ms > 0");
    });
    bed.wake();
    return holds();
  });
}

const count = (bed: Bed, table: string, state: string) =>
  bed.store.get<{ n: number }>(`SELECT count(*) AS n FROM ${table} WHERE state = ?`, state)!.n;

for (const side of ["source", "target"] as const) {
  Deno.test(`a plugin of the ${side} that dies with four calls under way parks only the culprit`, async () => {
    await using bed = new GatedBed();
    put(bed, 12);
    const device = side === "source" ? bed.source : bed.target;
    const method = side === "source" ? "download" : "upload";
    device.script = async (call) => {
      if (call.method !== method) return;
      // Until all that can run beside it does.
      for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setTimeout(resolve, 0));
      if (call.path === "f002") device.die(death("SIGSEGV", false));
    };
    await bed.list();
    bed.start();
    const parked = side === "source" ? "file" : "delivery";
    await retryUntil(bed, () => count(bed, "file", "done") === 11 && count(bed, parked, "parked") === 1);
    assert.ok(device.activeMost > 1, "there were innocents");
    // It is told once it is on disk.
    await bed.until(() => bed.told("parked").length > 0);
    assert.deepEqual(bed.told("parked"), ["f002"]);
    for (const [path, { bytes }] of bed.source.files) {
      if (path !== "f002") assert.equal(sha256(bed.target.files.get(path)!.bytes), sha256(bytes));
    }
    assert.equal(bed.target.files.size, 11, "no duplicates");
  });
}

Deno.test("plugins that are killed from outside again and again cost no file anything", async () => {
  await using bed = new GatedBed();
  put(bed, 40, 200_000);
  bed.source.stepBytes = 50_000;
  await bed.list();
  bed.start();
  let kills = 0;
  await retryUntil(bed, () => {
    // Between two kills each side gets somewhere.
    if (++kills % 20 === 0) bed.source.die(death("SIGKILL", false));
    if (kills % 20 === 10) bed.target.die(death("SIGKILL", false));
    return count(bed, "file", "done") === 40;
  });
  assert.deepEqual(bed.told("parked"), []);
  assert.deepEqual([...bed.target.files.keys()].sort(), [...bed.source.files.keys()].sort());
  for (const [path, { bytes }] of bed.source.files) {
    assert.equal(sha256(bed.target.files.get(path)!.bytes), sha256(bytes));
  }
  await bed.until(() => bed.spool.usedBytes === 0);
  assert.equal(bed.spoolBytes(), 0);
});

Deno.test("files that each fail in another way stop none of the others, on either side", async () => {
  await using bed = new GatedBed();
  put(bed, 30);
  const faults = (["failed", "corrupt", "changed", "rejected"] as const).map((code) => new DriverError(code, code));
  bed.source.script = ({ method, path }) => {
    const n = Number(path.slice(1));
    if (method === "download" && n < 4 && n !== 2) throw faults[n]!;
  };
  bed.target.script = ({ method, path }) => {
    const n = Number(path.slice(1)) - 10;
    if (method === "upload" && n >= 0 && n < 4) throw faults[n]!;
  };
  await bed.list();
  bed.start();
  await retryUntil(bed, () => count(bed, "file", "done") === 23);
  await retryUntil(bed, () => count(bed, "file", "parked") === 3 && count(bed, "delivery", "parked") === 4);
});

Deno.test("a dead target costs the live one nothing, and gets everything when it is back", async () => {
  await using bed = new GatedBed({ targets: ["dead", "live"] });
  put(bed, 20);
  let isDead = true;
  bed.targets[0]!.script = ({ method }) => {
    if (isDead && method !== "capabilities") throw new DriverError("unavailable", "No route");
  };
  await bed.list();
  bed.start();
  await bed.until(() => bed.targets[1]!.files.size === 20);
  assert.equal(bed.targets[0]!.files.size, 0);
  isDead = false;
  await bed.until(() => count(bed, "file", "done") === 20);
  assert.equal(bed.store.get<{ n: number }>("SELECT max(attempts) AS n FROM delivery")!.n, 0);
});

Deno.test("stops at any moment lose nothing and double nothing", async () => {
  const dir = Deno.makeTempDirSync({ prefix: "filesync-stops-" });
  const seed = Math.floor(Math.random() * 2 ** 31);
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % below;
  };
  try {
    await using bed = new GatedBed({ dir });
    put(bed, 25, 150_000);
    await bed.list();
    for (let n = 0; n < 40 && count(bed, "file", "done") < 25; n++) {
      bed.start();
      for (let turns = random(20); turns > 0; turns--) await new Promise((resolve) => setTimeout(resolve, 0));
      await bed.stop();
      assert.equal(count(bed, "file", "downloading") + count(bed, "delivery", "uploading"), 0, `seed ${seed}`);
      assert.equal(bed.spool.usedBytes, bed.spoolBytes(), `seed ${seed}, stop ${n}`);
    }
    bed.start();
    await bed.until(() => count(bed, "file", "done") === 25);
    assert.equal(bed.target.files.size, 25, `seed ${seed}`);
    assert.deepEqual(bed.told("delivered").length, 25);
    assert.equal(
      bed.store.get<{ n: number }>("SELECT sum(resent_bytes) AS n FROM file")!.n,
      0,
      "nothing fetched twice",
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
