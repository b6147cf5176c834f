/** The `ftp` driver against real servers: listings, transfers, publishing, refusals. */
import assert from "node:assert/strict";
import { DriverError, temporaryPath } from "../../lib/driver/mod.ts";
import { directCall } from "../support/direct_call.ts";
import { names, randomBytes, rejectsWith, withFtp } from "../support/ftp_bed.ts";
import { FTP_SERVER_KINDS, hasFtpServer } from "../support/ftp_servers.ts";
import { testNeeding } from "../support/needs.ts";

const ODD_NAMES = [
  "a b.txt",
  " leading.txt",
  'quote".txt',
  "it's.txt",
  "grüße-日本.txt",
  "-rf",
  "--help",
  "star*.txt",
  "[x].txt",
  "~tilde",
  "a;b.txt",
  "100%.txt",
  "back\\slash",
  ".hidden",
  "n".repeat(255),
];

for (const kind of FTP_SERVER_KINDS) {
  // pure-ftpd: "553 Prohibited file name".
  const oddNames = ODD_NAMES.filter((name) => kind !== "pure-ftpd" || !name.includes("\\"));
  const test = (name: string, run: () => Promise<void>) =>
    testNeeding(kind, `${kind}: ${name}`, run, hasFtpServer(kind));

  test("list() gives every name once, with size and time, also odd ones, and they can be downloaded", () =>
    withFtp(kind, async (bed) => {
      for (const name of oddNames) await bed.write(`odd dir/${name}`, `bytes of ${name}`);
      await bed.write("odd dir/deep/[er]/empty", "");
      const modified = new Date(Date.UTC(2025, 1, 3, 4, 5, 6));
      await Deno.utime(`${bed.root}/odd dir/a b.txt`, modified, modified);
      const call = directCall();
      await bed.driver.list({ directory: "odd dir" }, call);
      const paths = call.listed.map(({ path }) => path).sort();
      assert.deepEqual(paths, [...oddNames, "deep"].map((name) => `odd dir/${name}`).sort());
      const spaced = call.listed.find(({ path }) => path === "odd dir/a b.txt");
      assert.deepEqual(spaced, {
        path: "odd dir/a b.txt",
        kind: "file",
        sizeBytes: 16,
        modifiedMs: modified.getTime(),
      });
      assert.equal(call.listed.find(({ path }) => path === "odd dir/deep")?.kind, "directory");
      const deeper = directCall();
      await bed.driver.list({ directory: "odd dir/deep/[er]" }, deeper);
      assert.equal(deeper.listed[0]?.path, "odd dir/deep/[er]/empty");
      assert.equal(deeper.listed[0]?.sizeBytes, 0);
      for (const entry of [...call.listed, ...deeper.listed].filter(({ kind }) => kind === "file")) {
        const spoolFile = `${bed.local}/one`;
        await Deno.writeFile(spoolFile, new Uint8Array());
        const { path, kind: _, ...expect } = entry;
        const result = await bed.driver.download({ path, spoolFile, offsetBytes: 0, expect }, directCall());
        assert.equal(result.sizeBytes, entry.sizeBytes, path);
        assert.deepEqual(await Deno.readFile(spoolFile), await bed.read(path), path);
      }
    }));

  test("list() gives 2,500 names of one directory in batches of at most 1,000", () =>
    withFtp(kind, async (bed) => {
      for (let n = 0; n < 2500; n++) await bed.write(`many/log_${n}.ulg`, "x");
      const call = directCall();
      await bed.driver.list({ directory: "many" }, call);
      assert.equal(new Set(call.listed.map(({ path }) => path)).size, 2500);
      assert.ok(call.listed.every(({ modifiedMs }) => modifiedMs !== undefined));
      assert.ok(call.batches.every((count) => count <= 1000), String(call.batches));
      assert.deepEqual([...Deno.readDirSync(bed.stateDir)].filter(({ name }) => name.startsWith("listing-")), []);
    }));

  test("list() of a directory that is not there is not_found, stat() tells file, directory and nothing", () =>
    withFtp(kind, async (bed) => {
      await bed.write("d/a.ulg", "abc");
      await rejectsWith("not_found", () => bed.driver.list({ directory: "nothing" }, directCall()));
      assert.equal((await bed.driver.stat({ path: "" }, directCall())).kind, "directory");
      assert.equal((await bed.driver.stat({ path: "d" }, directCall())).kind, "directory");
      assert.equal((await bed.driver.stat({ path: "d/a.ulg" }, directCall())).sizeBytes, 3);
      await rejectsWith("not_found", () => bed.driver.stat({ path: "d/b.ulg" }, directCall()));
    }));

  test("a target's root that was never there is made once, and a source's never", () =>
    withFtp(kind, async (bed) => {
      const rooted = { dir: 'camera "one"' };
      const source = await bed.open(rooted, "source");
      await rejectsWith("unavailable", () => source.driver.stat({ path: "" }, directCall()));
      await source.close();
      const target = await bed.open(rooted, "target");
      await target.driver.upload(await bed.uploadOf("a/b.ulg", randomBytes(10)), directCall());
      assert.equal((await bed.read(`${rooted.dir}/a/b.ulg`)).length, 10);
      assert.equal((await target.driver.stat({ path: "a/b.ulg" }, directCall())).sizeBytes, 10);
      await Deno.rename(`${bed.root}/${rooted.dir}`, `${bed.root}/gone`);
      await rejectsWith("unavailable", async () =>
        await target.driver.upload(await bed.uploadOf("c.ulg", randomBytes(10)), directCall()));
      assert.deepEqual(
        [...Deno.readDirSync(bed.root)].map(({ name }) =>
          name
        ),
        ["gone"],
      );
      await target.close();
      const deep = await bed.open({ dir: "not/there" }, "target");
      await rejectsWith("unavailable", () => deep.driver.stat({ path: "" }, directCall()));
      await deep.close();
    }));

  test("download() goes on from any offset and compares the overlap", () =>
    withFtp(kind, async (bed) => {
      const bytes = randomBytes(700_001);
      await bed.write("big.bin", bytes);
      const { path, kind: _, ...expect } = await bed.driver.stat({ path: "big.bin" }, directCall());
      const spoolFile = `${bed.local}/big`;
      for (const offsetBytes of [0, 1, 65_535, 65_536, 300_000, 700_000, 700_001]) {
        await Deno.writeFile(spoolFile, bytes.subarray(0, offsetBytes));
        const call = directCall();
        const result = await bed.driver.download({ path, spoolFile, offsetBytes, expect }, call);
        assert.equal(result.sizeBytes, bytes.length);
        assert.deepEqual(result.fingerprint, expect);
        assert.deepEqual(await Deno.readFile(spoolFile), bytes, `from ${offsetBytes}`);
        assert.ok(call.progressed[0]! >= offsetBytes - 65_536);
      }
      const other = bytes.slice(0, 300_000);
      other[299_999]! ^= 1;
      await Deno.writeFile(spoolFile, other);
      await rejectsWith("corrupt", () =>
        bed.driver.download({ path, spoolFile, offsetBytes: 300_000, expect }, directCall()));
      await rejectsWith("changed", () =>
        bed.driver.download({ path, spoolFile, offsetBytes: 0, expect: { ...expect, sizeBytes: 5 } }, directCall()));
      await rejectsWith("not_found", () =>
        bed.driver.download({ path: "gone.bin", spoolFile, offsetBytes: 0, expect: {} }, directCall()));
      // The connection is still good for the next file.
      await Deno.writeFile(spoolFile, new Uint8Array());
      await bed.driver.download({ path, spoolFile, offsetBytes: 0, expect }, directCall());
    }));

  test("download() that is cancelled stops, keeps a true prefix and is gone on with", () =>
    withFtp(kind, async (bed) => {
      const bytes = randomBytes(6_000_000);
      await bed.write("big.bin", bytes);
      const { path, kind: _, ...expect } = await bed.driver.stat({ path: "big.bin" }, directCall());
      const spoolFile = `${bed.local}/big`;
      await Deno.writeFile(spoolFile, new Uint8Array());
      const call = directCall((doneBytes) => doneBytes > 1_000_000 ? call.abort() : undefined);
      await rejectsWith("cancelled", () => bed.driver.download({ path, spoolFile, offsetBytes: 0, expect }, call));
      const held = await Deno.readFile(spoolFile);
      assert.ok(held.length > 1_000_000 && held.length < bytes.length);
      assert.deepEqual(held, bytes.subarray(0, held.length));
      await bed.driver.download({ path, spoolFile, offsetBytes: held.length, expect }, directCall());
      assert.deepEqual(await Deno.readFile(spoolFile), bytes);
    }));

  test("upload() makes directories, keeps the time, publishes by one rename, and is confirmed", () =>
    withFtp(kind, async (bed) => {
      const bytes = randomBytes(400_000);
      const modifiedMs = Date.UTC(2024, 5, 7, 8, 9, 10);
      const params = await bed.uploadOf("new dir/déep/[x]/log 1.ulg", bytes, { modifiedMs });
      assert.equal(await bed.driver.confirm(params, directCall()), null);
      const receipt = await bed.driver.upload(params, directCall());
      assert.deepEqual(receipt, { path: params.path, sizeBytes: bytes.length, verified: "size" });
      assert.deepEqual(await bed.read(params.path), bytes);
      assert.equal((await Deno.stat(`${bed.root}/${params.path}`)).mtime?.getTime(), modifiedMs);
      assert.equal([...Deno.readDirSync(`${bed.root}/new dir/déep/[x]`)].length, 1);
      assert.deepEqual(await bed.driver.confirm(params, directCall()), receipt);
      // The same upload twice leaves one file.
      assert.deepEqual(await bed.driver.upload(params, directCall()), receipt);
      assert.equal([...Deno.readDirSync(`${bed.root}/new dir/déep/[x]`)].length, 1);
      const empty = await bed.uploadOf("empty.ulg", new Uint8Array());
      assert.equal((await bed.driver.upload(empty, directCall())).sizeBytes, 0);
      assert.equal((await bed.read("empty.ulg")).length, 0);
      for (const name of oddNames) {
        const odd = await bed.uploadOf(`odd/${name}`, new TextEncoder().encode(name));
        assert.equal((await bed.driver.upload(odd, directCall())).path, odd.path);
        assert.deepEqual(await bed.read(odd.path), new TextEncoder().encode(name));
      }
    }));

  test("upload() goes on from what is under the temporary name, and never glues other bytes", () =>
    withFtp(kind, async (bed) => {
      const bytes = randomBytes(900_000);
      for (const heldBytes of [1, 65_536, 500_000, 900_000]) {
        const params = await bed.uploadOf(`resumed-${heldBytes}.bin`, bytes);
        await bed.write(await temporaryPath(params.path, params.sha256), bytes.subarray(0, heldBytes));
        const call = directCall();
        await bed.driver.upload(params, call);
        assert.deepEqual(await bed.read(params.path), bytes, `after ${heldBytes}`);
        assert.ok(call.progressed.every((doneBytes) => doneBytes >= heldBytes), `${heldBytes}: ${call.progressed}`);
      }
      for (const held of [randomBytes(300_000), randomBytes(1_200_000)]) {
        const params = await bed.uploadOf(`other-${held.length}.bin`, bytes);
        await bed.write(await temporaryPath(params.path, params.sha256), held);
        await bed.driver.upload(params, directCall());
        assert.deepEqual(await bed.read(params.path), bytes);
      }
      assert.ok(names(bed).every((name) => !name.endsWith(".part")), String(names(bed)));
    }));

  test("upload() over other bytes replaces, renames or refuses, as told", () =>
    withFtp(kind, async (bed) => {
      const bytes = randomBytes(1000);
      await bed.write("a.ulg", "other");
      const fail = await bed.uploadOf("a.ulg", bytes, { onExisting: "fail" });
      await rejectsWith("rejected", () => bed.driver.upload(fail, directCall()));
      assert.deepEqual(names(bed), ["a.ulg"]);
      const rename = await bed.uploadOf("a.ulg", bytes);
      assert.equal((await bed.driver.upload(rename, directCall())).path, "a~2.ulg");
      assert.equal((await bed.driver.upload(rename, directCall())).path, "a~2.ulg");
      assert.equal((await bed.driver.confirm(rename, directCall()))?.path, "a~2.ulg");
      // As long, yet other bytes.
      const third = await bed.uploadOf("a.ulg", randomBytes(1000));
      assert.equal(await bed.driver.confirm(third, directCall()), null);
      assert.equal((await bed.driver.upload(third, directCall())).path, "a~3.ulg");
      const replace = await bed.uploadOf("a.ulg", bytes, { onExisting: "replace" });
      assert.equal((await bed.driver.upload(replace, directCall())).path, "a.ulg");
      assert.deepEqual(await bed.read("a.ulg"), bytes);
      assert.deepEqual(names(bed), ["a.ulg", "a~2.ulg", "a~3.ulg"]);
    }));

  test("remove() deletes what is expected, refuses what changed, and is content with what is gone", () =>
    withFtp(kind, async (bed) => {
      await bed.write("a.ulg", "abc");
      const { path, kind: _, ...expect } = await bed.driver.stat({ path: "a.ulg" }, directCall());
      await rejectsWith(
        "changed",
        () => bed.driver.remove({ path, expect: { ...expect, sizeBytes: 4 } }, directCall()),
      );
      await bed.driver.remove({ path, expect }, directCall());
      assert.deepEqual(names(bed), []);
      await bed.driver.remove({ path, expect }, directCall());
    }));

  test("check() finds everything in order and leaves nothing behind", () =>
    withFtp(kind, async (bed) => {
      const target = await bed.open({}, "target");
      const findings = await target.driver.check(directCall());
      await target.close();
      assert.deepEqual(findings.filter(({ ok }) => !ok), []);
      assert.ok(findings.some(({ name }) => name === "write"));
      assert.deepEqual(names(bed), []);
    }));

  test("a wrong password is denied and an absent root or server unavailable", () =>
    withFtp(kind, async (bed) => {
      for (
        const [args, code] of [
          [{ passwd: "wrong" }, "denied"],
          [{ dir: "not/there" }, "unavailable"],
          [{ port: 1 }, "unavailable"],
          [{ host: "no-such-name.invalid" }, "unavailable"],
        ] as const
      ) {
        const opened = await bed.open(args);
        await rejectsWith(code, () => opened.driver.stat({ path: "" }, directCall()));
        await rejectsWith(code, () => opened.driver.list({ directory: "" }, directCall()));
        const [finding] = await opened.driver.check(directCall());
        assert.equal(finding?.ok, false);
        await opened.close();
      }
    }));

  test("a relative and an absolute root hold the same files", () =>
    withFtp(kind, async (bed) => {
      await bed.write("sub dir/in/a.ulg", "abc");
      const absolute = kind === "proftpd" || kind === "vsftpd" ? `${bed.root}/sub dir/in` : "/sub dir/in";
      for (const dir of ["sub dir/in", "sub dir/in/", absolute]) {
        const opened = await bed.open({ dir });
        const call = directCall();
        await opened.driver.list({ directory: "" }, call);
        assert.deepEqual(call.listed.map(({ path }) => path), ["a.ulg"]);
        assert.equal((await opened.driver.stat({ path: "a.ulg" }, directCall())).sizeBytes, 3);
        await opened.close();
      }
    }));

  test("no control character reaches the server", () =>
    withFtp(kind, async (bed) => {
      await bed.write("victim", "abc");
      for (const path of ["a\r\nDELE victim", "a\nDELE victim", "a\0b", "x/../victim", "/victim"]) {
        await rejectsWith("not_found", () => bed.driver.stat({ path }, directCall()));
        await rejectsWith("not_found", () => bed.driver.list({ directory: path }, directCall()));
        const params = await bed.uploadOf(path, randomBytes(3));
        await rejectsWith("rejected", () => bed.driver.upload(params, directCall()));
        await assert.rejects(bed.driver.remove({ path, expect: {} }, directCall()));
      }
      assert.deepEqual(names(bed), ["victim"]);
    }));

  // ProFTPD says nothing to a command that is too long: each wait for it takes a minute.
  const longPath = kind === "proftpd" ? () => {} : test;
  longPath(
    "upload() of a path that is too long for the server's commands concerns that file, and no other",
    () =>
      withFtp(kind, async (bed) => {
        // Longer than any server's buffer, and shorter than what we take for a path.
        const params = await bed.uploadOf(`${"directory/".repeat(400)}log.ulg`, randomBytes(3));
        const outcome = await bed.driver.upload(params, directCall()).then((receipt) => receipt, (error) => error);
        if (outcome instanceof DriverError) {
          const isOfTheFile = ["failed", "rejected"].includes(outcome.code) || outcome.details.scope === "file";
          assert.ok(isOfTheFile, `${outcome.code}: ${outcome.message.slice(-200)}`);
        } else assert.equal(outcome.path, params.path);
        const other = await bed.uploadOf("log.ulg", randomBytes(3));
        assert.equal((await bed.driver.upload(other, directCall())).path, "log.ulg");
      }),
  );

  test("connections grow while the server takes them, step back when it refuses, and that is remembered", () =>
    withFtp(kind, async (bed) => {
      const files = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => bed.uploadOf(`f${n}`, randomBytes(50_000))));
      for (const params of files) {
        await bed.driver.upload(params, directCall());
        await bed.driver.settled();
      }
      assert.deepEqual(bed.states.map(({ callsMax }) => callsMax), [2]);
      // More calls than connections wait for their turn.
      await Promise.all(files.map((params) => bed.driver.confirm(params, directCall())));
      const remembered = JSON.parse(await Deno.readTextFile(`${bed.stateDir}/ftp.json`));
      assert.equal(remembered.connectionsMax, 2);
    }, { maxPerHost: 2 }));
}
