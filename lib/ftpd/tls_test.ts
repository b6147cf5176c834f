/** The server over TLS: what it never takes in the clear, and that it never takes a cut file for a whole one. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { testNeeding } from "../../tests/support/needs.ts";
import { bench } from "./_bench.ts";
import { ControlClient } from "./_control_client.ts";
import { fingerprintOf, makeIdentity } from "./mod.ts";
import { TlsRecords } from "./tls_records.ts";

const IDENTITY = makeIdentity(["localhost", "pi.local"], ["127.0.0.1", "::1", "fe80::a:1%eth0"]);

Deno.test("With a certificate nothing is served in the clear", () =>
  bench({ tls: IDENTITY }, async ({ server }) => {
    const client = await ControlClient.connect(server.port);
    assert.match((await client.say("FEAT")).text, /^ AUTH TLS\r\n(.*\r\n)* PBSZ\r\n PROT\r$/m);
    assert.equal(await client.code("USER pilot"), 530);
    assert.equal(await client.code("PASS secret"), 503);
    assert.equal(await client.code("PROT P"), 503);
    assert.equal(await client.code("AUTH SSL"), 504);
    await client.secure(IDENTITY.cert);
    assert.equal(await client.code("AUTH TLS"), 503);
    assert.equal(await client.code("USER pilot"), 331);
    assert.equal(await client.code("PASS secret"), 230);
    await client.say("EPSV");
    assert.equal(await client.code("LIST"), 521);
    assert.equal(await client.code("PROT C"), 534);
    assert.equal(await client.code("PROT S"), 536);
    assert.equal(await client.code("PROT X"), 504);
    assert.equal(await client.code("PBSZ 0"), 200);
    assert.equal(await client.code("PROT P"), 200);
    assert.deepEqual(await client.fetch("LIST"), new Uint8Array(0));
    client.close();
  }));

Deno.test("A server without a certificate offers no TLS", () =>
  bench({}, async ({ login }) => {
    const client = await login();
    assert.doesNotMatch((await client.say("FEAT")).text, /AUTH|PBSZ|PROT/);
    for (const line of ["AUTH TLS", "PBSZ 0", "PROT P"]) assert((await client.code(line)) >= 500, line);
  }));

Deno.test("What is sent behind AUTH TLS before its answer is never done", () =>
  bench({ tls: IDENTITY }, async ({ server, root }) => {
    for (const behind of ["USER pilot\r\nPASS secret\r\nMKD made\r\n", "N", "NOOP\r\n"]) {
      const client = await ControlClient.connect(server.port);
      await client.send(`AUTH TLS\r\n${behind}`);
      assert.equal((await client.reply()).code, 421, behind);
      assert.equal((await client.reply()).code, 0, behind);
      client.close();
    }
    assert.deepEqual([...Deno.readDirSync(root)], []);
  }));

Deno.test("What is no TLS behind AUTH TLS ends that connection and no other", () =>
  bench({ tls: IDENTITY }, async ({ server }) => {
    for (let round = 0; round < 20; round++) {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
      const buffer = new Uint8Array(4096);
      await conn.read(buffer);
      await conn.write(new TextEncoder().encode("AUTH TLS\r\n"));
      await conn.read(buffer);
      await conn.write(crypto.getRandomValues(new Uint8Array(1 + round * 97)));
      // Half of them leave, the others wait for the end.
      if (round % 2 === 0) await conn.closeWrite();
      else await conn.write(crypto.getRandomValues(new Uint8Array(20_000))).catch(() => {});
      try {
        while (await conn.read(buffer) !== null);
      } catch {
        // Reset: an end too.
      }
      conn.close();
    }
    const client = await ControlClient.loginSecurely(server.port, IDENTITY.cert);
    assert.equal(await client.code("PWD"), 257);
    client.close();
  }));

Deno.test("A hundred sizes arrive whole in both directions over TLS", () =>
  bench({ tls: IDENTITY }, async ({ server, root }) => {
    const client = await ControlClient.loginSecurely(server.port, IDENTITY.cert);
    const edges = [0, 1, 2, 255, 256, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145];
    const sizes = [...edges, ...Array.from({ length: 100 - edges.length }, (_, n) => (n * n * 7919) % 400_003)];
    for (const size of sizes) {
      const bytes = crypto.getRandomValues(new Uint8Array(Math.min(size, 65_536)));
      const whole = new Uint8Array(size);
      for (let at = 0; at < size; at += bytes.length) whole.set(bytes.subarray(0, size - at), at);
      assert.equal((await client.store("STOR a", whole)).code, 226, `${size}`);
      assert.deepEqual(Deno.readFileSync(join(root, "a")), whole, `${size}`);
      assert.deepEqual(await client.fetch("RETR a"), whole, `${size}`);
    }
    client.close();
  }));

/** Carries a connection to `port`, and ends it when so many bytes have gone there. */
function cutting(port: number, bytesMax: number): { port: number; done: Promise<void> } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const carry = async (): Promise<void> => {
    const [from, to] = [await listener.accept(), await Deno.connect({ hostname: "127.0.0.1", port })];
    listener.close();
    const back = to.readable.pipeTo(from.writable, { preventClose: true }).catch(() => {});
    const buffer = new Uint8Array(4096);
    for (let left = bytesMax; left > 0;) {
      const count = await from.read(buffer.subarray(0, Math.min(left, buffer.length)));
      if (count === null) break;
      for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
      left -= count;
    }
    await to.closeWrite();
    await back;
    from.close();
  };
  return { port: listener.addr.port, done: carry() };
}

Deno.test("An upload whose TLS ends without a goodbye is never taken for whole, and a true prefix stays", () =>
  bench({ tls: IDENTITY }, async ({ server, root }) => {
    const client = await ControlClient.loginSecurely(server.port, IDENTITY.cert);
    const whole = crypto.getRandomValues(new Uint8Array(60_000));
    // The client's own end of the stream is the last 24 bytes and less: also all but those are cut.
    for (const cut of [300, 700, 2000, 17_000, 40_000, 59_000, 60_200]) {
      const link = cutting(await client.passivePort(), cut);
      const data = await client.openData(link.port);
      assert.equal((await client.say("STOR cut")).code, 150);
      const sending = (async () => {
        for (let at = 0; at < whole.length;) at += await data.write(whole.subarray(at));
      })();
      await sending.catch(() => {});
      assert.equal((await client.reply()).code, 426, `${cut}`);
      data.close();
      await link.done.catch(() => {});
      const kept = Deno.readFileSync(join(root, "cut"));
      assert.deepEqual(kept, whole.subarray(0, kept.length), `${cut}`);
      assert.equal((await client.say("SIZE cut")).text, `213 ${kept.length}`);
      // What is there is gone on with.
      assert.equal((await client.say(`REST ${kept.length}`)).code, 350);
      assert.equal((await client.store("STOR cut", whole.subarray(kept.length))).code, 226);
      assert.deepEqual(Deno.readFileSync(join(root, "cut")), whole);
      Deno.removeSync(join(root, "cut"));
    }
    client.close();
  }));

Deno.test("A download over TLS is done when the client's connection has it, however late that reads", () =>
  bench({ tls: IDENTITY }, async ({ server, root }) => {
    const client = await ControlClient.loginSecurely(server.port, IDENTITY.cert);
    const whole = crypto.getRandomValues(new Uint8Array(65_536));
    const file = await Deno.open(join(root, "a"), { create: true, write: true });
    for (let n = 0; n < 256; n++) await file.write(whole);
    file.close();
    const data = await client.openData();
    assert.equal((await client.say("RETR a")).code, 150);
    // Longer than a server that closes waits for what is on its way.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const got = await new Response(data.readable).bytes();
    assert.equal(got.length, 256 * 65_536);
    assert.deepEqual(got.subarray(-65_536), whole);
    assert.equal((await client.reply()).code, 226);
    client.close();
  }));

Deno.test("TlsRecords sees the first protected data wherever the stream is cut", () => {
  const hello = [22, 3, 1, 0, 3, 23, 23, 23];
  const stream = Uint8Array.from([...hello, 20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 2, 9, 9]);
  for (let cut = 0; cut <= stream.length; cut++) {
    const records = new TlsRecords();
    records.push(stream.subarray(0, cut));
    assert.equal(records.haveData, cut > hello.length + 6, `${cut}`);
    records.push(stream.subarray(cut));
    assert(records.haveData);
  }
});

testNeeding(
  "openssl",
  "makeIdentity() makes a certificate that openssl takes for its names and addresses",
  async () => {
    const dir = await Deno.makeTempDir({ prefix: "filesync-certificate-" });
    try {
      Deno.writeTextFileSync(join(dir, "cert.pem"), IDENTITY.cert);
      const openssl = async (...args: string[]) => {
        const { code, stdout, stderr } = await new Deno.Command("openssl", { args, cwd: dir, stdin: "null" }).output();
        const words = new TextDecoder();
        assert.equal(code, 0, words.decode(stderr));
        return words.decode(stdout);
      };
      for (const name of [["-verify_hostname", "pi.local"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "fe80::a:1"]]) {
        const checks = ["-x509_strict", "-check_ss_sig", "-purpose", "sslserver", ...name];
        assert.equal(await openssl("verify", ...checks, "-CAfile", "cert.pem", "cert.pem"), "cert.pem: OK\n");
      }
      const printed = await openssl("x509", "-in", "cert.pem", "-noout", "-fingerprint", "-sha256", "-enddate");
      assert.match(printed, /notAfter=Dec 31 23:59:59 9999 GMT/);
      const [, fingerprint = ""] = /Fingerprint=(.*)/i.exec(printed)!;
      assert.equal(fingerprint.replaceAll(":", "").toLowerCase(), fingerprintOf(IDENTITY.cert));
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);
