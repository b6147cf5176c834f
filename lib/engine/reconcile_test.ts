import assert from "node:assert/strict";
import { join } from "node:path";
import { Spool } from "../spool/mod.ts";
import { markUploading, nextDeliveries } from "../state/mod.ts";
import { Bed, keptLog } from "../../tests/support/engine_bed.ts";
import { sha256, someBytes } from "../../tests/support/fake_device.ts";
import { reconcile } from "./reconcile.ts";

const SIZE = 1000;
const SYNCED = 400;

/** A bed with one file whose row is in `state`, and these files in its spool. */
async function left(
  state: string,
  files: { part?: number; spool?: number },
  boot: "same" | "other" | "unknown",
): Promise<Bed> {
  const bed = new Bed();
  bed.source.put("a", someBytes(SIZE));
  await bed.list();
  const { store } = bed;
  const id = bed.file("a")["id"] as number;
  store.write(() => {
    store.run(
      "UPDATE file SET state = ?, device_dir = ?, synced_bytes = ?, sha256 = ? WHERE id = ?",
      state,
      bed.deviceDir,
      state === "spooled" ? 0 : SYNCED,
      state === "spooled" || state === "done" ? sha256(someBytes(SIZE)) : null,
      id,
    );
    if (state === "spooled") {
      store.run(
        "INSERT INTO delivery (file_id, target_id, state, size_bytes, changed_ms) VALUES (?, ?, 'waiting', ?, 0)",
        id,
        bed.job.targets[0]!.id,
        SIZE,
      );
    }
    if (boot !== "unknown") store.setMeta("boot_id", boot === "same" ? bootId() : "another boot");
  });
  bed.spool.deviceDir(bed.deviceDir);
  if (files.part !== undefined) {
    Deno.writeFileSync(bed.spool.partialPath(bed.deviceDir, id), someBytes(SIZE + 500).subarray(0, files.part));
  }
  if (files.spool !== undefined) {
    Deno.writeFileSync(bed.spool.filePath(bed.deviceDir, id), someBytes(SIZE + 500).subarray(0, files.spool));
  }
  return bed;
}

const bootId = () => Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();

/** Bytes of the file's partial and of its spool file. */
function lies(bed: Bed): [part: number | undefined, spool: number | undefined] {
  const size = (path: string) => {
    try {
      return Deno.lstatSync(path).size;
    } catch {
      return undefined;
    }
  };
  const id = bed.file("a")["id"] as number;
  return [size(bed.spool.partialPath(bed.deviceDir, id)), size(bed.spool.filePath(bed.deviceDir, id))];
}

type Case = [
  state: string,
  files: { part?: number; spool?: number },
  boot: "same" | "other" | "unknown",
  expected: [state: string, part: number | undefined, spool: number | undefined],
];
const cases: Case[] = [];
for (const boot of ["same", "other", "unknown"] as const) {
  const kept = boot === "same" ? 700 : SYNCED;
  for (const state of ["found", "downloading"]) {
    cases.push(
      [state, {}, boot, ["found", undefined, undefined]],
      [state, { part: 700 }, boot, ["found", kept, undefined]],
      [state, { part: 300 }, boot, ["found", 300, undefined]],
      [state, { spool: SIZE }, boot, ["found", SIZE, undefined]],
    );
  }
  for (const state of ["done", "gone", "parked"]) {
    cases.push([state, { part: 700 }, boot, [state, undefined, undefined]]);
    cases.push([state, { spool: SIZE }, boot, [state, undefined, undefined]]);
  }
  cases.push(
    ["spooled", { spool: SIZE }, boot, ["spooled", undefined, SIZE]],
    ["spooled", { spool: SIZE, part: 10 }, boot, ["spooled", undefined, SIZE]],
    ["spooled", {}, boot, ["found", undefined, undefined]],
    ["spooled", { spool: SIZE - 1 }, boot, ["found", undefined, undefined]],
    ["spooled", { spool: SIZE + 1 }, boot, ["found", undefined, undefined]],
    ["spooled", { spool: 0, part: 10 }, boot, ["found", undefined, undefined]],
    ["spooled", { part: 10 }, boot, ["found", undefined, undefined]],
  );
}

for (const [state, files, boot, expected] of cases) {
  const lay = Object.entries(files).map(([kind, size]) => `${size} bytes of .${kind}`).join(" and ") || "nothing";
  Deno.test(`reconcile() of a row in ${state} and ${lay}, ${boot} boot: ${expected.join(" ")}`, async () => {
    await using bed = await left(state, files, boot);
    await reconcile(bed.store, bed.spool, bed.log);
    assert.deepEqual([bed.file("a")["state"], ...lies(bed)], expected);
    assert.equal(bed.spool.usedBytes, bed.spoolBytes(), "what is counted is what lies there");
  });
}

Deno.test("reconcile() adopts a whole file beside a partial of the same name without counting both", async () => {
  await using bed = await left("found", { part: 700, spool: SIZE }, "same");
  await reconcile(bed.store, bed.spool, bed.log);
  assert.deepEqual(lies(bed), [SIZE, undefined]);
  assert.equal(bed.spool.usedBytes, bed.spoolBytes());
});

Deno.test("reconcile() cuts the partials of another boot even when its first try was cut short", async () => {
  await using bed = await left("found", { part: 700 }, "other");
  const spool = () =>
    new Spool({ dir: join(bed.dir, "spool"), quotaBytes: 2 ** 30, minFreeBytes: 0, storeId: "store-1" });
  const first = spool();
  // The folder cannot be read: the start ends before anything is cut.
  Object.defineProperty(first, "dir", { value: join(bed.dir, "not there") });
  await assert.rejects(reconcile(bed.store, first, bed.log));
  await reconcile(bed.store, spool(), bed.log);
  assert.deepEqual(lies(bed), [SYNCED, undefined]);
});

Deno.test("reconcile() leaves alone what is not ours in the spool, and says so", async () => {
  await using bed = await left("found", {}, "same");
  const dir = join(bed.spool.dir, String(bed.deviceDir));
  const victim = join(bed.dir, "victim");
  Deno.writeTextFileSync(victim, "precious");
  Deno.writeTextFileSync(join(dir, "notes.txt"), "mine");
  Deno.symlinkSync(victim, join(dir, "99.part"));
  Deno.mkdirSync(join(dir, "98.spool"));
  Deno.writeTextFileSync(join(dir, "97.part"), "orphan");
  await reconcile(bed.store, bed.spool, bed.log);
  assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name).sort(), ["98.spool", "99.part", "notes.txt"]);
  assert.equal(Deno.readTextFileSync(victim), "precious");
  assert.match(bed.log.lines.join(), /not ours/);
  assert.equal(bed.spool.usedBytes, 0);
});

const LINES: [state: string, files: { part?: number; spool?: number }, boot: "same" | "other", line: string][] = [
  ["downloading", { part: 700 }, "same", "1 interrupted download, 1 partial file kept"],
  ["found", { part: 700 }, "other", "1 partial file kept, 1 of them cut to what survived a power cut"],
  ["found", { spool: SIZE }, "same", "1 file that was whole but not recorded"],
  ["spooled", {}, "same", "1 spooled file missing: it is fetched again"],
  ["spooled", { spool: 10 }, "same", "1 spooled file of another size: it is fetched again"],
  ["spooled", { spool: SIZE + 1 }, "same", "1 spooled file of another size: it is fetched again"],
  ["spooled", { spool: SIZE }, "other", "1 spooled file that is read again before it is sent"],
  ["done", { spool: SIZE, part: 3 }, "same", "2 leftover files removed"],
];
for (const [state, files, boot, line] of LINES) {
  Deno.test(`reconcile() says: ${line}`, async () => {
    await using bed = await left(state, files, boot);
    await reconcile(bed.store, bed.spool, bed.log);
    assert.deepEqual(bed.log.lines, [`info: Last run ended in the middle; found ${line}`]);
  });
}

for (const kind of ["symlink", "folder"] as const) {
  Deno.test(`reconcile() has a spooled file fetched again that a ${kind} has taken the place of, and says both`, async () => {
    await using bed = await left("spooled", {}, "same");
    const path = bed.spool.filePath(bed.deviceDir, bed.file("a")["id"] as number);
    if (kind === "symlink") Deno.symlinkSync(join(bed.dir, "victim"), path);
    else Deno.mkdirSync(path);
    await reconcile(bed.store, bed.spool, bed.log);
    assert.equal(bed.file("a")["state"], "found");
    assert.match(
      bed.log.lines.join(),
      /1 spooled file missing: it is fetched again, 1 thing in the spool .* not ours, .*\.spool"\)$/,
    );
  });
}

Deno.test("reconcile() has what is in the spool read again after a power cut, and what it lost fetched again", async () => {
  for (const isLost of [false, true]) {
    await using bed = await left("spooled", { spool: SIZE }, "other");
    const path = bed.spool.filePath(bed.deviceDir, bed.file("a")["id"] as number);
    // Zeros of the right length, under the inode and the time that the row knows.
    if (isLost) Deno.writeFileSync(path, new Uint8Array(SIZE));
    const { ino, ctime } = Deno.lstatSync(path);
    bed.store.write(() => bed.store.run("UPDATE file SET spool_inode = ?, spool_ctime_ms = ?", ino!, ctime!.getTime()));
    await reconcile(bed.store, bed.spool, bed.log);
    await bed.list();
    bed.start();
    await bed.until(() => bed.told("delivered").length === 1);
    await bed.quiet();
    assert.equal(sha256(bed.target.files.get("a")!.bytes), sha256(someBytes(SIZE)));
    assert.equal(bed.source.count("download", "a"), isLost ? 1 : 0);
  }
});

Deno.test("reconcile() goes on when the disk lets nothing be removed, says so, and removes it later", async () => {
  await using bed = await left("done", { part: 700 }, "same");
  const path = bed.spool.partialPath(bed.deviceDir, bed.file("a")["id"] as number);
  const { release } = bed.spool;
  bed.spool.release = (path, sizeBytes) => {
    bed.spool.release = release;
    // The file cannot be unlinked while a folder stands in its place.
    Deno.removeSync(path);
    Deno.mkdirSync(join(path, "full"), { recursive: true });
    return release.call(bed.spool, path, sizeBytes);
  };
  await reconcile(bed.store, bed.spool, bed.log);
  assert.match(
    bed.log.lines.join(),
    /error: Cannot put 1 of the spool's files right \(first: ".*\.part": .*tried again/,
  );
  assert.equal(bed.spool.usedBytes, 700);
  Deno.removeSync(path, { recursive: true });
  Deno.writeTextFileSync(path, "");
  await bed.spool.sweep();
  assert.equal(bed.spool.usedBytes, 0);
  assert.throws(() => Deno.lstatSync(path), Deno.errors.NotFound);
});

Deno.test("reconcile() says nothing when nothing was left in the middle", async () => {
  await using bed = await left("done", {}, "same");
  const log = keptLog();
  await reconcile(bed.store, bed.spool, log);
  assert.deepEqual(log.lines, []);
});

Deno.test("reconcile() has a begun upload asked for before it is sent again", async () => {
  await using bed = await left("spooled", { spool: SIZE }, "same");
  const [delivery] = nextDeliveries(bed.store, bed.job.targets[0]!.id, 1);
  markUploading(bed.store, delivery!.id, "a");
  await reconcile(bed.store, bed.spool, bed.log);
  bed.target.put("a", someBytes(SIZE));
  bed.start({ download: false });
  await bed.until(() => bed.told("delivered").length === 1);
  assert.deepEqual(bed.target.calls, ["confirm a"]);
});

Deno.test("reconcile() lets the downloader end what it left: the whole file is proven anew", async () => {
  await using bed = await left("downloading", { spool: SIZE }, "other");
  await reconcile(bed.store, bed.spool, bed.log);
  await bed.list();
  bed.start();
  await bed.until(() => bed.told("delivered").length === 1);
  await bed.quiet();
  assert.equal(sha256(bed.target.files.get("a")!.bytes), sha256(someBytes(SIZE)));
  assert.deepEqual([bed.spool.usedBytes, bed.spoolBytes()], [0, 0]);
});

Deno.test("reconcile() withdraws what a target was offered, and leaves the spool file its name", async () => {
  await using bed = await left("spooled", { spool: SIZE }, "same");
  const id = bed.file("a")["id"] as number;
  const loan = bed.spool.loanPath(7, id);
  bed.spool.deviceDir(7);
  Deno.linkSync(bed.spool.filePath(bed.deviceDir, id), loan);
  await reconcile(bed.store, bed.spool, keptLog());
  assert.throws(() => Deno.lstatSync(loan), Deno.errors.NotFound);
  assert.deepEqual(lies(bed), [undefined, SIZE]);
  assert.equal(bed.spool.usedBytes, SIZE);
});

Deno.test("reconcile() cuts nothing off a file that has another name", async () => {
  for (const kind of ["part", "spool"] as const) {
    await using bed = await left("found", { [kind]: SIZE }, "other");
    const id = bed.file("a")["id"] as number;
    const { spool, deviceDir } = bed;
    const published = join(bed.dir, "published");
    Deno.linkSync(kind === "part" ? spool.partialPath(deviceDir, id) : spool.filePath(deviceDir, id), published);
    await reconcile(bed.store, spool, keptLog());
    assert.deepEqual(Deno.readFileSync(published), someBytes(SIZE + 500).subarray(0, SIZE));
    assert.deepEqual(lies(bed), [undefined, undefined]);
    assert.equal(spool.usedBytes, 0);
  }
});
