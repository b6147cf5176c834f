/** Which name a file gets on a target, and what may happen to one that has it already. */
import assert from "node:assert/strict";
import { DriverError, type UploadParams } from "../driver/mod.ts";
import { Bed, type BedOptions } from "../../tests/support/engine_bed.ts";
import { death } from "../../tests/support/fake_device.ts";

/** A bed with these files in its spool; nothing runs. */
async function spooled(contents: Record<string, string | Uint8Array>, options: BedOptions = {}): Promise<Bed> {
  const bed = new Bed(options);
  await spool(bed, contents);
  return bed;
}

async function spool(bed: Bed, contents: Record<string, string | Uint8Array>): Promise<void> {
  for (const [path, content] of Object.entries(contents)) bed.source.put(path, content, { modifiedMs: Date.now() });
  await bed.list();
  bed.start({ upload: false });
  await bed.quiet();
  await bed.stop();
}

Deno.test("Uploader.run() replaces an older generation only while the target holds what the receipt says", async (t) => {
  const cases: [string, BedOptions["upload"] & object, (bed: Bed) => void, Record<string, string>][] = [
    ["replace, untouched", {}, () => {}, { "a.log": "newer" }],
    ["replace, touched by somebody: on_conflict", {}, (bed) => bed.target.put("a.log", "theirs"), {
      "a.log": "theirs",
      "a~2.log": "newer",
    }],
    ["replace, removed by somebody", {}, (bed) => bed.target.files.clear(), { "a.log": "newer" }],
    ["replace, target cannot be asked: on_conflict", {}, (bed) => bed.target.can = { repeatable: true }, {
      "a.log": "older",
      "a~2.log": "newer",
    }],
    ["replace, target cannot tell what it holds: on_conflict", {}, (bed) => {
      bed.target.script = ({ method }) => {
        if (method === "confirm") throw new DriverError("uncertain", "Server gives neither hash nor bytes");
      };
    }, { "a.log": "older", "a~2.log": "newer" }],
    ["rename", { onChange: "rename" }, () => {}, { "a.log": "older", "a~2.log": "newer" }],
  ];
  for (const [name, upload, meanwhile, expected] of cases) {
    await t.step(name, async () => {
      await using bed = await spooled({ "a.log": "older" }, { upload });
      bed.start();
      await bed.exhaust();
      await bed.stop();
      meanwhile(bed);
      await spool(bed, { "a.log": "newer" });
      bed.start();
      await bed.exhaust();
      assert.deepEqual([bed.file("a.log")["generation"], bed.file("a.log")["state"]], [2, "done"]);
      assert.deepEqual(
        Object.fromEntries([...bed.target.files.keys()].map((key) => [key, bed.target.text(key)])),
        expected,
      );
      const isKept = expected["a~2.log"] !== undefined && upload.onChange !== "rename";
      assert.equal(/"a\.log" was not replaced, since nothing proves/.test(bed.log.lines.join()), isKept);
    });
  }
});

Deno.test("Uploader.run() finds a newer generation that replaced the older one and whose answer was lost", async () => {
  await using bed = await spooled({ "a.log": "older" });
  bed.start();
  await bed.exhaust();
  await bed.stop();
  await spool(bed, { "a.log": "newer" });
  bed.target.afterwards = ({ method, nth }) => {
    if (method === "upload" && nth === 1) throw death("SIGKILL", false);
  };
  bed.start();
  await bed.exhaust();
  assert.equal(bed.file("a.log")["state"], "done");
  assert.deepEqual([...bed.target.files.keys()], ["a.log"]);
  assert.equal(bed.target.text("a.log"), "newer");
});

Deno.test("Uploader.run() does with foreign bytes under the name what on_conflict says", async (t) => {
  for (
    const [onConflict, files, state] of [
      ["rename", { "a.log": "theirs", "a~2.log": "ours" }, "delivered"],
      ["replace", { "a.log": "ours" }, "delivered"],
      ["park", { "a.log": "theirs" }, "parked"],
    ] as const
  ) {
    await t.step(onConflict, async () => {
      await using bed = await spooled({ "a.log": "ours" }, { upload: { onConflict } });
      bed.target.put("a.log", "theirs");
      bed.start();
      await bed.exhaust();
      assert.equal(bed.delivery("a.log")["state"], state);
      assert.deepEqual(
        Object.fromEntries([...bed.target.files.keys()].map((key) => [key, bed.target.text(key)])),
        files,
      );
    });
  }
});

Deno.test("Uploader.run() delivers the older generation of a path before the newer one", async () => {
  await using bed = await spooled({ "a.log": "older" });
  await spool(bed, { "a.log": "newer" });
  const asked: string[] = [];
  bed.target.script = ({ method, params, nth }) => {
    if (method !== "upload") return;
    asked.push((params as UploadParams).sha256.slice(0, 8));
    if (nth === 0) throw new DriverError("failed", "First try");
  };
  bed.start();
  await bed.quiet();
  assert.equal(asked.length, 1, "the newer one waits while the older one backs off");
  await bed.exhaust();
  assert.deepEqual(bed.target.text("a.log"), "newer");
});

Deno.test("Uploader.run() parks a name that cannot be used on the target", async () => {
  await using bed = await spooled({ a: "bytes" }, { upload: { path: "../{path}" } });
  bed.start();
  await bed.exhaust();
  assert.deepEqual([bed.delivery("a")["state"], bed.target.calls], ["parked", []]);
});
