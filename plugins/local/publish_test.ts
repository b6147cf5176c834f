import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { temporaryPath, type UploadParams } from "../../lib/driver/mod.ts";
import { claim, isRefusedName } from "./publish.ts";
import { LocalRoot } from "./local_root.ts";
import { newDriver, testCall, withDriver } from "./test_call.ts";

async function paramsOf(base: string, path: string, bytes: Uint8Array): Promise<UploadParams> {
  const spoolFile = `${base}/spool/1`;
  await Deno.writeFile(spoolFile, bytes, { mode: 0o600 });
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { spoolFile, path, sizeBytes: bytes.length, sha256, modifiedMs: 1_699_999_980_123, onExisting: "rename" };
}

const bytes = new Uint8Array(600_000).map((_, at) => at * 7 + (at >> 8));

Deno.test("upload() rewrites what a loss of power left as zeros in its temporary file", () =>
  withDriver("target", async (driver, base) => {
    const params = await paramsOf(base, "log.ulg", bytes);
    const left = new Uint8Array(500_000);
    left.set(bytes.subarray(0, 300_000));
    await Deno.writeFile(`${base}/root/${await temporaryPath("log.ulg", params.sha256)}`, left);
    assert.equal((await driver.upload(params, testCall())).verified, "checksum");
    assert.deepEqual(await Deno.readFile(`${base}/root/log.ulg`), bytes);
  }));

Deno.test("isRefusedName() tells a name that cannot be from a file that is gone", async () => {
  const base = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${base}/temporary`, "x");
    let absent: unknown;
    try {
      Deno.renameSync(`${base}/temporary`, `${base}/nowhere/name`);
    } catch (error) {
      absent = error;
    }
    assert.equal(isRefusedName(absent, `${base}/temporary`), true, "exfat-fuse says so of a name with a colon");
    assert.equal(isRefusedName(absent, `${base}/other`), false);
    const invalid = Object.assign(new Error("Invalid argument (os error 22)"), { code: "EINVAL" });
    assert.equal(isRefusedName(invalid, `${base}/temporary`), true, "the kernel's vfat says so");
    assert.equal(isRefusedName(Object.assign(new Error(), { code: "EIO" }), `${base}/temporary`), false);
  } finally {
    await Deno.remove(base, { recursive: true });
  }
});

Deno.test("upload() never writes into a temporary file that was published already", () =>
  withDriver("target", async (driver, base) => {
    const params = await paramsOf(base, "log.ulg", bytes);
    const temporary = `${base}/root/${await temporaryPath("log.ulg", params.sha256)}`;
    // Killed between link and unlink, and then somebody changed the published file.
    await Deno.writeFile(temporary, bytes.subarray(0, 1000));
    await Deno.link(temporary, `${base}/root/log.ulg`);
    assert.equal((await driver.upload(params, testCall())).path, "log~2.ulg");
    assert.deepEqual(await Deno.readFile(`${base}/root/log.ulg`), bytes.slice(0, 1000));
    assert.deepEqual(await Deno.readFile(`${base}/root/log~2.ulg`), bytes);
    await assert.rejects(Deno.lstat(temporary), Deno.errors.NotFound);
  }));

Deno.test("upload() clears its temporary file when it was killed between link and unlink", () =>
  withDriver("target", async (driver, base) => {
    const params = await paramsOf(base, "log.ulg", bytes);
    const temporary = `${base}/root/${await temporaryPath("log.ulg", params.sha256)}`;
    await Deno.writeFile(temporary, bytes);
    await Deno.link(temporary, `${base}/root/log.ulg`);
    assert.equal((await driver.upload(params, testCall())).path, "log.ulg");
    assert.deepEqual([...Deno.readDirSync(`${base}/root`)].map((entry) => entry.name), ["log.ulg"]);
  }));

Deno.test("confirm() clears the temporary name when the upload was killed between link and unlink", () =>
  withDriver("target", async (driver, base) => {
    const params = await paramsOf(base, "log.ulg", bytes);
    const temporary = `${base}/root/${await temporaryPath("log.ulg", params.sha256)}`;
    await Deno.writeFile(temporary, bytes);
    await Deno.link(temporary, `${base}/root/log.ulg`);
    assert.equal((await driver.confirm(params, testCall()))?.path, "log.ulg");
    assert.deepEqual([...Deno.readDirSync(`${base}/root`)].map((entry) => entry.name), ["log.ulg"]);
  }));

/** Lets the next fsync of a file fail as a disk with errors does. */
function failNextSync(): void {
  const { sync } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.sync = function () {
    Deno.FsFile.prototype.sync = sync;
    return Promise.reject(new Error("Input/output error (os error 5)"));
  };
}

Deno.test("upload() drops what it gathered when the fsync fails: a later one would prove nothing", () =>
  withDriver("target", async (driver, base) => {
    const params = await paramsOf(base, "log.ulg", bytes);
    failNextSync();
    await assert.rejects(driver.upload(params, testCall()), { code: "failed" });
    assert.deepEqual([...Deno.readDirSync(`${base}/root`)], []);
  }));

Deno.test("upload() writes anew what has its bytes already when that cannot be fsynced", () =>
  withDriver("target", async (driver, base) => {
    const params = await paramsOf(base, "log.ulg", bytes);
    const final = `${base}/root/log.ulg`;
    await Deno.writeFile(final, bytes);
    const before = Deno.statSync(final).ino;
    failNextSync();
    await assert.rejects(driver.confirm(params, testCall()), { code: "failed" });
    assert.equal(await driver.confirm(params, testCall()), null, "an fsync that works now proves nothing");
    assert.equal((await driver.upload(params, testCall())).path, "log.ulg");
    assert.notEqual(Deno.statSync(final).ino, before);
    assert.deepEqual([...Deno.readDirSync(`${base}/root`)].map((entry) => entry.name), ["log.ulg"]);
    assert.equal((await driver.confirm(params, testCall()))?.path, "log.ulg");
  }));

Deno.test("upload() does not follow a link that lies where its temporary file goes", () =>
  withDriver("target", async (driver, base) => {
    const params = await paramsOf(base, "log.ulg", bytes);
    await Deno.writeTextFile(`${base}/victim`, "untouched");
    await Deno.symlink(`${base}/victim`, `${base}/root/${await temporaryPath("log.ulg", params.sha256)}`);
    await driver.upload(params, testCall());
    assert.equal(await Deno.readTextFile(`${base}/victim`), "untouched");
    assert.deepEqual(await Deno.readFile(`${base}/root/log.ulg`), bytes);
  }));

Deno.test("upload() is rejected when a directory on its way is a link or a file", () =>
  withDriver("target", async (driver, base) => {
    await Deno.mkdir(`${base}/elsewhere`);
    await Deno.symlink(`${base}/elsewhere`, `${base}/root/link`);
    await Deno.writeTextFile(`${base}/root/file`, "x");
    for (const path of ["link/log.ulg", "link/deep/log.ulg", "file/log.ulg"]) {
      await assert.rejects(driver.upload(await paramsOf(base, path, bytes), testCall()), { code: "rejected" });
    }
    assert.deepEqual([...Deno.readDirSync(`${base}/elsewhere`)], []);
    assert.equal(await driver.confirm(await paramsOf(base, "link/log.ulg", bytes), testCall()), null);
  }));

Deno.test("upload() treats a directory or a link under the final name as other content", () =>
  withDriver("target", async (driver, base) => {
    await Deno.mkdir(`${base}/root/dir`);
    await Deno.symlink("nowhere", `${base}/root/link`);
    for (const path of ["dir", "link"]) {
      const params = await paramsOf(base, path, bytes);
      for (const onExisting of ["fail", "replace"] as const) {
        await assert.rejects(driver.upload({ ...params, onExisting }, testCall()), { code: "rejected" });
      }
      assert.equal((await driver.upload(params, testCall())).path, `${path}~2`);
    }
  }));

Deno.test("upload() keeps the time to the millisecond and makes the file readable for others", () =>
  withDriver("target", async (driver, base) => {
    await driver.upload(await paramsOf(base, "log.ulg", bytes), testCall());
    const { mtime, mode } = await Deno.stat(`${base}/root/log.ulg`);
    assert.equal(mtime?.getTime(), 1_699_999_980_123);
    assert.equal((mode ?? 0) & 0o777, 0o644 & ~Deno.umask());
  }));

Deno.test("upload() of the same file by many calls at once publishes it once", () =>
  withDriver("target", async (driver, base) => {
    const params = await paramsOf(base, "a/b/log.ulg", bytes);
    const receipts = await Promise.all(Array.from({ length: 8 }, () => driver.upload(params, testCall())));
    assert.deepEqual(new Set(receipts.map((receipt) => receipt.path)), new Set(["a/b/log.ulg"]));
    assert.deepEqual([...Deno.readDirSync(`${base}/root/a/b`)].map((entry) => entry.name), ["log.ulg"]);
  }));

Deno.test("upload() through two drivers at once never shares a name for two contents", () =>
  withDriver("target", async (first, base) => {
    const second = newDriver("target", base);
    const one = await paramsOf(base, "log.ulg", bytes);
    const two = { ...await paramsOf(`${base}`, "log.ulg", bytes.slice(1)), spoolFile: `${base}/spool/2` };
    await Deno.writeFile(two.spoolFile, bytes.slice(1));
    await Deno.writeFile(one.spoolFile, bytes);
    const receipts = await Promise.all([first.upload(one, testCall()), second.upload(two, testCall())]);
    assert.deepEqual(receipts.map((receipt) => receipt.path).sort(), ["log.ulg", "log~2.ulg"]);
    assert.deepEqual(await Deno.readFile(`${base}/root/${receipts[0]?.path}`), bytes);
    assert.deepEqual(await Deno.readFile(`${base}/root/${receipts[1]?.path}`), bytes.slice(1));
  }));

Deno.test("claim() without hard links, as on FAT, renames onto a free name only", () =>
  withDriver("target", async (_driver, base) => {
    const root = new LocalRoot(`${base}/root`, "target", `${base}/state`);
    const link = () => {
      throw Object.assign(new Error("Operation not permitted (os error 1)"), { code: "EPERM" });
    };
    await Deno.writeTextFile(`${base}/root/temporary`, "new");
    await Deno.writeTextFile(`${base}/root/taken`, "old");
    assert.equal(claim(root, `${base}/root/temporary`, "taken", link), false);
    assert.equal(await Deno.readTextFile(`${base}/root/taken`), "old");
    assert.equal(claim(root, `${base}/root/temporary`, "free", link), true);
    assert.equal(await Deno.readTextFile(`${base}/root/free`), "new");
    await assert.rejects(Deno.lstat(`${base}/root/temporary`), Deno.errors.NotFound);
  }));

Deno.test("upload() keeps holes, and the bytes around them", () =>
  withDriver("target", async (driver, base) => {
    const sparse = new Uint8Array(3_000_000);
    sparse.set(bytes.subarray(0, 1000), 1_500_000);
    const params = await paramsOf(base, "sparse.ulg", sparse);
    await driver.upload(params, testCall());
    assert.deepEqual(await Deno.readFile(`${base}/root/sparse.ulg`), sparse);
    const { blocks } = await Deno.stat(`${base}/root/sparse.ulg`);
    assert.ok((blocks ?? 0) * 512 < 1_000_000, `${blocks} blocks`);
  }));
