/** What a plugin may take of the machine: the kernel and the host hold it to that. */
import assert from "node:assert/strict";
import { type Bad, failureOf, openBad, untilDead } from "../faults/bad_drivers/open.ts";
import { testNeeding } from "../support/needs.ts";

const MIB = 1024 * 1024;

function openHungry(fault: string, limits: { memoryBytes?: number; openFiles?: number; nice?: number } = {}): Bad {
  const dir = new URL("../fixtures", import.meta.url).pathname;
  return openBad({ command: ["python3", "zoo.py"], plugin: { limits }, args: { dir, fault } });
}

testNeeding("python3", "a plugin that opens 100,000 files gets as many as it may have", async () => {
  await using bad = openHungry("list-opens-files", { openFiles: 64 });
  const { message } = await failureOf(bad.device.list({ directory: "" }, () => {}));
  const opened = Number(/^Opened (\d+) files$/.exec(message)?.[1]);
  assert.ok(opened > 32 && opened < 64, message);
});

testNeeding("python3", "a plugin that eats memory gets as much as it may have, and goes on", async () => {
  await using bad = openHungry("list-eats-memory", { memoryBytes: 256 * MIB });
  const { message } = await failureOf(bad.device.list({ directory: "" }, () => {}));
  const eaten = Number(/^Ate (\d+) MiB$/.exec(message)?.[1]);
  assert.ok(eaten > 64 && eaten <= 256, message);
  assert.equal((await bad.device.stat("")).kind, "directory");
});

testNeeding("python3", "a plugin whose processes together take more memory than it may have is ended", async () => {
  await using bad = openHungry("list-eats-together", { memoryBytes: 100 * MIB });
  const error = await failureOf(bad.device.list({ directory: "" }, () => {}));
  assert.equal(error.code, "broken");
  assert.match(error.message, /^Plugin "bad" took \d+ MiB of memory: at most 100 MiB \("plugins\.limits"\)/);
});

testNeeding(
  "python3",
  "a plugin that spins yields the processor to others, and is given up like any that hangs",
  async () => {
    await using bad = openBad({
      command: ["python3", "zoo.py"],
      plugin: { limits: { nice: 9 } },
      args: { dir: new URL("../fixtures", import.meta.url).pathname, fault: "list-spins" },
      stallMs: 1500,
    });
    const listing = failureOf(bad.device.list({ directory: "" }, () => {}));
    await bad.device.capabilities();
    const pid = bad.device.pid!;
    const { code, message } = await listing;
    assert.equal(code, "broken", message);
    assert.match(message, /no sign of life during "list"/);
    const own = Number(new TextDecoder().decode(new Deno.Command("nice").outputSync().stdout));
    assert.ok(bad.log.some((line) => line.endsWith(`Spins at nice ${Math.min(19, own + 9)}`)), bad.log.join("\n"));
    await untilDead(pid);
  },
);
