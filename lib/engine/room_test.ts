import assert from "node:assert/strict";
import { Bed, keptLog } from "../../tests/support/engine_bed.ts";
import { type FakeDevice, someBytes } from "../../tests/support/fake_device.ts";
import type { DeviceGate } from "./device_gate.ts";
import { RoomMaker } from "./room.ts";

const signal = new AbortController().signal;

/** A spool with `count` files of 100 bytes each that `nas` still needs and `live` has, or has not. */
class FullSpool implements AsyncDisposable {
  readonly bed = new Bed({ targets: ["live", "nas"] });
  readonly log = keptLog();
  readonly gates = new Map<number, { isOpen: boolean; isOnTrial: boolean }>();
  readonly room: RoomMaker;

  constructor() {
    const { bed } = this;
    for (const target of bed.job.targets) {
      this.gates.set(target.id, { isOpen: target.name === "live", isOnTrial: false });
    }
    const source = { turn: () => bed.sourceAccess.turn("room", { signal }) };
    this.room = new RoomMaker({
      store: bed.store,
      spool: bed.spool,
      log: this.log,
      targets: () => this.gates as unknown as Map<number, DeviceGate>,
      source: () => source as unknown as DeviceGate,
    });
  }

  async fill(count: number, sizeBytes = 100): Promise<void> {
    for (let n = 0; n < count; n++) {
      const name = `f${String(n).padStart(3, "0")}`;
      this.source.files.set(name, { bytes: someBytes(sizeBytes, n), modifiedMs: 1000 + n });
    }
    await this.bed.list();
    this.bed.start({ upload: false });
    await this.bed.quiet();
    await this.bed.stop();
    this.bed.store.write(() =>
      this.bed.store.run("UPDATE delivery SET state = 'delivered' WHERE target_id = ?", this.bed.job.targets[0]!.id)
    );
  }

  get source(): FakeDevice {
    return this.bed.source;
  }

  count(state: string, more = "1"): number {
    return this.bed.store.get<{ n: number }>(`SELECT count(*) AS n FROM file WHERE state = ? AND ${more}`, state)!.n;
  }

  nas(gate: { isOpen: boolean; isOnTrial: boolean }): void {
    this.gates.set(this.bed.job.targets[1]!.id, gate);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bed[Symbol.asyncDispose]();
  }
}

Deno.test("RoomMaker.make() frees what is asked for, the oldest first, and leaves empty files", async () => {
  await using full = new FullSpool();
  full.source.files.set("a-empty", { bytes: new Uint8Array(), modifiedMs: 1 });
  await full.fill(5);
  assert.equal(await full.room.make(150, signal), true);
  assert.equal(full.count("found", "shelved = 1 AND path IN ('f000', 'f001')"), 2);
  assert.equal(full.count("spooled"), 4);
  assert.equal(full.bed.spoolBytes(), 300);
});

Deno.test("RoomMaker.make() drops nothing where it would not make the room that is wanted", async () => {
  await using full = new FullSpool();
  await full.fill(5);
  assert.equal(await full.room.make(501, signal), false);
  assert.equal(full.count("spooled"), 5);
  full.nas({ isOpen: true, isOnTrial: false });
  assert.equal(await full.room.make(1, signal), false, "no target is away");
  assert.deepEqual(full.log.lines, []);
});

Deno.test("RoomMaker.make() looks beyond files that their source has no more, however many they are", async () => {
  await using full = new FullSpool();
  await full.fill(100);
  for (let n = 0; n < 90; n++) full.source.files.delete(`f${String(n).padStart(3, "0")}`);
  assert.equal(await full.room.make(200, signal), true);
  assert.equal(full.count("found", "path IN ('f090', 'f091')"), 2);
  assert.equal(full.count("spooled"), 98);
  assert.deepEqual(full.log.lines.filter((line) => !line.startsWith("debug")), [
    "info: Files that only absent targets need leave the full spool: they are fetched again when these are back",
  ]);
});

Deno.test("RoomMaker.restore() has one file fetched for a target that may be back, and all when it is", async () => {
  await using full = new FullSpool();
  await full.fill(5);
  await full.room.make(500, signal);
  assert.equal(full.room.restore(), 0);
  full.nas({ isOpen: true, isOnTrial: true });
  assert.equal(full.room.restore(), 1);
  assert.equal(full.count("found", "shelved = 0 AND path = 'f000'"), 1);
  full.nas({ isOpen: true, isOnTrial: false });
  assert.equal(full.room.restore(), 4);
});
