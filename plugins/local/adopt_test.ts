import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { temporaryPath, type UploadParams } from "../../lib/driver/mod.ts";
import { testNeeding } from "../../tests/support/needs.ts";
import { newDriver, testCall, withDriver } from "./test_call.ts";

const bytes = new Uint8Array(100_000).map((_, at) => at * 7 + (at >> 8));
const sha256 = createHash("sha256").update(bytes).digest("hex");
const MODIFIED_MS = 1_699_999_980_123;

/** The spool's own name of the file. */
const own = (base: string) => `${base}/source/1.spool`;

/** A spool file and the second name of it that the driver may take. */
async function lent(base: string, path = "dir/log.ulg", more: Partial<UploadParams> = {}): Promise<UploadParams> {
  const spoolFile = `${base}/spool/1.loan`;
  await Deno.mkdir(`${base}/source`, { recursive: true });
  await Deno.remove(own(base)).catch(() => {});
  await Deno.remove(spoolFile).catch(() => {});
  await Deno.writeFile(own(base), bytes, { mode: 0o600 });
  await Deno.link(own(base), spoolFile);
  const params = { spoolFile, path, sizeBytes: bytes.length, sha256, modifiedMs: MODIFIED_MS, mayTake: true };
  return { ...params, onExisting: "rename", ...more };
}

const inode = (path: string) => Deno.lstatSync(path).ino;

const exists = (path: string) => Deno.lstat(path).then(() => true, () => false);

function namesIn(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
}

Deno.test("upload() takes the spool file without a copy when it may", () =>
  withDriver("target", async (driver, base) => {
    const params = await lent(base);
    const receipt = await driver.upload(params, testCall());
    assert.deepEqual([receipt.path, receipt.verified], ["dir/log.ulg", "checksum"]);
    const info = Deno.lstatSync(`${base}/root/dir/log.ulg`);
    assert.equal(info.ino, inode(own(base)));
    assert.equal((info.mode ?? 0) & 0o7777, 0o644 & ~Deno.umask(), "as any upload");
    assert.equal(info.mtime?.getTime(), MODIFIED_MS);
    assert.deepEqual(await Deno.readFile(own(base)), bytes);
    assert.deepEqual(namesIn(`${base}/root/dir`), ["log.ulg"]);
    assert.ok(!await exists(params.spoolFile));
    assert.deepEqual((await driver.confirm(params, testCall()))?.path, "dir/log.ulg");
  }));

Deno.test("upload() copies when it may not take the spool file", () =>
  withDriver("target", async (driver, base) => {
    const params = await lent(base, "log.ulg", { mayTake: false });
    await driver.upload(params, testCall());
    assert.notEqual(inode(`${base}/root/log.ulg`), inode(own(base)));
    assert.equal(Deno.lstatSync(own(base)).mode! & 0o777, 0o600);
    assert.ok(await exists(params.spoolFile));
  }));

Deno.test("upload() that takes never has the name of other bytes, and replaces them in one step when told", () =>
  withDriver("target", async (driver, base) => {
    await Deno.writeTextFile(`${base}/root/log.ulg`, "other");
    assert.equal((await driver.upload(await lent(base, "log.ulg"), testCall())).path, "log~2.ulg");
    assert.equal(inode(`${base}/root/log~2.ulg`), inode(own(base)));
    assert.equal(await Deno.readTextFile(`${base}/root/log.ulg`), "other");
    await Deno.remove(`${base}/root/log~2.ulg`);
    const params = await lent(base, "log.ulg", { onExisting: "replace" });
    assert.equal((await driver.upload(params, testCall())).path, "log.ulg");
    assert.equal(inode(`${base}/root/log.ulg`), inode(own(base)));
    assert.deepEqual(namesIn(`${base}/root`), ["log.ulg"]);
    assert.ok(!await exists(params.spoolFile));
    await Deno.remove(`${base}/root/log.ulg`);
    await Deno.writeTextFile(`${base}/root/log.ulg`, "other");
    const failing = await lent(base, "log.ulg", { onExisting: "fail" });
    await assert.rejects(driver.upload(failing, testCall()), { code: "rejected" });
    assert.deepEqual(await Deno.readFile(own(base)), bytes);
  }));

Deno.test("upload() leaves the spool file alone when its bytes are there already", () =>
  withDriver("target", async (driver, base) => {
    await Deno.writeFile(`${base}/root/log.ulg`, bytes);
    assert.equal((await driver.upload(await lent(base, "log.ulg"), testCall())).path, "log.ulg");
    assert.notEqual(inode(`${base}/root/log.ulg`), inode(own(base)));
    assert.equal(Deno.lstatSync(own(base)).mode! & 0o777, 0o600);
  }));

Deno.test("upload() goes on with a copy that was interrupted, and clears it where it takes", () =>
  withDriver("target", async (driver, base) => {
    await Deno.writeFile(`${base}/root/${await temporaryPath("log.ulg", sha256)}`, bytes.subarray(0, 5000));
    await driver.upload(await lent(base, "log.ulg"), testCall());
    assert.notEqual(inode(`${base}/root/log.ulg`), inode(own(base)));
    // What a new file is like here is known after the next one.
    await driver.upload(await lent(base, "second.ulg"), testCall());
    await Deno.writeFile(`${base}/root/${await temporaryPath("third.ulg", sha256)}`, bytes.subarray(0, 5000));
    await driver.upload(await lent(base, "third.ulg"), testCall());
    assert.equal(inode(`${base}/root/third.ulg`), inode(own(base)));
    assert.deepEqual(namesIn(`${base}/root`), ["log.ulg", "second.ulg", "third.ulg"]);
  }));

Deno.test("upload() copies into a directory of another filesystem", () =>
  withDriver("target", async (driver, base) => {
    const memory = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "filesync-local-" });
    try {
      assert.notEqual(Deno.statSync(memory).dev, Deno.statSync(base).dev, "the machine has one filesystem for both");
      const params = await lent(base, "log.ulg", { spoolFile: `${memory}/1.loan` });
      await Deno.writeFile(params.spoolFile, bytes, { mode: 0o600 });
      await driver.upload(params, testCall());
      assert.deepEqual(await Deno.readFile(`${base}/root/log.ulg`), bytes);
      assert.equal(Deno.lstatSync(params.spoolFile).mode! & 0o777, 0o600);
    } finally {
      await Deno.remove(memory, { recursive: true });
    }
  }));

testNeeding(
  "root",
  "upload() copies where a new file gets another group than ours",
  () =>
    withDriver("target", async (driver, base) => {
      await Deno.mkdir(`${base}/root/shared`);
      await Deno.chown(`${base}/root/shared`, null, 1234);
      await Deno.chmod(`${base}/root/shared`, 0o2775);
      await driver.upload(await lent(base, "shared/log.ulg"), testCall());
      assert.equal(Deno.lstatSync(`${base}/root/shared/log.ulg`).gid, 1234);
      assert.notEqual(inode(`${base}/root/shared/log.ulg`), inode(own(base)));
      assert.deepEqual(namesIn(`${base}/root/shared`), ["log.ulg"]);
    }),
  Deno.uid() === 0,
);

/** A default ACL: user 1234 may read and write what is made here, others may not look at it. */
const ACL = "02000000 01000700ffffffff 02000600d2040000 04000500ffffffff 10000700ffffffff 20000000ffffffff";

Deno.test("upload() copies where a new file inherits an access control list", () =>
  withDriver("target", async (driver, base) => {
    const dir = `${base}/root/acl`;
    await Deno.mkdir(dir);
    const script = `import os, sys; os.setxattr(sys.argv[1], "system.posix_acl_default", bytes.fromhex(sys.argv[2]))`;
    const set = await new Deno.Command("python3", { args: ["-c", script, dir, ACL] }).output();
    assert.ok(set.success, new TextDecoder().decode(set.stderr));
    await driver.upload(await lent(base, "acl/log.ulg"), testCall());
    assert.notEqual(inode(`${dir}/log.ulg`), inode(own(base)));
    assert.equal(Deno.lstatSync(`${dir}/log.ulg`).mode! & 0o777, 0o640, "the list's mask and nothing for others");
  }));

Deno.test("upload() sees that a directory has become another", () =>
  withDriver("target", async (driver, base) => {
    await driver.upload(await lent(base, "dir/a"), testCall());
    await Deno.chmod(`${base}/root/dir`, 0o2755);
    // The same group as ours: the file itself still is as good as a copy.
    await driver.upload(await lent(base, "dir/b"), testCall());
    assert.equal(inode(`${base}/root/dir/b`), inode(own(base)));
    assert.deepEqual(namesIn(`${base}/root/dir`), ["a", "b"]);
  }));

Deno.test("upload() takes a sparse file of 5 GB as it is, and download() goes on in one behind 4 GiB", () =>
  withDriver("target", async (driver, base) => {
    const sizeBytes = 5_000_000_000;
    await Deno.mkdir(`${base}/source`);
    await Deno.writeTextFile(own(base), "start");
    using file = await Deno.open(own(base), { write: true });
    await file.truncate(sizeBytes - 3);
    await file.seek(0, Deno.SeekMode.End);
    await file.write(new TextEncoder().encode("end"));
    await Deno.link(own(base), `${base}/spool/1.loan`);
    const spoolFile = `${base}/spool/1.loan`;
    // Nobody reads it, so nobody sees that this is not its SHA-256.
    await driver.upload({ spoolFile, path: "big", sizeBytes, sha256, mayTake: true, onExisting: "fail" }, testCall());
    const info = Deno.statSync(`${base}/root/big`);
    assert.deepEqual([info.size, info.ino], [sizeBytes, inode(own(base))]);
    assert.ok(info.blocks! * 512 < 2 ** 20, "its holes are still holes");

    const source = newDriver("source", base);
    const offsetBytes = sizeBytes - 1_000_000;
    const partial = `${base}/spool/2.part`;
    await Deno.writeTextFile(partial, "start");
    await Deno.truncate(partial, offsetBytes);
    const expect = { sizeBytes, modifiedMs: info.mtime!.getTime() };
    const result = await source.download({ path: "big", spoolFile: partial, offsetBytes, expect }, testCall());
    assert.equal(result.sizeBytes, sizeBytes);
    using fetched = await Deno.open(partial);
    await fetched.seek(sizeBytes - 6, Deno.SeekMode.Start);
    const tail = new Uint8Array(10);
    assert.equal(await fetched.read(tail), 6);
    assert.deepEqual([...tail.subarray(0, 6)], [0, 0, 0, ...new TextEncoder().encode("end")]);
  }));
