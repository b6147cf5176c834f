import assert from "node:assert/strict";
import { DriverError, type Entry } from "../driver/mod.ts";
import { Bed } from "../../tests/support/engine_bed.ts";
import type { OpenAccess } from "../../tests/support/fake_device.ts";
import { compileRules } from "./rules.ts";

Deno.test("listSource() finds the files of every folder, with a recursive driver and with one that is not", async (t) => {
  for (const recursiveList of [true, false]) {
    await t.step(recursiveList ? "recursive" : "folder by folder", async () => {
      await using bed = new Bed();
      bed.source.can = { recursiveList };
      for (const path of ["a", "b/c", "b/d/e", "f/g/h/i"]) bed.source.put(path, path);
      const result = await bed.list();
      assert.equal(result.found, 4);
      assert.deepEqual(bed.told("found").sort(), ["a", "b/c", "b/d/e", "f/g/h/i"]);
      assert.equal(bed.source.count("list"), recursiveList ? 1 : 6);
    });
  }
});

Deno.test("listSource() fails as a whole when one folder fails, keeps what it found, and calls nothing gone", async () => {
  await using bed = new Bed();
  bed.source.can = {};
  for (const path of ["a", "b/c", "d/e"]) bed.source.put(path, path);
  await bed.list();
  bed.source.files.clear();
  for (const path of ["new", "b/c", "d/e"]) bed.source.put(path, path);
  bed.source.script = ({ method, path }) => {
    if (method === "list" && path === "b") throw new DriverError("failed", "I/O error");
  };
  await assert.rejects(bed.list(), { code: "failed" });
  assert.deepEqual(bed.told("gone"), []);
  assert.equal(bed.file("new")["state"], "found");
  bed.source.script = () => {};
  await bed.list();
  assert.deepEqual(bed.told("gone"), ["a"]);
});

Deno.test("listSource() lists all others when one folder is closed to us, and says so of that one", async () => {
  await using bed = new Bed();
  bed.source.can = {};
  for (const path of ["a", "b/c", "b/d/e", "f/g"]) bed.source.put(path, path);
  await bed.list();
  bed.source.files.delete("a");
  bed.source.put("f/new", "new");
  bed.source.script = ({ method, path }) => {
    if (method !== "list") return;
    if (path === "b") throw new DriverError("denied", "Permission denied", { scope: "file" });
    if (path === "f/g") throw new DriverError("not_found", "No such directory");
  };
  await bed.list();
  assert.deepEqual(bed.told("parked"), ["b"]);
  assert.match(String(bed.file("b")["reason"]), /^Folder cannot be listed: Permission denied$/);
  assert.deepEqual(bed.told("gone"), ["a"], "what lies in a folder that cannot be looked into is not missing");
  assert.equal(bed.file("f/new")["state"], "found");
  bed.source.script = () => {};
  await bed.list();
  assert.deepEqual(bed.told("gone"), ["a", "b"], "open again: nothing is wrong with the folder itself");
  assert.equal(bed.file("b/d/e")["state"], "found");
});

Deno.test("listSource() lists folders side by side, as many as the device lets it, and ends them all with the first failure", async () => {
  for (const callsMax of [1, 3]) {
    await using bed = new Bed();
    bed.source.can = { callsMax };
    for (let n = 0; n < 12; n++) bed.source.put(`d${n}/below/f`, "f");
    let running = 0;
    let most = 0;
    bed.source.script = async ({ method }) => {
      if (method !== "list") return;
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running--;
    };
    const result = await bed.list();
    assert.equal(result.found, 12);
    assert.equal(bed.source.count("list"), 25);
    assert.equal(most, callsMax);
    bed.source.script = async ({ method, path }) => {
      if (method !== "list") return;
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (path === "d7") throw new DriverError("unavailable", "Connection is gone");
    };
    await assert.rejects(bed.list(), { code: "unavailable", message: "Connection is gone" });
    assert.deepEqual(bed.told("gone"), []);
    bed.source.script = () => {};
    assert.equal((await bed.list()).settling, 0, "all turns were given back");
  }
});

Deno.test("listSource() fails when the root itself is closed to us", async () => {
  await using bed = new Bed();
  bed.source.script = ({ method }) => {
    if (method === "list") throw new DriverError("denied", "Permission denied", { scope: "file" });
  };
  await assert.rejects(bed.list(), { code: "denied" });
});

Deno.test("listSource() says that a root that is not there is unavailable, and calls nothing gone", async () => {
  await using bed = new Bed();
  bed.source.put("a", "a");
  await bed.list();
  bed.source.script = ({ method, path }) => {
    if (method === "list" && path === "") throw new DriverError("not_found", "No such directory");
  };
  await assert.rejects(bed.list(), { code: "unavailable" });
  assert.equal((bed.sourceAccess as OpenAccess).ended.at(-1)?.code, "unavailable", "the gate hears that it is away");
  assert.equal(bed.file("a")["state"], "found");
});

Deno.test("listSource() calls nothing gone when entries were dropped, or the device was swapped meanwhile", async (t) => {
  await t.step("dropped entries", async () => {
    await using bed = new Bed();
    bed.source.put("a", "a");
    await bed.list();
    bed.source.script = ({ method }) => method === "list" ? { ignored: 1 } : undefined;
    await bed.list();
    assert.equal(bed.file("a")["state"], "found");
  });
  await t.step("another card", async () => {
    await using bed = new Bed();
    bed.source.deviceId = "card-a";
    bed.source.put("a", "a");
    await bed.list();
    bed.source.script = ({ method }) => {
      if (method !== "list") return;
      bed.source.deviceId = "card-b";
      return { ignored: 0 };
    };
    await assert.rejects(bed.list(), { code: "unavailable" });
    assert.equal(bed.file("a")["state"], "found");
  });
});

Deno.test("listSource() leaves out what the rules do not want, and our own unfinished uploads", async () => {
  await using bed = new Bed();
  const isWanted = compileRules({ include: ["*.ulg"], exclude: ["old/*"], minSizeBytes: 1 });
  for (const path of ["a.ulg", "old/b.ulg", "c.txt", "d/filesync-0123456789abcdef.part", "filesync-x.part.ulg"]) {
    bed.source.put(path, "x");
  }
  bed.source.put("empty.ulg", "");
  await bed.list({ isWanted });
  assert.deepEqual(bed.told("found").sort(), ["a.ulg", "filesync-x.part.ulg"]);
});

/** A bed whose root lists as `entries()` says. */
function listing(bed: Bed, entries: () => Entry[]): void {
  bed.source.list = async (_params, take) => {
    await take(entries());
    return { ignored: 0 };
  };
}

Deno.test("listSource() parks hostile names with the reason, once, and fetches their neighbours", async () => {
  await using bed = new Bed();
  const hostile = ["../up", "/abs", "a/../b", "nul\0", "cr\rlf\n", "x".repeat(300), "bad\ufffd", "a//b", "."];
  const entries = [...hostile, "good"].map((path): Entry => ({ path, kind: "file", sizeBytes: 1 }));
  listing(bed, () => entries);
  await bed.list();
  assert.deepEqual(bed.told("parked").sort(), [...hostile].sort());
  for (const path of hostile) assert.equal(bed.file(path)["state"], "parked");
  assert.equal(bed.file("good")["state"], "found");
  await bed.list();
  assert.equal(bed.told("parked").length, hostile.length);
  assert.deepEqual(bed.told("gone"), []);
});

Deno.test("listSource() never calls gone what lies in a folder that it could not look into", async () => {
  await using bed = new Bed();
  const inside: Entry = { path: "logs/a.ulg", kind: "file", sizeBytes: 1 };
  const sibling: Entry = { path: "logs2/b.ulg", kind: "file", sizeBytes: 1 };
  let entries = [inside, sibling];
  listing(bed, () => entries);
  await bed.list();
  entries = [{ path: "logs", kind: "directory", problem: "permission denied" }];
  await bed.list();
  assert.equal(bed.file("logs/a.ulg")["state"], "found");
  assert.deepEqual(bed.told("gone"), ["logs2/b.ulg"]);
  entries = [inside];
  await bed.list();
  assert.deepEqual(bed.told("gone"), ["logs2/b.ulg", "logs"], "the folder's mark goes when it can be read again");
});

Deno.test("listSource() has each batch on disk before the next one is read", async () => {
  await using bed = new Bed();
  const pending: boolean[] = [];
  bed.source.list = async (_params, take) => {
    for (let n = 0; n < 5; n++) {
      await take([{ path: `f${n}`, kind: "file", sizeBytes: 1 }]);
      using reader = new (await import("../state/mod.ts")).Store(`${bed.dir}/state.db`, { readOnly: true });
      pending.push(reader.get("SELECT 1 FROM file WHERE path = ?", `f${n}`) !== undefined);
    }
    return { ignored: 0 };
  };
  await bed.list();
  assert.deepEqual(pending, [true, true, true, true, true]);
});

Deno.test("listSource() gives its turn back however it ends", async () => {
  await using bed = new Bed();
  const access = bed.sourceAccess as OpenAccess;
  await bed.list();
  bed.source.script = () => {
    throw new DriverError("held", "Armed");
  };
  await assert.rejects(bed.list(), { code: "held" });
  assert.deepEqual(access.ended.map((error) => error?.code), [undefined, "held"]);
});

Deno.test("listSource() keeps the files of two cards apart", async () => {
  await using bed = new Bed();
  bed.source.put("a", "on both");
  bed.source.deviceId = "card-a";
  const first = await bed.list();
  bed.source.deviceId = "card-b";
  const second = await bed.list();
  assert.notEqual(first.sourceId, second.sourceId);
  assert.deepEqual([first.found, second.found, bed.told("gone")], [1, 1, []]);
});

for (const code of ["held", "unavailable"] as const) {
  Deno.test(`listSource() meets a device that was "${code}" at first, and never takes its name for a swap`, async () => {
    await using bed = new Bed();
    bed.source.put("a", "a");
    let isThere = false;
    bed.source.script = () => {
      if (!isThere) throw new DriverError(code, "Vehicle is armed");
      bed.source.deviceId = "autopilot-7";
    };
    await assert.rejects(bed.list(), { code });
    assert.equal(bed.source.count("list"), 0, "nothing is asked of it in its name");
    isThere = true;
    assert.equal((await bed.list()).found, 1);
    assert.deepEqual(bed.store.all("SELECT device_id FROM source").map((row) => row["device_id"]), ["autopilot-7"]);
  });
}

Deno.test("listSource() tells how long the listing took: a long one is not begun again at once", async () => {
  await using bed = new Bed();
  bed.source.put("a", "a");
  const real = performance.now.bind(performance);
  let passedMs = 0;
  performance.now = () => real() + passedMs;
  try {
    bed.source.script = ({ method }) => {
      if (method === "list") passedMs += 180_000;
    };
    const { tookMs } = await bed.list();
    assert.ok(tookMs >= 180_000, `${tookMs} ms`);
  } finally {
    performance.now = real;
  }
});
