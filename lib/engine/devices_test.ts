import assert from "node:assert/strict";
import { join } from "node:path";
import { discoverPlugins } from "../host/mod.ts";
import { EventBus } from "../observe/mod.ts";
import { Spool } from "../spool/mod.ts";
import { StateError, Store } from "../state/mod.ts";
import { Devices } from "./devices.ts";

Deno.test("Devices.open() fails when a full disk undoes the device's row, and goes on with none", async () => {
  const dir = await Deno.makeTempDir({ prefix: "filesync-devices-" });
  try {
    using store = new Store(join(dir, "state.db"));
    const spool = new Spool({ dir: join(dir, "spool"), quotaBytes: 1000, minFreeBytes: 0, storeId: "one" });
    const devices = new Devices({
      plugins: discoverPlugins(),
      store,
      spool,
      events: new EventBus(),
      configFile: join(dir, "config.json"),
      onChange: () => {},
    });
    store.durable = () => Promise.reject(new StateError("no_space", "No space left"));
    const device = { name: "card", driver: "local", args: { dir }, place: "devices.card" };
    await assert.rejects(devices.open(device, "source"), { code: "no_space" });
    assert.deepEqual(devices.all, []);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
