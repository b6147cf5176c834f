import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { temporaryPath, type UploadParams } from "../../lib/driver/mod.ts";
import { testNeeding } from "../../tests/support/needs.ts";
import { LocalDriver } from "./driver.ts";
import { initialized, testCall, withDriver } from "./test_call.ts";

const bytes = new Uint8Array(100_000).map((_, at) => at * 7 + (at >> 8));
const sha256 = createHash("sha256").update(bytes).digest("hex");
const MODIFIED_MS = 1_699_999_980_123;

async function spooled(base: string, path = "dir/log.ulg", more: Partial<UploadParams> = {}): Promise<UploadParams> {
  const spoolFile = `${base}/spool/1`;
  await Deno.writeFile(spoolFile, bytes, { mode: 0o600 });
  const params = { spoolFile, path, sizeBytes: bytes.length, sha256, modifiedMs: MODIFIED_MS, mayLink: true };
  return { ...params, onExisting: "rename", ...more };
}

const inode = (path: string) => Deno.lstatSync(path).ino;

function namesIn(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
}

Deno.test("upload() gives the spool file its name without a copy when nobody else reads it", () =>
  withDriver("target", async (driver, base) => {
    const params = await spooled(base);
    const receipt = await driver.upload(params, testCall());
    assert.deepEqual([receipt.path, receipt.verified], ["dir/log.ulg", "checksum"]);
    const info = Deno.lstatSync(`${base}/root/dir/log.ulg`);
    assert.equal(info.ino, inode(params.spoolFile));
    assert.equal((info.mode ?? 0) & 0o7777, 0o644 & ~Deno.umask(), "as any upload");
    assert.equal(info.mtime?.getTime(), MODIFIED_MS);
    assert.deepEqual(await Deno.readFile(params.spoolFile), bytes);
    assert.deepEqual(namesIn(`${base}/root/dir`), ["log.ulg"]);
    assert.deepEqual((await driver.confirm(params, testCall()))?.path, "dir/log.ulg");
  }));

Deno.test("upload() copies when others may read the spool file", () =>
  withDriver("target", async (driver, base) => {
    const params = await spooled(base, "log.ulg", { mayLink: false });
    await driver.upload(params, testCall());
    assert.notEqual(inode(`${base}/root/log.ulg`), inode(params.spoolFile));
    assert.equal(Deno.lstatSync(params.spoolFile).mode! & 0o777, 0o600);
  }));

Deno.test("upload() that links never takes the name of other bytes, and replaces them in one step when told", () =>
  withDriver("target", async (driver, base) => {
    await Deno.writeTextFile(`${base}/root/log.ulg`, "other");
    const params = await spooled(base, "log.ulg");
    assert.equal((await driver.upload(params, testCall())).path, "log~2.ulg");
    assert.equal(inode(`${base}/root/log~2.ulg`), inode(params.spoolFile));
    assert.equal(await Deno.readTextFile(`${base}/root/log.ulg`), "other");
    await Deno.remove(`${base}/root/log~2.ulg`);
    assert.equal((await driver.upload({ ...params, onExisting: "replace" }, testCall())).path, "log.ulg");
    assert.equal(inode(`${base}/root/log.ulg`), inode(params.spoolFile));
    assert.deepEqual(namesIn(`${base}/root`), ["log.ulg"]);
    await Deno.remove(`${base}/root/log.ulg`);
    await Deno.writeTextFile(`${base}/root/log.ulg`, "other");
    await assert.rejects(driver.upload({ ...params, onExisting: "fail" }, testCall()), { code: "rejected" });
  }));

Deno.test("upload() that links clears what an upload that copied has left", () =>
  withDriver("target", async (driver, base) => {
    const params = await spooled(base, "log.ulg");
    await Deno.writeFile(`${base}/root/${await temporaryPath("log.ulg", sha256)}`, bytes.subarray(0, 5000));
    await driver.upload(params, testCall());
    assert.deepEqual(namesIn(`${base}/root`), ["log.ulg"]);
  }));

Deno.test("upload() copies into a directory of another filesystem", () =>
  withDriver("target", async (driver, base) => {
    const memory = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "filesync-local-" });
    try {
      assert.notEqual(Deno.statSync(memory).dev, Deno.statSync(base).dev, "the machine has one filesystem for both");
      const params = await spooled(base, "log.ulg", { spoolFile: `${memory}/1` });
      await Deno.writeFile(params.spoolFile, bytes, { mode: 0o600 });
      await driver.upload(params, testCall());
      assert.deepEqual(await Deno.readFile(`${base}/root/log.ulg`), bytes);
      assert.equal(Deno.lstatSync(params.spoolFile).mode! & 0o777, 0o600);
    } finally {
      await Deno.remove(memory, { recursive: true });
    }
  }));

Deno.test("upload() reads a spool file once more that has lain there for long, and refuses it when it went bad", () =>
  withDriver("target", async (_, base) => {
    const later = initialized(new LocalDriver(() => Date.now() + 61_000), "target", base);
    const params = await spooled(base, "log.ulg");
    await later.upload(params, testCall());
    assert.equal(inode(`${base}/root/log.ulg`), inode(params.spoolFile), "what is still right is linked");
    const rotten = await spooled(base, "bad.ulg", { spoolFile: `${base}/spool/2` });
    await Deno.writeFile(rotten.spoolFile, bytes.map((byte, at) => at === 70_000 ? byte ^ 1 : byte));
    await assert.rejects(later.upload(rotten, testCall()), { code: "corrupt" });
    assert.deepEqual(namesIn(`${base}/root`), ["log.ulg"]);
  }));

testNeeding(
  "root",
  "upload() copies where a new file gets another group than ours",
  () =>
    withDriver("target", async (driver, base) => {
      await Deno.mkdir(`${base}/root/shared`);
      await Deno.chown(`${base}/root/shared`, null, 1234);
      await Deno.chmod(`${base}/root/shared`, 0o2775);
      const params = await spooled(base, "shared/log.ulg");
      await driver.upload(params, testCall());
      assert.equal(Deno.lstatSync(`${base}/root/shared/log.ulg`).gid, 1234);
      assert.notEqual(inode(`${base}/root/shared/log.ulg`), inode(params.spoolFile));
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
    const params = await spooled(base, "acl/log.ulg");
    await driver.upload(params, testCall());
    assert.notEqual(inode(`${dir}/log.ulg`), inode(params.spoolFile));
    assert.equal(Deno.lstatSync(`${dir}/log.ulg`).mode! & 0o777, 0o640, "the list's mask and nothing for others");
  }));

Deno.test("upload() sees that a directory has become another", () =>
  withDriver("target", async (driver, base) => {
    await driver.upload(await spooled(base, "dir/a"), testCall());
    await Deno.chmod(`${base}/root/dir`, 0o2755);
    // The same group as ours: a link still is as good as a copy.
    const params = await spooled(base, "dir/b", { spoolFile: `${base}/spool/2` });
    await Deno.writeFile(params.spoolFile, bytes, { mode: 0o600 });
    await driver.upload(params, testCall());
    assert.equal(inode(`${base}/root/dir/b`), inode(params.spoolFile));
    assert.deepEqual(namesIn(`${base}/root/dir`), ["a", "b"]);
  }));
