import assert from "node:assert/strict";
import { join } from "node:path";
import { DriverError, type UploadParams } from "../driver/mod.ts";
import { Bed, type BedOptions } from "../../tests/support/engine_bed.ts";
import { laterThan } from "../../tests/support/disk_clock.ts";
import type { FakeCall } from "../../tests/support/fake_device.ts";

/** A bed with these files in its spool, whose targets take what they are offered into `<bed.dir>/published`. */
async function taking(
  contents: Record<string, string>,
  targets: string[],
  upload: BedOptions["upload"] = {},
): Promise<Bed> {
  const bed = new Bed({ targets, upload });
  for (const [path, content] of Object.entries(contents)) bed.source.put(path, content, { modifiedMs: Date.now() });
  await bed.list();
  bed.start({ upload: false });
  await bed.quiet();
  await bed.stop();
  for (const target of bed.targets) target.can.takesSpoolFile = true;
  return bed;
}

const spoolPath = (bed: Bed, path: string) => bed.spool.filePath(bed.deviceDir, bed.file(path)["id"] as number);

const published = (bed: Bed) => join(bed.dir, "published");

/** Gives what is offered its place; {@linkcode gone} is the other half of a move, after the device has read it. */
function take(bed: Bed, { params }: FakeCall): void {
  const { spoolFile, mayTake } = params as UploadParams;
  assert.equal(mayTake, true);
  Deno.linkSync(spoolFile, published(bed));
}

function gone(call: FakeCall): void {
  if (call.method === "upload") Deno.removeSync((call.params as UploadParams).spoolFile);
}

Deno.test("Uploader.run() offers the spool file to the last target that needs it, and to no other", async () => {
  await using bed = await taking({ a: "bytes of a" }, ["nas", "cloud"]);
  const mayTake: Record<string, unknown> = {};
  const { promise: cloudIsDone, resolve } = Promise.withResolvers<void>();
  bed.targets[0]!.script = async ({ method, params, nth }) => {
    if (method !== "upload") return;
    mayTake[`nas ${nth}`] = (params as UploadParams).mayTake;
    await cloudIsDone;
    if (nth === 0) throw new DriverError("failed", "Again");
  };
  bed.targets[1]!.script = ({ params }) => {
    mayTake["cloud"] = (params as UploadParams).mayTake;
  };
  bed.start();
  await bed.until(() => bed.delivery("a", "cloud")["state"] === "delivered");
  resolve();
  await bed.exhaust();
  assert.equal(bed.file("a")["state"], "done");
  assert.deepEqual(mayTake, { "nas 0": undefined, "cloud": undefined, "nas 1": true });
  assert.deepEqual([bed.spoolBytes(), bed.spool.usedBytes], [0, 0]);
});

Deno.test("Uploader.run() lets a target take the spool file, and offers none to one that did not", async () => {
  await using bed = await taking({ a: "bytes of a", b: "bytes of b" }, ["nas"]);
  const offers: unknown[] = [];
  bed.target.can.callsMax = 1;
  bed.target.script = ({ params }) => {
    const { spoolFile, mayTake } = params as UploadParams;
    offers.push(mayTake);
    if (mayTake === true) {
      assert.equal(spoolFile, bed.spool.loanPath(Number(spoolFile.split("/").at(-2)), bed.file("a")["id"] as number));
    }
  };
  bed.start();
  await bed.until(() => bed.told("delivered").length === 2);
  assert.deepEqual(offers, [true, undefined]);
  assert.deepEqual([bed.spoolBytes(), bed.spool.usedBytes], [0, 0]);
});

Deno.test("Uploader.run() lends nothing that a stranger's driver may have open still", async () => {
  await using bed = await taking({ a: "bytes of a" }, ["nas"], { lends: false });
  const offers: unknown[] = [];
  bed.target.script = ({ method, params }) => {
    if (method === "upload") offers.push((params as UploadParams).mayTake);
  };
  bed.start();
  await bed.until(() => bed.told("delivered").length === 1);
  assert.deepEqual(offers, [undefined]);
});

Deno.test("Uploader.run() believes no receipt of a target that wrote to what it was offered and did not take it", async () => {
  await using bed = await taking({ a: "bytes of a" }, ["nas"]);
  const path = spoolPath(bed, "a");
  await laterThan(path);
  bed.target.script = ({ method, params, nth }) => {
    // Perhaps in the very tick of the disk's clock in which it was offered.
    if (method === "upload" && nth === 0) Deno.writeTextFileSync((params as UploadParams).spoolFile, "bytes of b");
  };
  bed.start();
  await bed.until(() => bed.told("delivered").length === 1);
  assert.equal(bed.source.count("download"), 2, "it was fetched again");
  assert.deepEqual([bed.spoolBytes(), bed.spool.usedBytes], [0, 0]);
});

Deno.test("Uploader.run() gives the spool a file of its own when an upload that took it fails", async () => {
  await using bed = await taking({ a: "bytes of a" }, ["nas"]);
  bed.target.script = (call) => call.method === "upload" && call.nth === 0 ? take(bed, call) : undefined;
  bed.target.afterwards = (call) => {
    if (call.method !== "upload" || call.nth > 0) return;
    gone(call);
    bed.target.files.clear();
    throw new DriverError("failed", "Cannot sync the directory");
  };
  bed.start();
  await bed.until(() => bed.delivery("a", "nas")["code"] === "failed");
  // Somebody works on what was published without a receipt.
  Deno.writeTextFileSync(published(bed), "other bytes");
  assert.equal(Deno.statSync(spoolPath(bed, "a")).nlink, 1);
  assert.equal(Deno.readTextFileSync(spoolPath(bed, "a")), "bytes of a");
  await bed.exhaust();
  assert.equal(bed.target.text("a"), "bytes of a");
  assert.equal(bed.source.count("download"), 1, "it was not fetched again");
  assert.deepEqual([bed.file("a")["state"], bed.spoolBytes(), bed.spool.usedBytes], ["done", 0, 0]);
});

Deno.test("Uploader.run() gives a target that is added meanwhile bytes that nobody shares", async () => {
  await using bed = await taking({ a: "bytes of a" }, ["nas", "cloud"]);
  bed.store.write(() => bed.store.run("UPDATE delivery SET state = 'forgotten' WHERE target_id = 2"));
  bed.targets[0]!.script = (call) => {
    if (call.method !== "upload") return;
    // A person asks for the second target while the first one takes the file.
    bed.store.write(() => bed.store.run("UPDATE delivery SET state = 'waiting' WHERE target_id = 2"));
    take(bed, call);
  };
  bed.targets[0]!.afterwards = gone;
  bed.targets[1]!.script = () => {
    // What somebody does to the published file is not seen in the spool.
    Deno.writeTextFileSync(published(bed), "other bytes");
  };
  bed.start();
  await bed.until(() => bed.delivery("a", "nas")["state"] === "delivered");
  bed.wake();
  await bed.until(() => bed.told("delivered").length === 2);
  await bed.quiet();
  assert.equal(bed.targets[1]!.text("a"), "bytes of a");
  assert.equal(bed.source.count("download"), 1, "it was not fetched again");
  assert.deepEqual([bed.file("a")["state"], bed.spoolBytes(), bed.spool.usedBytes], ["done", 0, 0]);
});

Deno.test("Uploader.run() sends no file that a crash left shared under a name that nobody finds", async () => {
  await using bed = await taking({ a: "bytes of a" }, ["nas"]);
  Deno.linkSync(spoolPath(bed, "a"), published(bed));
  bed.store.write(() => bed.store.run("UPDATE delivery SET started = 1, asked_path = 'a'"));
  bed.target.script = ({ method, params }) => {
    if (method !== "upload") return;
    Deno.writeTextFileSync(published(bed), "other bytes");
    assert.equal(Deno.readTextFileSync((params as UploadParams).spoolFile), "bytes of a");
  };
  bed.start();
  await bed.until(() => bed.told("delivered").length === 1);
  assert.equal(bed.target.text("a"), "bytes of a");
  assert.deepEqual([bed.spoolBytes(), bed.spool.usedBytes], [0, 0]);
});

Deno.test("Uploader.run() reads a spool file once more that has lain there for long before it is offered", async () => {
  await using bed = await taking({ rotten: "bytes of a", whole: "bytes of b" }, ["nas"]);
  const path = spoolPath(bed, "rotten");
  Deno.writeTextFileSync(path, "bytes of x");
  const { ctime } = Deno.statSync(path);
  // The disk went bad without a word: the row says that nobody has touched it.
  bed.store.write(() => bed.store.run("UPDATE file SET spool_ctime_ms = ? WHERE path = 'rotten'", ctime!.getTime()));
  const offers: Record<string, unknown> = {};
  bed.target.script = ({ path, params }) => {
    offers[path] = (params as UploadParams).mayTake;
  };
  const now = Date.now;
  Date.now = () => now() + 3_600_000;
  try {
    bed.start();
    await bed.until(() => bed.target.count("upload") === 2);
  } finally {
    Date.now = now;
  }
  assert.deepEqual(offers, { rotten: undefined, whole: true });
});
