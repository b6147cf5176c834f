import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { SpoolError } from "./errors.ts";
import { FileHasher, hashAndSync, hashFile } from "./hash.ts";
import { Loan } from "./loan.ts";
import { publishSpoolFile, removeFile, syncDirectory } from "./publish.ts";
import { readSpool } from "./read_spool.ts";
import { Spool } from "./spool.ts";
import { discardPartial, preparePartial, statSpoolFile } from "./spool_file.ts";

async function inDir(run: (dir: string) => void | Promise<void>): Promise<void> {
  const dir = Deno.makeTempDirSync({ prefix: "filesync-spool-" });
  try {
    await run(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

const open = (dir: string, more: Partial<ConstructorParameters<typeof Spool>[0]> = {}) =>
  new Spool({ dir: join(dir, "spool"), quotaBytes: 1000, minFreeBytes: 0, storeId: "one", ...more });

Deno.test("Spool carries its store's id and refuses another store", async () => {
  await inDir((dir) => {
    open(dir);
    open(dir);
    assert.throws(() => open(dir, { storeId: "two" }), (error) => {
      assert.ok(error instanceof SpoolError && error.code === "foreign");
      assert.match(error.hint ?? "", /spool\.dir/);
      return true;
    });
    assert.equal(Deno.statSync(join(dir, "spool")).mode! & 0o777, 0o700);
  });
});

Deno.test("Spool takes a store's id that a power cut has left without its bytes as none", async () => {
  await inDir((dir) => {
    const file = join(dir, "spool", "store.id");
    for (const left of ["", "\0".repeat(37)]) {
      Deno.mkdirSync(join(dir, "spool"), { recursive: true });
      Deno.writeTextFileSync(file, left);
      open(dir);
      assert.equal(Deno.readTextFileSync(file), "one\n");
    }
    assert.deepEqual([...Deno.readDirSync(join(dir, "spool"))].map(({ name }) => name), ["store.id"]);
  });
});

Deno.test("Spool tells what is wrong when it cannot be made", async () => {
  await inDir((dir) => {
    Deno.writeTextFileSync(join(dir, "file"), "");
    assert.throws(() => open(join(dir, "file")), (error) => {
      assert.ok(error instanceof SpoolError && error.code === "unwritable");
      assert.match(`${error.message} ${error.hint}`, /Cannot use the spool ".*file\/spool": .* df -h/);
      return true;
    });
  });
});

Deno.test("Spool.distrust() removes what an fsync failed for, and does not believe what cannot be removed", async () => {
  await inDir(async (dir) => {
    const spool = open(dir);
    spool.deviceDir(1);
    const path = spool.partialPath(1, 7);
    Deno.writeTextFileSync(path, "half");
    await spool.distrust(path);
    assert.deepEqual([statSpoolFile(path), spool.believes(path)], [undefined, true]);
    // A folder in its place is what cannot be unlinked.
    Deno.mkdirSync(join(path, "full"), { recursive: true });
    await spool.distrust(path);
    assert.equal(spool.believes(path), false);
    spool.noteFresh(path);
    assert.equal(spool.believes(path), true);
  });
});

Deno.test("reserve() keeps to the quota over success, failure and resume", async () => {
  await inDir((dir) => {
    const spool = open(dir);
    let rooms = 0;
    spool.onRoom = () => rooms++;
    const first = spool.reserve(600, 0)!;
    assert.equal(spool.reserve(401, 0), undefined);
    const second = spool.reserve(400, 0)!;
    first.end(200);
    first.end(200);
    assert.deepEqual([spool.usedBytes, rooms], [200, 1], "a partial of 200 bytes is left");
    second.end(400);
    assert.deepEqual([spool.usedBytes, rooms], [600, 1]);
    assert.equal(spool.reserve(601, 200), undefined, "the rest of it is 401 bytes");
    const resumed = spool.reserve(600, 200)!;
    resumed.end(600);
    assert.equal(spool.usedBytes, 1000);
    spool.free(400);
    assert.deepEqual([spool.usedBytes, rooms], [600, 2]);
    spool.reserve(400, 0)!.end(0);
    assert.deepEqual([spool.usedBytes, rooms], [600, 3]);
  });
});

Deno.test("reserve() takes a file of the quota's size, refuses a larger one for good, and knows empty files", async () => {
  await inDir((dir) => {
    const spool = open(dir);
    assert.throws(() => spool.reserve(1001, 0), (error) => error instanceof SpoolError && error.code === "too_large");
    const whole = spool.reserve(1000, 0)!;
    spool.reserve(0, 0)!.end(0);
    whole.end(1000);
    assert.equal(spool.usedBytes, 1000);
  });
});

Deno.test("reserve() leaves the minimum of free disk alone, what is reserved counted", async () => {
  await inDir((dir) => {
    const quotaBytes = Number.MAX_SAFE_INTEGER;
    const free = open(dir, { quotaBytes }).freeBytes();
    const half = Math.floor(free / 2);
    const spool = open(dir, { quotaBytes, minFreeBytes: half });
    assert.equal(spool.reserve(free, 0), undefined);
    const some = spool.reserve(Math.floor(free / 3), 0);
    assert.ok(some !== undefined);
    assert.equal(spool.reserve(Math.floor(free / 3), 0), undefined);
    some.end(0);
  });
});

Deno.test("preparePartial() makes a file that only we may read, and cuts an old one to what is kept", async () => {
  await inDir((dir) => {
    const path = join(dir, "1.part");
    assert.equal(preparePartial(path, 50).keptBytes, 0);
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    Deno.writeFileSync(path, new Uint8Array(100));
    assert.equal(preparePartial(path, 1000).keptBytes, 100);
    assert.equal(preparePartial(path, 60).keptBytes, 60);
    assert.equal(Deno.statSync(path).size, 60);
    assert.equal(preparePartial(path, 0).keptBytes, 0);
  });
});

Deno.test("preparePartial() puts a file of its own in the place of a link, a folder and a pipe", async () => {
  await inDir(async (dir) => {
    const victim = join(dir, "victim");
    Deno.writeTextFileSync(victim, "precious");
    Deno.symlinkSync(victim, join(dir, "link"));
    Deno.symlinkSync(join(dir, "nowhere"), join(dir, "dangling"));
    Deno.linkSync(victim, join(dir, "second-name"));
    Deno.mkdirSync(join(dir, "folder/below"), { recursive: true });
    await new Deno.Command("mkfifo", { args: [join(dir, "pipe")] }).output();
    for (const name of ["link", "dangling", "folder", "pipe"]) {
      assert.equal(statSpoolFile(join(dir, name)), undefined);
    }
    for (const name of ["link", "dangling", "second-name", "folder", "pipe"]) {
      assert.equal(preparePartial(join(dir, name), 100).keptBytes, 0);
      assert.equal(statSpoolFile(join(dir, name))?.sizeBytes, 0);
    }
    assert.equal(Deno.readTextFileSync(victim), "precious");
    assert.throws(() => Deno.statSync(join(dir, "nowhere")), Deno.errors.NotFound);
  });
});

Deno.test("readSpool() tells our files from what is not ours", async () => {
  await inDir((dir) => {
    const spool = open(dir);
    const folder = spool.deviceDir(7);
    Deno.writeTextFileSync(spool.partialPath(7, 1), "abc");
    Deno.writeTextFileSync(spool.filePath(7, 2), "abcd");
    Deno.writeTextFileSync(join(folder, "x.spool"), "");
    Deno.mkdirSync(join(spool.dir, "other"));
    const { files, strangers } = readSpool(spool.dir);
    assert.deepEqual(
      files.map(({ device, fileId, kind, sizeBytes }) => [device, fileId, kind, sizeBytes]).sort(),
      [[7, 1, "part", 3], [7, 2, "spool", 4]],
    );
    assert.deepEqual(strangers, [join(folder, "x.spool")]);
    discardPartial(spool.partialPath(7, 1));
    discardPartial(spool.partialPath(7, 1));
  });
});

Deno.test("hashing gives the SHA-256 of the bytes on the disk, at once, small or while the file grows", async () => {
  await inDir(async (dir) => {
    const path = join(dir, "file");
    const bytes = crypto.getRandomValues(new Uint8Array(65536));
    const file = Deno.openSync(path, { write: true, create: true });
    const hasher = new FileHasher(path);
    const expected = createHash("sha256");
    let size = 0;
    for (let n = 0; n < 50; n++) {
      file.writeSync(bytes);
      expected.update(bytes);
      size += bytes.length;
      hasher.follow(size);
      if (n % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    file.close();
    const sha256 = expected.digest("hex");
    assert.deepEqual(await hasher.finish(size), { sha256, readBytes: size });
    assert.deepEqual(await hashFile(path, size), { sha256, readBytes: size });
    assert.deepEqual(await hashAndSync(path, size), { sha256, readBytes: size });
    assert.equal((await hashFile(path, size + 10)).readBytes, size, "a file that ends too soon shows");
    assert.equal((await hashAndSync(path, size + 10)).readBytes, size);
    const empty = createHash("sha256").digest("hex");
    assert.equal((await hashFile(path, 0)).sha256, empty);
  });
});

Deno.test("FileHasher fails in finish() when the file cannot be read, and leaves no handle", async () => {
  await inDir(async (dir) => {
    const hasher = new FileHasher(join(dir, "absent"));
    hasher.follow(10);
    await assert.rejects(hasher.finish(10), Deno.errors.NotFound);
  });
});

Deno.test("publishSpoolFile() renames, and any number of them share the folder's fsync", async () => {
  await inDir(async (dir) => {
    await Promise.all(Array.from({ length: 50 }, async (_, n) => {
      Deno.writeTextFileSync(join(dir, `${n}.part`), String(n));
      await publishSpoolFile(join(dir, `${n}.part`), join(dir, `${n}.spool`));
    }));
    assert.equal([...Deno.readDirSync(dir)].filter(({ name }) => name.endsWith(".spool")).length, 50);
    await Promise.all([syncDirectory(dir), syncDirectory(dir), syncDirectory(dir)]);
    await assert.rejects(Promise.all([syncDirectory(join(dir, "no")), syncDirectory(join(dir, "no"))]));
    await assert.rejects(syncDirectory(join(dir, "no")), "a failure is not remembered as a success");
    await removeFile(join(dir, "0.spool"));
    await removeFile(join(dir, "0.spool"));
  });
});

Deno.test("Loan is a second name of a spool file until somebody takes it or it is taken back", async () => {
  await inDir(async (dir) => {
    const [path, loan] = [join(dir, "1.spool"), join(dir, "1.loan")];
    Deno.writeTextFileSync(path, "whole");
    // What a crash has left is no hindrance.
    Deno.writeTextFileSync(loan, "old");
    const first = Loan.offer(path, loan)!;
    assert.equal(Deno.readTextFileSync(first.path), "whole");
    assert.deepEqual([first.isTaken, first.stat.links, statSpoolFile(path)!.links], [false, 2, 2]);
    await first.end();
    assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name), ["1.spool"]);
    const second = Loan.offer(path, loan)!;
    Deno.renameSync(loan, join(dir, "published"));
    assert.ok(second.isTaken);
    await second.end();
    assert.equal(Deno.readTextFileSync(path), "whole");
    assert.equal(Loan.offer(path, join(dir, "gone", "1.loan")), undefined, "where it cannot be linked it is copied");
  });
});

Deno.test("Spool.unshare() leaves the other name its bytes and the spool a file of its own, with its holes", async () => {
  await inDir(async (dir) => {
    const spool = open(dir);
    spool.deviceDir(1);
    const path = spool.filePath(1, 7);
    const bytes = new Uint8Array(5 * 2 ** 20 + 3);
    bytes.fill(1, 0, 1000);
    bytes.fill(2, 4 * 2 ** 20);
    bytes.fill(0, 5 * 2 ** 20);
    Deno.writeFileSync(path, bytes, { mode: 0o644 });
    Deno.linkSync(path, join(dir, "published"));
    const [first, second] = await Promise.all([spool.unshare(1, 7), spool.unshare(1, 7)]);
    assert.equal(first, createHash("sha256").update(bytes).digest("hex"));
    assert.equal(second, first);
    Deno.writeTextFileSync(join(dir, "published"), "other");
    assert.deepEqual(Deno.readFileSync(path), bytes);
    const info = Deno.statSync(path);
    assert.deepEqual([info.mode! & 0o777, info.nlink], [0o600, 1]);
    assert.ok(info.blocks! * 512 < 3 * 2 ** 20, "holes stay holes");
    assert.deepEqual([...Deno.readDirSync(join(spool.dir, "1"))].map(({ name }) => name), ["7.spool"]);
  });
});

Deno.test("Spool.release() comes after a copy that is put in the file's place, and leaves nothing", async () => {
  await inDir(async (dir) => {
    const spool = open(dir);
    spool.deviceDir(1);
    const path = spool.filePath(1, 7);
    Deno.writeFileSync(path, new Uint8Array(8 * 2 ** 20).fill(1));
    Deno.linkSync(path, join(dir, "published"));
    const copying = spool.unshare(1, 7);
    await Promise.all([copying, spool.release(path, 8 * 2 ** 20)]);
    assert.deepEqual([...Deno.readDirSync(join(spool.dir, "1"))], []);
  });
});

Deno.test("Spool.unshare() that fails changes nothing", async () => {
  await inDir(async (dir) => {
    const spool = open(dir);
    spool.deviceDir(1);
    await assert.rejects(spool.unshare(1, 7), Deno.errors.NotFound);
    assert.deepEqual([...Deno.readDirSync(join(spool.dir, "1"))], []);
  });
});
