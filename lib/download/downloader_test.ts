import assert from "node:assert/strict";
import { join } from "node:path";
import { DriverError, type ErrorCode } from "../driver/mod.ts";
import { StateError } from "../state/mod.ts";
import { Bed } from "../../tests/support/engine_bed.ts";
import { death, type OpenAccess, sha256, someBytes } from "../../tests/support/fake_device.ts";

/** A bed whose downloads alone run; "bad" fails with `error` each time, "good" never. */
async function fails(error: DriverError, alone = true): Promise<Bed> {
  const bed = new Bed();
  bed.source.put("bad", "some bytes");
  bed.source.put("good", "other bytes");
  (bed.sourceAccess as OpenAccess).alone = alone;
  bed.source.script = ({ method, path }) => {
    if (method === "download" && path === "bad") throw error;
  };
  await bed.list();
  return bed;
}

Deno.test("Downloader.run() brings every file into the spool with the SHA-256 of its bytes", async () => {
  await using bed = new Bed();
  const contents = new Map([["a/empty.bin", 0], ["a/one.bin", 1], ["b.bin", 300_000], ["c.bin", 5 * 2 ** 20]].map(
    ([path, size], at) => [path as string, someBytes(size as number, at + 1)],
  ));
  for (const [path, bytes] of contents) bed.source.put(path, bytes);
  await bed.list();
  bed.start({ upload: false });
  await bed.quiet();
  for (const [path, bytes] of contents) {
    const row = bed.file(path);
    assert.equal(row["state"], "spooled");
    assert.equal(row["sha256"], sha256(bytes));
    assert.deepEqual(Deno.readFileSync(bed.spool.filePath(bed.deviceDir, row["id"] as number)), bytes);
    const mode = Deno.statSync(bed.spool.filePath(bed.deviceDir, row["id"] as number)).mode! & 0o777;
    assert.equal(mode, 0o600);
  }
  assert.equal(bed.spool.usedBytes, bed.spoolBytes());
});

for (const code of ["failed", "corrupt", "rejected"] as ErrorCode[]) {
  Deno.test(`Downloader.run() parks a file that ends with "${code}" and fetches its neighbour`, async () => {
    await using bed = await fails(new DriverError(code, "Words of the driver", { hint: "Look at it" }));
    bed.start({ upload: false });
    await bed.exhaust();
    const row = bed.file("bad");
    assert.deepEqual([row["state"], row["code"], row["reason"], row["hint"]], [
      "parked",
      code,
      "Words of the driver",
      "Look at it",
    ]);
    assert.equal(bed.source.count("download", "bad"), code === "rejected" ? 1 : 3);
    assert.equal(bed.file("good")["state"], "spooled");
    assert.deepEqual(bed.told("parked"), ["bad"]);
    assert.deepEqual(bed.log.lines.filter((line) => line.startsWith("error")), []);
  });
}

for (const code of ["unavailable", "held", "invalid_config", "unsupported", "denied"] as ErrorCode[]) {
  Deno.test(`Downloader.run() counts no attempt against a file when "${code}" speaks of the device`, async () => {
    await using bed = await fails(new DriverError(code, "Not now"));
    bed.start({ upload: false });
    await bed.until(() => bed.source.count("download", "bad") >= 20 && bed.file("good")["state"] === "spooled");
    await bed.stop();
    const row = bed.file("bad");
    assert.deepEqual([row["state"], row["attempts"], row["retry_at_ms"]], ["found", 0, 0]);
    assert.ok((bed.sourceAccess as OpenAccess).ended.some((error) => error?.code === code), "the gate hears of it");
  });
}

Deno.test('Downloader.run() backs off a file alone when "denied" speaks of the file', async () => {
  await using bed = await fails(new DriverError("denied", "No", { scope: "file" }));
  bed.start({ upload: false });
  await bed.quiet();
  const row = bed.file("bad");
  assert.deepEqual([row["state"], row["attempts"], row["code"]], ["found", 0, "denied"]);
  const waitMs = (row["retry_at_ms"] as number) - performance.now();
  assert.ok(waitMs > 40 * 60_000 && waitMs < 80 * 60_000, `about an hour: ${waitMs}`);
  assert.equal(bed.file("good")["state"], "spooled");
});

Deno.test('Downloader.run() takes "not_found" for gone, drops the partial, and fetches it when it comes back', async () => {
  await using bed = await fails(new DriverError("not_found", "No such file"));
  bed.start({ upload: false });
  await bed.quiet();
  assert.equal(bed.file("bad")["state"], "gone");
  assert.deepEqual(bed.told("gone"), ["bad"]);
  assert.equal(bed.spool.usedBytes, bed.spoolBytes());
  bed.source.script = () => {};
  await bed.list();
  await bed.quiet();
  assert.deepEqual([bed.file("bad")["state"], bed.file("bad")["generation"]], ["spooled", 1]);
});

Deno.test('Downloader.run() asks for a listing after "changed" and fetches the new generation', async () => {
  await using bed = await fails(new DriverError("changed", "Grew"));
  bed.start({ upload: false });
  await bed.quiet();
  assert.equal(bed.file("bad")["state"], "gone");
  assert.ok(bed.relists > 0);
  bed.source.script = () => {};
  bed.source.put("bad", "some more bytes");
  await bed.list();
  await bed.quiet();
  assert.deepEqual([bed.file("bad")["state"], bed.file("bad")["generation"]], ["spooled", 2]);
});

Deno.test('Downloader.run() parks a file that says "changed" at each reading though its listing stays the same', async () => {
  await using bed = new Bed();
  bed.source.put("bad", someBytes(100_000));
  bed.source.afterwards = ({ method }) => {
    if (method === "download") throw new DriverError("changed", "Differs from the listing");
  };
  bed.start({ upload: false });
  for (let n = 0; n < 10 && bed.source.count("download") === n; n++) {
    await bed.list();
    await bed.quiet();
  }
  assert.equal(bed.file("bad")["state"], "parked");
  assert.equal(bed.source.count("download"), 3);
});

Deno.test('Downloader.run() parks after the last attempt when every whole download is "corrupt"', async () => {
  await using bed = new Bed();
  bed.source.put("bad", someBytes(200_000));
  bed.source.afterwards = ({ method }) => {
    if (method === "download") throw new DriverError("corrupt", "Checksum differs");
  };
  await bed.list();
  bed.start({ upload: false });
  for (let n = 0; n < 20 && bed.file("bad")["state"] !== "parked"; n++) {
    await bed.until(() => bed.source.count("download") > n);
    await bed.quiet();
    bed.store.write(() => bed.store.run("UPDATE file SET retry_at_ms = 0"));
    bed.wake();
  }
  assert.equal(bed.source.count("download"), 3, "no more than the attempts");
  assert.equal(bed.file("bad")["state"], "parked");
  assert.equal(bed.spoolBytes(), 0, "the partial is dropped");
  assert.equal(bed.spool.usedBytes, 0);
});

Deno.test("Downloader.run() refuses what a lying driver answers", async (t) => {
  const bytes = someBytes(10_000);
  const lies: [string, Record<string, unknown>, string][] = [
    ["another size than the spool holds", { sizeBytes: 9999, fingerprint: {} }, "corrupt"],
    ["a wrong SHA-256", {
      sizeBytes: 10_000,
      fingerprint: {},
      checksum: { algorithm: "sha256", value: "0".repeat(64) },
    }, "corrupt"],
    ["another size than was listed", { sizeBytes: 10_000, fingerprint: { sizeBytes: 10_001 } }, "changed"],
    ["another time than was listed", { sizeBytes: 10_000, fingerprint: { modifiedMs: 5 } }, "changed"],
  ];
  for (const [name, lie, code] of lies) {
    await t.step(name, async () => {
      await using bed = new Bed();
      bed.source.put("bad", bytes);
      bed.source.afterwards = ({ method }) => method === "download" ? lie : undefined;
      await bed.list();
      bed.start({ upload: false });
      await bed.quiet();
      assert.equal(bed.file("bad")["code"], code);
      assert.equal(bed.store.get("SELECT 1 FROM delivery"), undefined);
      assert.equal(bed.spool.usedBytes, bed.spoolBytes());
    });
  }
});

Deno.test("Downloader.run() refuses a spool file that was swapped while the driver had it", async () => {
  await using bed = new Bed();
  bed.source.put("bad", "whole content");
  bed.source.afterwards = ({ method, params }) => {
    if (method !== "download") return;
    const { spoolFile } = params as { spoolFile: string };
    Deno.writeTextFileSync(`${spoolFile}.new`, "other content");
    Deno.renameSync(`${spoolFile}.new`, spoolFile);
  };
  await bed.list();
  bed.start({ upload: false });
  await bed.quiet();
  assert.equal(bed.file("bad")["code"], "corrupt");
});

Deno.test("Downloader.run() replaces a symlink in place of a partial and leaves what it points at alone", async () => {
  await using bed = new Bed();
  bed.source.put("bad", "new content");
  bed.source.put("good", "good content");
  await bed.list();
  const victim = join(bed.dir, "victim");
  Deno.writeTextFileSync(victim, "precious");
  bed.spool.deviceDir(bed.deviceDir);
  Deno.symlinkSync(victim, bed.spool.partialPath(bed.deviceDir, bed.file("bad")["id"] as number));
  bed.start({ upload: false });
  await bed.exhaust();
  assert.equal(Deno.readTextFileSync(victim), "precious");
  assert.equal(bed.file("bad")["state"], "spooled");
  assert.equal(bed.file("good")["state"], "spooled");
});

Deno.test("Downloader.run() goes on from the partial and says how much it did not fetch again", async () => {
  await using bed = new Bed();
  const bytes = someBytes(1_000_000);
  bed.source.put("long", bytes);
  bed.source.script = ({ method, nth, options }) => {
    if (method !== "download" || nth > 0) return;
    const was = options.onProgress;
    options.onProgress = (progress) => {
      was?.(progress);
      if (progress.doneBytes >= 500_000) throw new DriverError("failed", "Link dropped");
    };
  };
  await bed.list();
  bed.start({ upload: false });
  await bed.exhaust();
  const row = bed.file("long");
  assert.deepEqual([row["state"], row["sha256"], row["resent_bytes"]], ["spooled", sha256(bytes), 0]);
  const told = bed.events.find((event) => event.event === "downloaded");
  assert.ok(told?.event === "downloaded" && told.resumedBytes >= 500_000, JSON.stringify(told));
});

Deno.test("Downloader.run() fetches from the start when the driver cannot resume", async () => {
  await using bed = new Bed();
  bed.source.can = { callsMax: 1 };
  const bytes = someBytes(400_000);
  bed.source.put("long", bytes);
  bed.source.afterwards = ({ method, nth }) => {
    if (method === "download" && nth === 0) throw new DriverError("failed", "Link dropped at the end");
  };
  await bed.list();
  bed.start({ upload: false });
  await bed.exhaust();
  assert.deepEqual([bed.file("long")["state"], bed.file("long")["sha256"]], ["spooled", sha256(bytes)]);
  assert.equal(bed.spool.usedBytes, bytes.length);
});

Deno.test("Downloader.run() starts counting anew when an attempt came further than any before", async () => {
  await using bed = new Bed({ download: { attempts: 2 } });
  const bytes = someBytes(1_000_000);
  bed.source.put("long", bytes);
  bed.source.script = ({ method, nth, options }) => {
    if (method !== "download") return;
    const was = options.onProgress;
    options.onProgress = (progress) => {
      was?.(progress);
      if (progress.doneBytes >= (nth + 1) * 100_000 && nth < 9) throw new DriverError("failed", "Link dropped");
    };
  };
  await bed.list();
  bed.start({ upload: false });
  await bed.exhaust();
  assert.equal(bed.file("long")["state"], "spooled");
  assert.equal(bed.source.count("download"), 10);
});

Deno.test("Downloader.run() parks the file beside which a plugin dies again and again, when it ran alone", async () => {
  await using bed = await fails(death("SIGSEGV", false));
  bed.start({ upload: false });
  await bed.exhaust();
  assert.deepEqual([bed.file("bad")["state"], bed.file("good")["state"]], ["parked", "spooled"]);
  assert.equal(bed.source.count("download", "bad"), 3);
});

for (const signal of ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"]) {
  Deno.test(`Downloader.run() parks a file only after 20 times that somebody killed the plugin by ${signal}`, async () => {
    await using bed = await fails(death(signal, false));
    bed.start({ upload: false });
    await bed.until(() => bed.source.count("download", "bad") === 20);
    await bed.exhaust();
    assert.equal(bed.source.count("download", "bad"), 21);
    assert.deepEqual([bed.file("bad")["state"], bed.file("good")["state"]], ["parked", "spooled"]);
  });
}

Deno.test("Downloader.run() counts a kill of our own, after a stall, as the file's attempt", async () => {
  await using bed = await fails(death("SIGKILL", true));
  bed.start({ upload: false });
  await bed.exhaust();
  assert.equal(bed.source.count("download", "bad"), 3);
  assert.equal(bed.file("bad")["state"], "parked");
});

Deno.test("Downloader.run() stops at once, cancels what is under way and keeps the partial", async () => {
  await using bed = new Bed();
  const bytes = someBytes(300_000);
  bed.source.put("long", bytes);
  const halfway = Promise.withResolvers<void>();
  bed.source.script = ({ method, options }) => {
    if (method !== "download") return;
    const was = options.onProgress;
    options.onProgress = (progress) => {
      was?.(progress);
      if (progress.doneBytes > 100_000) halfway.resolve();
    };
  };
  await bed.list();
  bed.start({ upload: false });
  await halfway.promise;
  await bed.stop();
  const row = bed.file("long");
  assert.deepEqual([row["state"], row["attempts"]], ["found", 0]);
  assert.ok(bed.spoolBytes() > 100_000);
  assert.equal(bed.spool.usedBytes, bed.spoolBytes());
  await bed.list();
  bed.start({ upload: false });
  await bed.quiet();
  assert.equal(bed.file("long")["sha256"], sha256(bytes));
});

Deno.test("Downloader.run() parks what is larger than the quota and fetches the rest without a pause", async () => {
  await using bed = new Bed({ quotaBytes: 5000 });
  for (let n = 0; n < 20; n++) bed.source.put(`big${n}`, someBytes(6000));
  bed.source.put("small", "fits");
  await bed.list();
  bed.start({ upload: false });
  // The bed's patience is shorter than a pause for each of the 20.
  await bed.until(() => bed.file("small")["state"] === "spooled");
  assert.equal(bed.told("parked").length, 20);
  assert.match(String(bed.file("big0")["hint"]), /spool\.quota/);
});

Deno.test("Downloader.run() waits while the spool is full and goes on when room is made", async () => {
  await using bed = new Bed({ quotaBytes: 10_000 });
  for (const name of ["a", "b", "c", "d"]) bed.source.put(name, someBytes(4000));
  bed.target.script = () => release.promise;
  const release = Promise.withResolvers<void>();
  await bed.list();
  bed.start();
  await bed.until(() => bed.downloader.waitsForRoom && bed.downloader.active === 0);
  assert.equal(bed.store.get<{ n: number }>("SELECT count(*) AS n FROM file WHERE state = 'spooled'")!.n, 2);
  assert.ok(bed.spoolBytes() <= 10_000);
  release.resolve();
  await bed.quiet();
  await bed.until(() => bed.target.files.size === 4);
  await bed.quiet();
  assert.equal(bed.spool.usedBytes, 0);
  assert.equal(bed.spoolBytes(), 0);
});

Deno.test("Downloader.run() keeps everything when the disk of the spool is full", async () => {
  await using bed = await fails(new DriverError("no_space", "No space left"));
  bed.start({ upload: false });
  await bed.until(() => bed.downloader.waitsForRoom && bed.file("good")["state"] === "spooled");
  await bed.until(() => bed.file("bad")["state"] === "found");
  await bed.stop();
  assert.deepEqual([bed.file("bad")["attempts"], bed.file("bad")["state"]], [0, "found"]);
});

for (const sizeBytes of [1000, 3_000_000]) {
  Deno.test(`Downloader.run() fetches ${sizeBytes} bytes anew when their fsync failed, and counts no attempt`, async () => {
    await using bed = new Bed();
    bed.source.put("a", someBytes(sizeBytes));
    await bed.list();
    const { sync } = Deno.FsFile.prototype;
    Deno.FsFile.prototype.sync = function () {
      Deno.FsFile.prototype.sync = sync;
      return Promise.reject(new Error("Input/output error (os error 5)"));
    };
    bed.start({ upload: false });
    await bed.until(() => bed.downloader.waitsForRoom && bed.file("a")["state"] === "found");
    await bed.stop();
    assert.deepEqual([bed.spoolBytes(), bed.spool.usedBytes, bed.file("a")["attempts"]], [0, 0, 0]);
    assert.match(bed.log.lines.join(), /Cannot keep bytes in the spool: Input\/output error/);
    bed.start({ upload: false });
    await bed.list();
    await bed.until(() => bed.file("a")["state"] === "spooled");
    assert.equal(bed.file("a")["sha256"], sha256(someBytes(sizeBytes)));
    await bed.until(() => /Spool can be written again/.test(bed.log.lines.join()));
  });
}

Deno.test("Downloader.run() keeps a fetched file when the disk of the store is full at the commit", async () => {
  await using bed = new Bed();
  bed.source.put("a", someBytes(50_000));
  await bed.list();
  const durable = bed.store.durable.bind(bed.store);
  let failures = 0;
  bed.store.durable = () => {
    const isSpooled = bed.store.get<{ state: string }>("SELECT state FROM file")?.state === "spooled";
    if (!isSpooled || failures++ > 0) return durable();
    // As SQLite does: the whole group is undone.
    bed.store.write(() => bed.store.run("UPDATE file SET state = 'downloading', sha256 = NULL"));
    bed.store.write(() => bed.store.run("DELETE FROM delivery"));
    return Promise.reject(new StateError("no_space", "No space left"));
  };
  bed.start({ upload: false });
  await bed.until(() => bed.downloader.waitsForRoom && bed.file("a")["state"] === "found");
  await bed.stop();
  assert.equal(bed.spoolBytes(), 50_000);
  assert.equal(bed.spool.usedBytes, 50_000);
  bed.start({ upload: false });
  await bed.list();
  await bed.until(() => bed.file("a")["state"] === "spooled");
  assert.equal(bed.source.count("download", "a"), 2);
});

Deno.test("Downloader.run() knows where a file is when a full disk has undone the note that it was begun", async () => {
  await using bed = new Bed();
  bed.source.put("a", someBytes(50_000));
  await bed.list();
  bed.source.afterwards = ({ method }) => {
    // As SQLite does when the commit fails: nobody awaits this one.
    if (method === "download") {
      bed.store.write(() => bed.store.run("UPDATE file SET state = 'found', device_dir = NULL"));
    }
  };
  bed.start();
  await bed.until(() => bed.told("delivered").length === 1);
  assert.equal(bed.file("a")["device_dir"], bed.deviceDir);
});

Deno.test("Downloader.run() keeps a fetched file that could not be published for the next attempt", async () => {
  await using bed = new Bed();
  bed.source.put("a", someBytes(50_000));
  await bed.list();
  const final = bed.spool.filePath(bed.deviceDir, bed.file("a")["id"] as number);
  bed.source.afterwards = ({ method, nth }) => {
    // A directory of that name makes the rename fail.
    if (method === "download" && nth === 0) Deno.mkdirSync(final);
    if (method === "download" && nth === 1) Deno.removeSync(final);
  };
  bed.start({ upload: false });
  await bed.exhaust();
  assert.equal(bed.file("a")["state"], "spooled");
  assert.equal(bed.spool.usedBytes, bed.spoolBytes());
});

Deno.test("Downloader.run() never trusts a length that was fsynced for bytes that are not there any more", async () => {
  await using bed = new Bed();
  bed.source.put("a", someBytes(300_000));
  await bed.list();
  const id = bed.file("a")["id"] as number;
  // An earlier partial was fsynced up to 200,000 bytes, and dropped.
  bed.store.write(() => bed.store.run("UPDATE file SET synced_bytes = 200000 WHERE id = ?", id));
  const seen: unknown[] = [];
  bed.source.script = ({ method }) => {
    if (method === "download") seen.push(bed.file("a")["synced_bytes"]);
  };
  bed.start({ upload: false });
  await bed.quiet();
  assert.deepEqual(seen, [0], "the new partial holds nothing that survives a power cut");
});

Deno.test("Downloader.run() takes the files in the order that was asked for", async (t) => {
  for (
    const [order, expected] of [["newest", ["b", "c", "a"]], ["oldest", ["a", "c", "b"]], ["name", [
      "a",
      "b",
      "c",
    ]]] as const
  ) {
    await t.step(order, async () => {
      await using bed = new Bed({ download: { order, movers: 1 } });
      bed.source.put("a", "1", { modifiedMs: 1000 });
      bed.source.put("b", "2", { modifiedMs: 9000 });
      bed.source.put("c", "3", { modifiedMs: 5000 });
      await bed.list();
      bed.start({ upload: false });
      await bed.quiet();
      assert.deepEqual(bed.told("downloaded"), expected);
    });
  }
});

Deno.test("Downloader.run() never has more calls under way than movers and the device allow", async () => {
  await using bed = new Bed({ download: { movers: 3 } });
  for (let n = 0; n < 12; n++) bed.source.put(`f${n}`, someBytes(300_000, n + 1));
  await bed.list();
  bed.start({ upload: false });
  await bed.quiet();
  assert.equal(bed.source.activeMost, 3);
  assert.equal(bed.store.get<{ n: number }>("SELECT count(*) AS n FROM file WHERE state = 'spooled'")!.n, 12);
});

Deno.test("Downloader.run() moves many small files in the place of a large one, and one after another for one mover", async () => {
  for (const [movers, most] of [[2, 16], [1, 1]] as const) {
    await using bed = new Bed({ download: { movers } });
    bed.source.can.callsMax = 64;
    for (let n = 0; n < 40; n++) bed.source.put(`f${n}`, someBytes(100, n + 1));
    await bed.list();
    bed.start({ upload: false });
    await bed.quiet();
    assert.equal(bed.source.activeMost, most);
    assert.equal(bed.store.get<{ n: number }>("SELECT count(*) AS n FROM file WHERE state = 'spooled'")!.n, 40);
  }
});
