import assert from "node:assert/strict";
import { DriverError, type ErrorCode, type UploadParams } from "../driver/mod.ts";
import { StateError } from "../state/mod.ts";
import { Bed, type BedOptions } from "../../tests/support/engine_bed.ts";
import { death, type FakeCall, OpenAccess, sha256, someBytes } from "../../tests/support/fake_device.ts";
import { laterThan } from "../../tests/support/disk_clock.ts";

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

const spoolPath = (bed: Bed, path: string) => bed.spool.filePath(bed.deviceDir, bed.file(path)["id"] as number);

/** Fails each upload of "bad" with `error`. */
const failing = (error: DriverError) => ({ method, path }: FakeCall) => {
  if (method === "upload" && path === "bad") throw error;
};

Deno.test("Uploader.run() delivers every file, keeps the receipt, and frees the spool", async () => {
  await using bed = new Bed();
  for (let n = 0; n < 50; n++) bed.source.put(`dir/f${n}`, someBytes(1000 * n, n + 1));
  await bed.list();
  bed.start();
  await bed.until(() => bed.told("delivered").length === 50);
  await bed.quiet();
  for (const [path, { bytes }] of bed.source.files) assert.deepEqual(bed.target.files.get(path)?.bytes, bytes);
  assert.deepEqual([bed.spool.usedBytes, bed.spoolBytes()], [0, 0]);
  assert.equal(bed.delivery("dir/f1")["receipt_path"], "dir/f1");
  assert.equal(bed.file("dir/f1")["state"], "done");
});

for (const code of ["failed", "corrupt", "changed", "not_found", "rejected"] as ErrorCode[]) {
  Deno.test(`Uploader.run() parks a delivery that ends with "${code}" and delivers its neighbour`, async () => {
    await using bed = await spooled({ bad: "some bytes", good: "other bytes" });
    bed.target.script = failing(new DriverError(code, "Words of the driver", { hint: "Look at it" }));
    bed.start();
    await bed.exhaust();
    const row = bed.delivery("bad");
    assert.deepEqual([row["state"], row["code"], row["reason"], row["hint"]], [
      "parked",
      code,
      "Words of the driver",
      "Look at it",
    ]);
    assert.equal(bed.target.count("upload", "bad"), code === "rejected" ? 1 : 3);
    assert.equal(bed.file("good")["state"], "done");
    assert.equal(bed.file("bad")["state"], "spooled", "it is kept");
    assert.deepEqual(bed.told("parked"), ["bad"]);
    assert.deepEqual(bed.log.lines.filter((line) => line.startsWith("error")), []);
  });
}

for (const code of ["unavailable", "held", "invalid_config", "unsupported", "denied", "no_space"] as ErrorCode[]) {
  Deno.test(`Uploader.run() counts no attempt against a delivery when "${code}" speaks of the device`, async () => {
    await using bed = await spooled({ bad: "some bytes", good: "other bytes" });
    bed.target.script = failing(new DriverError(code, "Not now"));
    bed.start();
    await bed.until(() => bed.target.count("upload", "bad") >= 20 && bed.file("good")["state"] === "done");
    await bed.stop();
    const row = bed.delivery("bad");
    assert.deepEqual([row["state"], row["attempts"], row["retry_at_ms"]], ["waiting", 0, 0]);
  });
}

Deno.test('Uploader.run() backs off one delivery for an hour when "denied" speaks of the file', async () => {
  await using bed = await spooled({ bad: "some bytes", good: "other bytes" });
  bed.target.script = failing(new DriverError("denied", "No", { scope: "file" }));
  bed.start();
  await bed.quiet();
  const row = bed.delivery("bad");
  assert.deepEqual([row["state"], row["attempts"]], ["waiting", 0]);
  const waitMs = (row["retry_at_ms"] as number) - performance.now();
  assert.ok(waitMs > 40 * 60_000 && waitMs < 80 * 60_000, `about an hour: ${waitMs}`);
  assert.equal(bed.file("good")["state"], "done");
});

Deno.test('Uploader.run() parks after the last attempt when every whole upload is "corrupt"', async () => {
  await using bed = await spooled({ bad: someBytes(100_000) });
  bed.target.afterwards = ({ method }) => {
    if (method !== "upload") return;
    bed.target.files.clear();
    throw new DriverError("corrupt", "Target read other bytes back");
  };
  bed.start();
  for (let n = 0; n < 20 && bed.delivery("bad")["state"] !== "parked"; n++) {
    await bed.until(() => bed.target.count("upload") > n);
    await bed.quiet();
    bed.store.write(() => bed.store.run("UPDATE delivery SET retry_at_ms = 0"));
    bed.wake();
  }
  assert.equal(bed.target.count("upload"), 3);
});

Deno.test("Uploader.run() asks confirm before it repeats an upload whose answer was lost", async (t) => {
  const losses: [string, DriverError][] = [
    ["by a dead plugin", death("SIGSEGV", false)],
    ["by a killed plugin", death("SIGKILL", false)],
    ['by "uncertain"', new DriverError("uncertain", "Connection ended before the reply")],
    ['by "failed"', new DriverError("failed", "Something")],
    ['by "unavailable"', new DriverError("unavailable", "Connection ended")],
  ];
  for (const [name, error] of losses) {
    await t.step(name, async () => {
      await using bed = await spooled({ bad: "some bytes" });
      bed.target.afterwards = ({ method, nth }) => {
        if (method === "upload" && nth === 0) throw error;
      };
      bed.start();
      await bed.exhaust();
      assert.equal(bed.delivery("bad")["state"], "delivered");
      assert.deepEqual(bed.target.calls, ["upload bad", "confirm bad"]);
      assert.deepEqual([...bed.target.files.keys()], ["bad"], "no duplicate");
    });
  }
});

Deno.test("Uploader.run() asks confirm first for what an earlier process left in uploading", async () => {
  await using bed = await spooled({ bad: "some bytes" });
  bed.store.write(() => bed.store.run("UPDATE delivery SET started = 1, asked_path = 'bad'"));
  bed.start();
  await bed.exhaust();
  assert.deepEqual(bed.target.calls, ["confirm bad", "upload bad"]);
});

Deno.test("Uploader.run() repeats without confirm only where that leaves one file", async (t) => {
  const lost = (bed: Bed) => {
    bed.target.afterwards = ({ method, nth }: FakeCall) => {
      if (method === "upload" && nth === 0) throw death("SIGKILL", false);
    };
  };
  await t.step("repeatable: again", async () => {
    await using bed = await spooled({ bad: "some bytes" });
    bed.target.can = { repeatable: true };
    lost(bed);
    bed.start();
    await bed.exhaust();
    assert.deepEqual([bed.target.calls, bed.delivery("bad")["state"]], [["upload bad", "upload bad"], "delivered"]);
  });
  await t.step("not repeatable, hold: uncertain", async () => {
    await using bed = await spooled({ bad: "some bytes" });
    bed.target.can = {};
    lost(bed);
    bed.start();
    await bed.exhaust();
    assert.deepEqual([bed.told("uncertain"), bed.delivery("bad")["state"]], [["bad"], "uncertain"]);
    assert.equal(bed.target.count("upload", "bad"), 1, "never sent twice");
    assert.match(String(bed.delivery("bad")["hint"]), /filesync retry/);
  });
  await t.step("not repeatable, retry: again", async () => {
    await using bed = await spooled({ bad: "some bytes" }, { upload: { onUncertain: "retry" } });
    bed.target.can = {};
    lost(bed);
    bed.start();
    await bed.exhaust();
    assert.deepEqual([bed.target.calls, bed.delivery("bad")["state"]], [["upload bad", "upload bad"], "delivered"]);
  });
});

Deno.test("Uploader.run() repeats after an answered failure even where nobody can be asked", async (t) => {
  for (const code of ["failed", "unavailable", "held", "no_space", "denied"] as ErrorCode[]) {
    await t.step(code, async () => {
      await using bed = await spooled({ bad: "some bytes" });
      bed.target.can = {};
      bed.target.script = ({ method, nth }) => {
        if (method === "upload" && nth === 0) throw new DriverError(code, "Server said no");
      };
      bed.start();
      await bed.exhaust();
      assert.deepEqual([bed.target.calls, bed.delivery("bad")["state"]], [["upload bad", "upload bad"], "delivered"]);
    });
  }
});

Deno.test('Uploader.run() holds or retries what the driver itself calls "uncertain"', async (t) => {
  for (const [onUncertain, expected] of [["hold", "uncertain"], ["retry", "delivered"]] as const) {
    await t.step(onUncertain, async () => {
      await using bed = await spooled({ bad: "some bytes", good: "x" }, { upload: { onUncertain } });
      bed.target.can = { callsMax: 1 };
      bed.target.script = ({ method, path, nth }) => {
        if (method === "upload" && path === "bad" && nth === 0) throw new DriverError("uncertain", "No reply");
      };
      bed.start();
      await bed.exhaust();
      assert.equal(bed.delivery("bad")["state"], expected);
      assert.equal(bed.delivery("good")["state"], "delivered");
    });
  }
});

Deno.test("Uploader.run() refuses a receipt that does not fit", async (t) => {
  const receipts: [string, Record<string, unknown>][] = [
    ["a wrong size", { path: "bad", sizeBytes: 9, verified: "size" }],
    ["a path that climbs", { path: "../bad", sizeBytes: 10, verified: "size" }],
    ["an absolute path", { path: "/bad", sizeBytes: 10, verified: "size" }],
    ["a wrong SHA-256", {
      path: "bad",
      sizeBytes: 10,
      verified: "checksum",
      checksum: { algorithm: "sha256", value: "0".repeat(64) },
    }],
  ];
  for (const [name, receipt] of receipts) {
    await t.step(name, async () => {
      await using bed = await spooled({ bad: "some bytes", good: "good bytes!" });
      bed.target.script = ({ method, path }) => path === "bad" && method === "upload" ? receipt : undefined;
      bed.start();
      await bed.exhaust();
      assert.deepEqual([bed.delivery("bad")["state"], bed.file("bad")["state"]], ["parked", "spooled"]);
      assert.equal(bed.file("good")["state"], "done");
      assert.deepEqual(Deno.readTextFileSync(spoolPath(bed, "bad")), "some bytes");
    });
  }
});

Deno.test("Uploader.run() has a file fetched again when its spool file is damaged", async (t) => {
  const damages: [string, (path: string) => void][] = [
    ["missing", (path) => Deno.removeSync(path)],
    ["shorter", (path) => Deno.truncateSync(path, 3)],
    ["other bytes of the same size", (path) => Deno.writeTextFileSync(path, "SOME BYTES")],
    ["a symlink", (path) => {
      Deno.renameSync(path, `${path}.aside`);
      Deno.symlinkSync(`${path}.aside`, path);
    }],
  ];
  for (const [name, damage] of damages) {
    await t.step(name, async () => {
      await using bed = await spooled({ bad: "some bytes" });
      await laterThan(spoolPath(bed, "bad"));
      damage(spoolPath(bed, "bad"));
      bed.start();
      await bed.untilWithoutBackoff(() => bed.told("delivered").length === 1);
      await bed.quiet();
      assert.equal(bed.target.text("bad"), "some bytes");
      assert.equal(bed.source.count("download"), 2);
      assert.equal(bed.spool.usedBytes, 0);
    });
  }
});

Deno.test("Uploader.run() takes a spool file that was only touched, since its bytes are the same", async () => {
  await using bed = await spooled({ bad: "some bytes" });
  Deno.utimeSync(spoolPath(bed, "bad"), 1, 1);
  bed.start();
  await bed.exhaust();
  assert.deepEqual([bed.source.count("download"), bed.target.text("bad")], [1, "some bytes"]);
});

Deno.test("Uploader.run() looks for rot in the spool when a target sees other bytes than it was promised", async () => {
  await using bed = await spooled({ bad: "some bytes" });
  bed.target.script = ({ method, params, nth }) => {
    if (method !== "upload" || nth > 0) return;
    // The disk turns a bit after the check.
    Deno.writeTextFileSync((params as UploadParams).spoolFile, "some bytez");
    throw new DriverError("corrupt", "SHA-256 differs");
  };
  bed.start();
  await bed.untilWithoutBackoff(() => bed.told("delivered").length === 1);
  assert.equal(bed.target.text("bad"), "some bytes");
  assert.equal(bed.source.count("download"), 2);
});

Deno.test("Uploader.run() gives up a target whose driver damages the spool file at each attempt", async () => {
  await using bed = await spooled({ bad: "some bytes" });
  bed.target.script = ({ method, params }) => {
    if (method !== "upload") return;
    Deno.writeTextFileSync((params as UploadParams).spoolFile, "some bytez");
    throw new DriverError("failed", "No");
  };
  bed.start();
  await bed.untilWithoutBackoff(() => bed.told("parked").length === 1);
  await bed.quiet();
  assert.ok(bed.target.count("upload") <= 6, "each damage but the first is an attempt");
  assert.ok(bed.source.count("download") <= 7);
  assert.equal(bed.delivery("bad")["state"], "parked");
});

Deno.test("Uploader.run() believes no receipt of a driver that wrote to the spool file", async () => {
  await using bed = await spooled({ bad: "some bytes" });
  await laterThan(spoolPath(bed, "bad"));
  bed.target.script = ({ method, params, nth }) => {
    if (method === "upload" && nth === 0) Deno.writeTextFileSync((params as UploadParams).spoolFile, "some bytez");
  };
  bed.start();
  await bed.untilWithoutBackoff(() => bed.told("delivered").length === 1);
  assert.equal(bed.source.count("download"), 2);
  assert.equal(bed.target.count("confirm"), 1, "the target is asked what it has now");
});

Deno.test("Uploader.run() never adopts damaged bytes when the program dies while it repairs the spool", async () => {
  await using bed = await spooled({ bad: "some bytes" });
  const path = spoolPath(bed, "bad");
  await laterThan(path);
  Deno.writeTextFileSync(path, "SOME BYTES");
  let whenCommitted: boolean | undefined;
  const durable = bed.store.durable.bind(bed.store);
  bed.store.durable = async () => {
    if (bed.file("bad")["state"] === "found") whenCommitted ??= await Deno.lstat(path).then(() => true, () => false);
    return await durable();
  };
  bed.start({ download: false });
  await bed.until(() => whenCommitted !== undefined);
  assert.equal(whenCommitted, false, "the damaged file is gone before the row says that it is to be fetched");
});

Deno.test("Uploader.run() keeps a delivery delivered when its spool file cannot be removed", async () => {
  await using bed = await spooled({ bad: "some bytes", good: "good bytes" });
  bed.target.afterwards = ({ method, path }) => {
    if (method !== "upload" || path !== "bad") return;
    Deno.removeSync(spoolPath(bed, "bad"));
    Deno.mkdirSync(spoolPath(bed, "bad"));
  };
  bed.start();
  await bed.until(() => bed.told("delivered").length === 2);
  await bed.exhaust();
  assert.deepEqual([bed.delivery("bad")["state"], bed.file("bad")["state"]], ["delivered", "done"]);
  assert.equal(bed.target.count("upload", "bad"), 1);
});

Deno.test("Uploader.run() waits with what it has delivered while the disk of the store is full", async () => {
  await using bed = await spooled({ bad: "some bytes" });
  const durable = bed.store.durable.bind(bed.store);
  let isFull = true;
  bed.store.durable = () => {
    if (!isFull || bed.delivery("bad")["state"] !== "delivered") return durable();
    isFull = false;
    bed.store.write(() => bed.store.run("UPDATE delivery SET state = 'uploading', started = 1, receipt_path = NULL"));
    bed.store.write(() => bed.store.run("UPDATE file SET state = 'spooled'"));
    return Promise.reject(new StateError("no_space", "No space left"));
  };
  bed.start();
  await bed.until(() => bed.file("bad")["state"] === "done");
  assert.deepEqual(bed.target.calls, ["upload bad", "confirm bad"]);
});

Deno.test("Uploader.run() survives a full disk of the store while it repairs the spool", async () => {
  await using bed = await spooled({ bad: "some bytes", good: "good bytes" });
  Deno.truncateSync(spoolPath(bed, "bad"), 1);
  const durable = bed.store.durable.bind(bed.store);
  let isFull = true;
  bed.store.durable = () => {
    if (!isFull || bed.file("bad")["state"] !== "found") return durable();
    isFull = false;
    bed.store.write(() => bed.store.run("UPDATE file SET state = 'spooled' WHERE path = 'bad'"));
    return Promise.reject(new StateError("no_space", "No space left"));
  };
  bed.start();
  await bed.until(() => bed.file("good")["state"] === "done");
  assert.equal(bed.target.text("good"), "good bytes");
});

Deno.test("Uploader.run() goes on to the second target when the first one is dead", async () => {
  await using bed = await spooled({ a: "bytes of a", b: "bytes of b" }, { targets: ["nas", "cloud"] });
  bed.targets[0]!.script = () => {
    throw new DriverError("unavailable", "Dead");
  };
  const before = bed.releases;
  bed.start();
  await bed.until(() => bed.told("delivered").length === 2);
  await bed.stop();
  assert.equal(bed.releases, before + 2, "a full spool may let go now what only the dead target needs");
  assert.equal(bed.targets[1]!.text("b"), "bytes of b");
  assert.equal(bed.delivery("a", "nas")["state"], "waiting");
  assert.equal(bed.file("a")["state"], "spooled", "the dead target still needs it");
});

Deno.test("Uploader.run() gives the driver's resume state back, also to confirm, and drops it with the receipt", async () => {
  await using bed = await spooled({ bad: someBytes(1000) });
  const seen: unknown[] = [];
  bed.target.script = ({ method, params, nth, options }) => {
    seen.push([method, (params as UploadParams).resume]);
    if (method !== "upload") return;
    if (nth === 0) {
      options.onProgress?.({ doneBytes: 10, resume: { id: 7 } });
      throw death("SIGKILL", false);
    }
    if (nth === 1) throw new DriverError("failed", "Again", { resume: { id: 8 } });
    if (nth === 2) throw new DriverError("changed", "The session is void");
  };
  bed.start();
  await bed.until(() => bed.target.count("upload") >= 1);
  await bed.exhaust();
  assert.deepEqual(seen, [
    ["upload", undefined],
    ["confirm", { id: 7 }],
    ["upload", { id: 7 }],
    ["confirm", { id: 8 }],
    ["upload", { id: 8 }],
    ["confirm", undefined],
    ["upload", undefined],
  ]);
  assert.deepEqual([bed.delivery("bad")["state"], bed.delivery("bad")["resume"]], ["delivered", null]);
});

Deno.test("Uploader.run() stops at once, requeues what is under way, and loses nothing", async () => {
  await using bed = await spooled({ a: "a bytes", b: "b bytes", c: "c bytes" });
  const begun = Promise.withResolvers<void>();
  bed.target.script = ({ method, options }) => {
    if (method !== "upload") return;
    if (bed.target.count("upload") === 3) begun.resolve();
    return new Promise((_, reject) => options.signal?.addEventListener("abort", () => reject(new Error("late"))));
  };
  bed.start();
  await begun.promise;
  await bed.stop();
  for (const path of ["a", "b", "c"]) {
    const row = bed.delivery(path);
    assert.deepEqual([row["state"], row["attempts"], row["started"]], ["waiting", 0, 1]);
  }
  bed.target.script = () => {};
  bed.start();
  await bed.exhaust();
  assert.equal(bed.target.count("confirm"), 3, "each is asked for before it is sent again");
  assert.equal(bed.target.files.size, 3);
});

Deno.test("Uploader.run() tells the gate how each upload ended", async () => {
  const seen: OpenAccess[] = [];
  await using bed = await spooled({ a: "bytes" }, {
    access: (name, device) => {
      const access = new OpenAccess(name, device);
      seen.push(access);
      return access;
    },
  });
  const error = new DriverError("failed", "x");
  bed.target.script = ({ nth, method }) => {
    if (method === "upload" && nth === 0) throw error;
  };
  bed.start();
  await bed.exhaust();
  assert.deepEqual(seen[1]!.ended, [error, undefined]);
  assert.equal(sha256(bed.target.files.get("a")!.bytes), bed.file("a")["sha256"]);
});
