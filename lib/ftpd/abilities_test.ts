/** Who may do what, how much, and what the server can tell of a file, as a client sees it on the wire. */
import assert from "node:assert/strict";
import { bench, bytesOf } from "./_bench.ts";

Deno.test("A read-only server refuses every change and serves reads", () =>
  bench({ readOnly: true }, async ({ login, root }) => {
    await Deno.writeTextFile(`${root}/a`, "a");
    const client = await login();
    for (const line of ["STOR b", "APPE a", "DELE a", "MKD d", "RMD d", "RNFR a", "RNTO b", "MFMT 20200101000000 a"]) {
      assert.equal(await client.code(line), 550, line);
    }
    assert.deepEqual(await client.fetch("RETR a"), bytesOf("a"));
    assert.match((await client.say("MLST a")).text, /perm=r;/);
  }));

Deno.test("A reader may read beside a user who writes", () =>
  bench({ readers: [{ user: "guest", passwd: "look" }] }, async ({ login, root }) => {
    await Deno.writeTextFile(`${root}/a`, "a");
    const client = await login();
    assert.equal(await client.code("USER guest"), 331);
    assert.equal(await client.code("PASS secret"), 530);
    assert.equal(await client.code("USER guest"), 331);
    assert.equal(await client.code("PASS look"), 230);
    for (const line of ["STOR b", "APPE a", "DELE a", "MKD d", "RNFR a", "MFMT 20200101000000 a"]) {
      assert.equal((await client.say(line)).text, "550 This user may only read", line);
    }
    assert.deepEqual(await client.fetch("RETR a"), bytesOf("a"));
    assert.match((await client.say("MLST a")).text, /perm=r;/);
    assert.equal(await client.code("USER pilot"), 331);
    assert.equal(await client.code("PASS secret"), 230);
    assert.equal(await client.code("DELE a"), 250);
  }));

Deno.test("A quota ends an upload with 552, keeps what fits, and gives back what is removed, cut or replaced", () =>
  bench({ quotaBytes: 10 }, async ({ login, root }) => {
    await Deno.mkdir(`${root}/d`);
    await Deno.writeTextFile(`${root}/d/before`, "123");
    const client = await login();
    assert.equal((await client.store("STOR a", bytesOf("4567"))).code, 226);
    assert.equal((await client.store("STOR b", bytesOf("89abcd"))).code, 552);
    assert.equal(await Deno.readTextFile(`${root}/b`), "89a");
    assert.equal((await client.store("APPE b", bytesOf("b"))).code, 552);
    assert.equal((await client.store("STOR c", bytesOf("x"))).code, 552);
    // Another content of the same size, and a resumed file, need no more than was there.
    assert.equal((await client.store("STOR a", bytesOf("7654"))).code, 226);
    await client.say("REST 2");
    assert.equal((await client.store("STOR a", bytesOf("xx"))).code, 226);
    assert.equal(await client.code("DELE b"), 250);
    assert.equal((await client.store("STOR b", bytesOf("89a"))).code, 226);
    assert.equal(await client.code("RNFR b"), 350);
    assert.equal(await client.code("RNTO a"), 250);
    assert.equal((await client.store("STOR c", bytesOf("1234"))).code, 226);
    assert.equal((await client.store("STOR e", bytesOf("1"))).code, 552);
  }));

Deno.test("HASH tells checksums of a file and of a range, and of nothing outside the root", () =>
  bench({}, async ({ login, root }) => {
    await Deno.writeTextFile(`${root}/a b`, "123456789");
    await Deno.writeTextFile(`${root}/empty`, "");
    await Deno.symlink("/etc/passwd", `${root}/link`);
    const client = await login();
    const sha256 = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225";
    assert.match((await client.say("FEAT")).text, /^ HASH SHA-256\*;SHA-1;MD5;CRC32\r?$/m);
    assert.equal((await client.say("HASH a b")).text, `213 SHA-256 0-8 ${sha256} a b`);
    assert.equal((await client.say("OPTS HASH crc32")).text, "200 CRC32");
    assert.equal((await client.say("OPTS HASH")).text, "200 CRC32");
    assert.equal((await client.say("HASH a b")).text, "213 CRC32 0-8 cbf43926 a b");
    assert.equal((await client.say("HASH empty")).text, "213 CRC32 0-0 00000000 empty");
    assert.equal(await client.code("OPTS HASH SHA-1"), 200);
    assert.equal((await client.say("HASH a b")).text, "213 SHA-1 0-8 f7c3bc1d808e04732adf679965ccc34ca7ae3441 a b");
    assert.equal(await client.code("OPTS HASH MD5"), 200);
    assert.equal(await client.code("RANG 0 0"), 350);
    assert.equal((await client.say("HASH a b")).text, "213 MD5 0-0 c4ca4238a0b923820dcc509a6f75849b a b");
    assert.equal((await client.say("HASH a b")).text, "213 MD5 0-8 25f9e794323b453885f5181f1b624d0b a b");
    assert.equal(await client.code("RANG 2 4"), 350);
    assert.deepEqual(await client.fetch("RETR a b"), bytesOf("345"));
    assert.deepEqual(await client.fetch("RETR a b"), bytesOf("123456789"));
    assert.equal(await client.code("RANG 2 4"), 350);
    assert.equal((await client.store("STOR a b", bytesOf("x"))).code, 504);
    assert.equal(await client.code("RANG 2 4"), 350);
    assert.equal(await client.code("RANG 1 0"), 350);
    assert.deepEqual(await client.fetch("RETR a b"), bytesOf("123456789"));
    for (const bad of ["RANG 4 2", "RANG 4", "RANG a b", "RANG -1 2"]) assert.equal(await client.code(bad), 501, bad);
    assert.equal(await client.code("OPTS HASH SHA-3"), 504);
    assert.equal(await client.code("HASH link"), 550);
    assert.equal(await client.code("HASH /"), 550);
    assert.equal(await client.code("HASH absent"), 550);
    assert.equal(await client.code("REST 10"), 350);
    assert.equal(await client.code("HASH a b"), 554);
  }));

Deno.test("STAT lists over the control connection, and AVBL tells what room is left", () =>
  bench({ quotaBytes: 10 }, async ({ login, root }) => {
    await Deno.mkdir(`${root}/d`);
    await Deno.writeTextFile(`${root}/d/213 x`, "123");
    const client = await login();
    assert.match((await client.say("STAT d")).text, /^212-Status of \/d\r\n -rw-.* 3 .* 213 x\r\n212 End$/);
    assert.match((await client.say("STAT -la d/213 x")).text, /^213-Status of .*\r\n -rw-.* 213 x\r\n213 End$/);
    assert.equal(await client.code("STAT absent"), 550);
    assert.equal((await client.say("AVBL")).text, "213 7");
    assert.equal((await client.say("AVBL d")).text, "213 7");
    assert.equal(await client.code("AVBL d/213 x"), 550);
  }));
