/** Plugins that write too much: the host's memory stays bounded and the plugin's other calls go on. */
import assert from "node:assert/strict";
import { openBad, openFault } from "../faults/bad_drivers/open.ts";
import { testNeeding } from "../support/needs.ts";

const MIB = 1024 * 1024;

/** What this test holds: other tests run in threads of the same process, and its RSS is theirs too. */
function heldBytes(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

testNeeding("python3", "100 MB on stderr are survived in bounded memory, with the last line known", async () => {
  await using bad = openFault("stderr-flood");
  await bad.device.capabilities();
  const before = heldBytes();
  assert.equal((await bad.device.stat("a")).path, "a");
  assert(heldBytes() - before < 64 * MIB);
  assert(bad.log.length < 1000);
  assert(bad.log.some((line) => /^warning: \d+ lines suppressed: at most 50 a second are logged$/.test(line)));
  assert(bad.log.every((line) => line.length < 4200));
  assert.equal(bad.device.restarts, 0);
});

testNeeding("python3", "a line of 1 GiB on stdout is dropped in bounded memory and told", async () => {
  // Such a line takes its time, and is no sign of life.
  await using bad = openFault("giant-line", { stallMs: 600_000 });
  await bad.device.capabilities();
  const before = heldBytes();
  assert.equal((await bad.device.stat("a")).path, "a");
  assert(heldBytes() - before < 32 * MIB);
  assert.equal(bad.log.filter((line) => line.includes("a line over 1 MiB to stdout, which is ignored")).length, 1);
});

testNeeding("python3", "list() takes 1,000,000 entries of a Python driver in bounded memory", async () => {
  await using bad = openFault("million");
  await bad.device.capabilities();
  const before = heldBytes();
  let count = 0;
  await bad.device.list({ directory: "", recursive: true }, (entries) => void (count += entries.length));
  assert.equal(count, 1_000_000);
  assert(heldBytes() - before < 100 * MIB);
});

Deno.test("list() takes 1,000,000 entries of a driver on serve() in bounded memory on both sides", async () => {
  await using many = openBad({ command: ["./many.ts"], plugin: { permissions: {} }, args: { count: 1_000_000 } });
  await many.device.capabilities();
  const before = heldBytes();
  let count = 0;
  let pluginKib = 0;
  await many.device.list({ directory: "", recursive: true }, async (entries) => {
    count += entries.length;
    // A slow store: what the pipe does not take must wait in the plugin's await, not in its memory.
    if (count % 100_000 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    if (count === 900_000) pluginKib = residentKib(many.device.pid ?? 0);
  });
  assert.equal(count, 1_000_000);
  assert(heldBytes() - before < 100 * MIB);
  assert(pluginKib > 0 && pluginKib < 120 * 1024, `plugin uses ${pluginKib} KiB`);
});

testNeeding("python3", "list() hands over a batch only when the one before was taken", async () => {
  await using bad = openFault("batches");
  let open = 0;
  await bad.device.list({ directory: "" }, async () => {
    assert.equal(++open, 1);
    await new Promise((resolve) => setTimeout(resolve, 1));
    open--;
  });
});

function residentKib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1] ?? 0);
}
