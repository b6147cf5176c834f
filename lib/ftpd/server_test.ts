/** The server as a client sees it on the wire, command by command. */
import assert from "node:assert/strict";
import { testNeeding } from "../../tests/support/needs.ts";
import { bench, bytesOf } from "./_bench.ts";
import { ControlClient } from "./_control_client.ts";
import { startFtpServer } from "./mod.ts";

Deno.test("startFtpServer() refuses an empty password, an empty user, a root that is none and ports that are none", async () => {
  const root = await Deno.makeTempDir({ prefix: "filesync-ftpd-" });
  const good = { root, user: "pilot", passwd: "secret" };
  await assert.rejects(startFtpServer({ ...good, passwd: "" }), { name: "TypeError", message: /password is empty/ });
  await assert.rejects(startFtpServer({ ...good, user: "" }), { name: "TypeError" });
  for (const reader of [{ user: "pilot", passwd: "x" }, { user: "guest", passwd: "" }, { user: "", passwd: "x" }]) {
    await assert.rejects(startFtpServer({ ...good, readers: [reader] }), { name: "TypeError" });
  }
  await assert.rejects(startFtpServer({ ...good, root: `${root}/absent` }), { name: "NotFound" });
  await assert.rejects(startFtpServer({ ...good, passivePorts: { first: 9, last: 8 } }), { name: "TypeError" });
  await Deno.remove(root);
});

Deno.test("PASS lets nobody in without the password, and closes after too many wrong ones", () =>
  bench({ limits: { loginAttemptsMax: 3 } }, async ({ server, events }) => {
    const client = await ControlClient.connect(server.port);
    assert.equal(await client.code("PASS secret"), 503);
    for (const line of ["PWD", "LIST", "RETR a", "STOR a", "EPSV", "DELE a", "MKD a", "SIZE a", "STAT"]) {
      assert.equal(await client.code(line), 530, line);
    }
    assert.equal(await client.code("USER nobody"), 331);
    assert.equal(await client.code("PASS secret"), 530);
    assert.equal(await client.code("USER pilot"), 331);
    assert.equal(await client.code("PASS guess"), 530);
    await client.say("USER pilot");
    assert.equal(await client.code("PASS guess"), 421);
    assert.equal((await client.reply()).code, 0);
    client.close();
    assert.equal(events.filter(({ event }) => event === "login_failed").length, 3);
    assert.ok(!JSON.stringify(events).includes("guess"), "the log holds a password");
  }));

Deno.test("USER after a login ends it", () =>
  bench({}, async ({ login }) => {
    const client = await login();
    assert.equal(await client.code("PWD"), 257);
    assert.equal(await client.code("USER pilot"), 331);
    assert.equal(await client.code("PWD"), 530);
  }));

Deno.test("FEAT names what the server can do, and OPTS MLST chooses facts", () =>
  bench({}, async ({ login }) => {
    const client = await login();
    const { text } = await client.say("FEAT");
    for (const feature of ["EPSV", "MDTM", "MFMT", "REST STREAM", "SIZE", "UTF8", "MLST type*;size*;modify*;perm*;"]) {
      assert.match(text, new RegExp(`^ ${feature.replaceAll("*", "\\*")}\r?$`, "m"));
    }
    assert.equal(await client.code("OPTS UTF8 ON"), 200);
    assert.equal(await client.code("OPTS UTF8 OFF"), 504);
    assert.equal((await client.say("OPTS MLST size;nonsense;")).text, "200 MLST OPTS size;");
    assert.match((await client.say("FEAT")).text, /MLST type;size\*;modify;perm;/);
    assert.equal(await client.code("SYST"), 215);
    assert.equal(await client.code("TYPE I"), 200);
    assert.equal(await client.code("TYPE E"), 504);
    assert.equal(await client.code("MODE B"), 504);
    assert.equal(await client.code("PORT 127,0,0,1,4,1"), 502);
    assert.equal(await client.code("SITE EXEC id"), 502);
  }));

Deno.test("STOR, SIZE, MFMT, MDTM, MLSD and RETR agree on one file", () =>
  bench({}, async ({ login }) => {
    const client = await login();
    const name = `log "7" — ü -x.ulg`;
    const bytes = crypto.getRandomValues(new Uint8Array(60_000));
    assert.equal((await client.store(`STOR ${name}`, bytes)).code, 226);
    assert.equal((await client.say(`SIZE ${name}`)).text, "213 60000");
    assert.equal(await client.code(`MFMT 20240229123456.250 ${name}`), 213);
    assert.equal((await client.say(`MDTM ${name}`)).text, "213 20240229123456.250");
    assert.deepEqual(await client.fetchLines("MLSD"), [
      `type=file;size=60000;modify=20240229123456.250;perm=adfrw; ${name}`,
    ]);
    assert.deepEqual(await client.fetchLines("NLST -a"), [name]);
    assert.match((await client.fetchLines("LIST -la /"))[0] ?? "", / 60000 Feb 29 {2}2024 log "7"/);
    assert.deepEqual(await client.fetch(`RETR ${name}`), bytes);
    assert.equal((await client.store("STOR empty", new Uint8Array(0))).code, 226);
    assert.equal((await client.say("SIZE empty")).text, "213 0");
    assert.deepEqual(await client.fetch("RETR empty"), new Uint8Array(0));
  }));

Deno.test("REST resumes downloads and uploads, counts for one transfer, and never leaves a hole", () =>
  bench({}, async ({ login, root }) => {
    const client = await login();
    await Deno.writeTextFile(`${root}/a`, "0123456789");
    assert.equal(await client.code("REST 4"), 350);
    assert.deepEqual(await client.fetch("RETR a"), bytesOf("456789"));
    assert.deepEqual(await client.fetch("RETR a"), bytesOf("0123456789"));
    await client.say("REST 10");
    assert.deepEqual(await client.fetch("RETR a"), new Uint8Array(0));
    await client.say("REST 11");
    await assert.rejects(client.fetch("RETR a"), /^Error: 554/);
    await client.say("REST 4");
    assert.equal((await client.store("STOR a", bytesOf("xy"))).code, 226);
    assert.equal(await Deno.readTextFile(`${root}/a`), "0123xy");
    assert.equal((await client.store("APPE a", bytesOf("z"))).code, 226);
    assert.equal(await Deno.readTextFile(`${root}/a`), "0123xyz");
    await client.say("REST 8");
    assert.equal((await client.store("STOR a", bytesOf("!"))).code, 554);
    assert.equal(await Deno.readTextFile(`${root}/a`), "0123xyz");
    for (const bad of ["-1", "x", "1.5", "99999999999999999"]) assert.equal(await client.code(`REST ${bad}`), 501);
    // A command in between ends a pending REST.
    await client.say("REST 3");
    await client.say("PWD");
    assert.equal((await client.store("STOR a", bytesOf("new"))).code, 226);
    assert.equal(await Deno.readTextFile(`${root}/a`), "new");
  }));

Deno.test("RNTO replaces a file, refuses a directory, and wants RNFR right before it", () =>
  bench({}, async ({ login, root }) => {
    const client = await login();
    await Deno.writeTextFile(`${root}/new.part`, "new");
    await Deno.writeTextFile(`${root}/log`, "old");
    await Deno.mkdir(`${root}/dir`);
    assert.equal(await client.code("RNTO log"), 503);
    assert.equal(await client.code("RNFR absent"), 550);
    assert.equal(await client.code("RNFR new.part"), 350);
    assert.equal(await client.code("RNTO dir"), 553);
    assert.equal(await client.code("RNTO log"), 503);
    assert.equal(await client.code("RNFR new.part"), 350);
    assert.equal(await client.code("RNTO log"), 250);
    assert.equal(await Deno.readTextFile(`${root}/log`), "new");
    assert.equal(await client.code("SIZE new.part"), 550);
  }));

Deno.test("MKD, CWD, CDUP, RMD and DELE do what they say and not more", () =>
  bench({}, async ({ login }) => {
    const client = await login();
    assert.equal((await client.say('MKD a "b"')).text, '257 "/a ""b""" is made');
    assert.equal(await client.code('MKD a "b"'), 550);
    assert.equal(await client.code("MKD x/y"), 550);
    assert.equal(await client.code('CWD a "b"'), 250);
    assert.equal((await client.store("STOR f", bytesOf("x"))).code, 226);
    assert.match((await client.say("PWD")).text, /^257 "\/a ""b""" /);
    assert.equal(await client.code("CDUP"), 250);
    assert.equal(await client.code('RMD a "b"'), 550);
    assert.equal(await client.code('DELE a "b"'), 550);
    assert.equal(await client.code('RMD a "b"/f'), 550);
    assert.equal(await client.code('DELE a "b"/f'), 250);
    assert.equal(await client.code('RMD a "b"'), 250);
    assert.equal(await client.code("DELE absent"), 550);
    assert.equal(await client.code("RMD /"), 550);
    assert.equal(await client.code("CWD ../.."), 250);
    assert.match((await client.say("PWD")).text, /^257 "\/" /);
  }));

Deno.test("No command reaches outside the root, whatever the path or the link", () =>
  bench({}, async ({ login, root }) => {
    const outside = await Deno.makeTempDir({ prefix: "filesync-ftpd-outside-" });
    try {
      await Deno.writeTextFile(`${outside}/secret`, "secret");
      await Deno.symlink(outside, `${root}/dir`);
      await Deno.symlink(`${outside}/secret`, `${root}/file`);
      await Deno.symlink(`${outside}/new`, `${root}/dangling`);
      await Deno.writeTextFile(`${root}/own`, "own");
      const client = await login();
      const up = `../../../../../../../..${outside}/secret`;
      for (const path of ["file", "dir/secret", up, `${outside}/secret`]) {
        await assert.rejects(client.fetch(`RETR ${path}`), /^Error: 550/, path);
        for (const verb of ["SIZE", "MDTM", "MLST", "MFMT 20200101000000"]) {
          assert.equal(await client.code(`${verb} ${path}`), 550, `${verb} ${path}`);
        }
        for (const verb of ["STOR", "APPE"]) {
          assert.ok((await client.store(`${verb} ${path}`, bytesOf("x"))).code >= 450, `${verb} ${path}`);
        }
      }
      assert.ok((await client.store("STOR dangling", bytesOf("x"))).code >= 450);
      assert.ok((await client.store("STOR dir/new", bytesOf("x"))).code >= 450);
      for (const line of ["CWD dir", "MKD dir/x", "RMD dir/x", "DELE dir/secret", "RNFR dir/secret", "MLST dir"]) {
        assert.equal(await client.code(line), 550, line);
      }
      await assert.rejects(client.fetch("MLSD dir"), /^Error: 550/);
      assert.equal(await client.code("RNFR own"), 350);
      assert.equal(await client.code("RNTO dir/own"), 550);
      assert.deepEqual(await client.fetchLines("NLST"), ["own"]);
      // A link itself may be removed; what it points to stays.
      assert.equal(await client.code("DELE file"), 250);
      assert.deepEqual([...Deno.readDirSync(outside)].map(({ name }) => name), ["secret"]);
      assert.equal(await Deno.readTextFile(`${outside}/secret`), "secret");
    } finally {
      await Deno.remove(outside, { recursive: true });
    }
  }));

Deno.test("A name that a control channel cannot carry is refused, and left out of listings with a word in the log", () =>
  bench({}, async ({ login, root, events }) => {
    await Deno.writeTextFile(`${root}/two\nlines`, "x");
    await Deno.writeTextFile(`${root}/plain`, "x");
    const client = await login();
    assert.deepEqual(await client.fetchLines("MLSD"), [
      `${(await client.say("MLST plain")).text.split("\r\n")[1]?.trim().replace(" /plain", " plain")}`,
    ]);
    assert.equal(events.filter(({ event }) => event === "unlisted").length, 1);
    assert.equal(await client.code("DELE a\rDELE plain"), 553);
    await client.sendBytes(new Uint8Array([...bytesOf("SIZE pl"), 0xc3, 0x28, ...bytesOf("ain\r\n")]));
    assert.equal((await client.reply()).code, 553);
    assert.equal(await client.code(`SIZE ${"x".repeat(10_000)}`), 500);
    assert.equal(await client.code(`SIZE ${"x".repeat(300)}`), 553);
    assert.equal(await client.code("SIZE plain"), 213);
  }));

Deno.test("Commands that are sent together are answered in their order", () =>
  bench({}, async ({ login, root }) => {
    await Deno.writeTextFile(`${root}/a`, "abc");
    const client = await login();
    const port = await client.passivePort();
    await client.send("TYPE I\r\nREST 1\r\nRETR a\r\nSIZE a\r\nNOOP\r\n");
    const data = await Deno.connect({ hostname: "127.0.0.1", port });
    const text = await new Response(data.readable).text();
    const codes: number[] = [];
    for (let n = 0; n < 6; n++) codes.push((await client.reply()).code);
    assert.deepEqual({ text, codes }, { text: "bc", codes: [200, 350, 150, 226, 213, 200] });
  }));

Deno.test("ABOR ends a transfer with 426 and 226, and the session goes on", () =>
  bench({}, async ({ login, root }) => {
    const client = await login();
    await using file = await Deno.open(`${root}/big`, { write: true, create: true });
    await file.truncate(1024 ** 3);
    const data = await client.openData();
    assert.equal(await client.code("RETR big"), 150);
    assert.match((await client.say("STAT")).text, /^211 Transfer under way/);
    await client.sendBytes(new Uint8Array([0xff, 0xf4, 0xff, 0xf2]));
    await client.send("ABOR\r\n");
    assert.equal((await client.reply()).code, 426);
    assert.equal((await client.reply()).code, 226);
    data.close();
    assert.equal(await client.code("ABOR"), 226);
    assert.equal((await client.store("STOR small", bytesOf("x"))).code, 226);
  }));

Deno.test("ABOR ends the wait for a data connection that is never opened", () =>
  bench({}, async ({ login, root }) => {
    await Deno.writeTextFile(`${root}/a`, "a");
    const client = await login();
    await client.passivePort();
    await client.send("RETR a\r\nABOR\r\n");
    assert.equal((await client.reply()).code, 426);
    assert.equal((await client.reply()).code, 226);
    assert.equal(await client.code("NOOP"), 200);
  }));

Deno.test("A transfer without a data connection answers 425", () =>
  bench({ limits: { dataConnectMs: 20 } }, async ({ login, root }) => {
    await Deno.writeTextFile(`${root}/a`, "a");
    const client = await login();
    assert.equal(await client.code("RETR a"), 425);
    await client.passivePort();
    assert.equal(await client.code("RETR a"), 425);
    assert.equal(await client.code("NOOP"), 200);
  }));

Deno.test("A data connection on which nothing moves is ended with 426, and what arrived stays", () =>
  bench({ limits: { stallMs: 300 } }, async ({ login, root, events }) => {
    const client = await login();
    const data = await client.openData();
    assert.equal(await client.code("STOR a"), 150);
    await data.write(bytesOf("prefix"));
    const { code, text } = await client.reply();
    data.close();
    assert.equal(code, 426);
    assert.match(text, /stalled/);
    assert.equal(await Deno.readTextFile(`${root}/a`), "prefix");
    assert.ok(events.some((event) => event.event === "upload" && event.error !== undefined && event.bytes === 6));
  }));

testNeeding(
  "python3",
  "An upload over a connection that was reset answers 426 and never 226",
  () =>
    bench({}, async ({ login }) => {
      const client = await login();
      const port = await client.passivePort();
      // SO_LINGER with 0 makes close() send a reset; only a language with setsockopt can ask for it.
      const script = "import socket,struct,sys\ns=socket.create_connection(('127.0.0.1',int(sys.argv[1])))\n" +
        "s.setsockopt(socket.SOL_SOCKET,socket.SO_LINGER,struct.pack('ii',1,0))\n" +
        "s.sendall(b'x'*1000);sys.stdin.read(1);s.close()";
      const child = new Deno.Command("python3", { args: ["-c", script, String(port)], stdin: "piped" }).spawn();
      assert.equal(await client.code("STOR a"), 150);
      await child.stdin.close();
      assert.equal((await client.reply()).code, 426);
      assert.equal((await child.status).code, 0);
    }),
);

Deno.test("Two uploads of one file never mix: the second is refused while the first moves", () =>
  bench({}, async ({ login, root }) => {
    const [first, second] = [await login(), await login()];
    const data = await first.openData();
    assert.equal(await first.code("STOR a"), 150);
    assert.equal((await second.store("STOR a", bytesOf("second"))).code, 450);
    await data.write(bytesOf("first"));
    data.close();
    assert.equal((await first.reply()).code, 226);
    assert.equal(await Deno.readTextFile(`${root}/a`), "first");
    assert.equal((await second.store("STOR a", bytesOf("second"))).code, 226);
  }));

Deno.test("An abandoned upload gives way to the client that comes back to resume it", () =>
  bench({ limits: { abandonedMs: 0 } }, async ({ login, root }) => {
    const [dead, back] = [await login(), await login()];
    const data = await dead.openData();
    assert.equal(await dead.code("STOR a"), 150);
    await data.write(bytesOf("first half, "));
    while ((await back.say("SIZE a")).text !== "213 12");
    await back.say("REST 12");
    assert.equal((await back.store("STOR a", bytesOf("second half"))).code, 226);
    assert.equal((await dead.reply()).code, 426);
    data.close();
    assert.equal(await Deno.readTextFile(`${root}/a`), "first half, second half");
  }));

Deno.test("A client that vanishes in an upload leaves a prefix and costs no other client anything", () =>
  bench({}, async ({ server, login, root }) => {
    const vanishing = await ControlClient.login(server.port);
    const data = await vanishing.openData();
    assert.equal(await vanishing.code("STOR a"), 150);
    await data.write(bytesOf("prefix"));
    const other = await login();
    while ((await other.say("SIZE a")).text !== "213 6");
    vanishing.close();
    assert.equal(await data.read(new Uint8Array(1)).catch(() => null), null);
    data.close();
    assert.equal(await other.code("NOOP"), 200);
    assert.equal(await Deno.readTextFile(`${root}/a`), "prefix");
  }));

Deno.test("Connections over the limits are turned away with 421", () =>
  bench({ limits: { connectionsPerAddressMax: 2 } }, async ({ server, login, events }) => {
    const [first] = [await login(), await login()];
    const third = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    assert.match(await new Response(third.readable).text(), /^421 /);
    assert.equal(await first.code("QUIT"), 221);
    while (!events.some(({ event }) => event === "closed")) await first.reply();
    assert.ok(await login());
  }));

Deno.test("A control connection without a command is closed with 421", () =>
  bench({ limits: { idleMs: 400 } }, async ({ login }) => {
    const client = await login();
    assert.equal((await client.reply()).code, 421);
    assert.equal((await client.reply()).code, 0);
  }));

Deno.test("PASV ports come from the range, and 425 says when none is free", () => {
  const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const only = probe.addr.port;
  return bench({ passivePorts: { first: only, last: only } }, async ({ login }) => {
    const client = await login();
    assert.equal(await client.code("PASV"), 425);
    probe.close();
    assert.equal((await client.say("PASV")).text, `227 Entering Passive Mode (127,0,0,1,${only >> 8},${only & 255})`);
    assert.equal(await client.passivePort(), only);
  });
});

testNeeding(
  "curl",
  "The data port takes no stranger: another address is closed at once",
  () =>
    bench({ host: "0.0.0.0" }, async ({ login, root, events }) => {
      await Deno.writeTextFile(`${root}/a`, "abc");
      const client = await login();
      const port = await client.passivePort();
      // curl can bind its own end to another loopback address; Deno.connect() cannot.
      const stranger = await new Deno.Command("curl", {
        args: ["-sS", "--max-time", "5", "--interface", "127.0.0.2", `telnet://127.0.0.1:${port}`],
        stdin: "null",
      }).output();
      assert.equal(new TextDecoder().decode(stranger.stdout), "");
      const data = await Deno.connect({ hostname: "127.0.0.1", port });
      assert.equal(await client.code("RETR a"), 150);
      assert.equal(await new Response(data.readable).text(), "abc");
      assert.equal((await client.reply()).code, 226);
      assert.ok(events.some((event) => event.event === "refused" && event.reason.includes("127.0.0.2")));
    }),
);

Deno.test("stop() ends running transfers and leaves nothing behind", () =>
  bench({}, async ({ server, login, root }) => {
    const [uploading, waiting, idle] = [await login(), await login(), await login()];
    const data = await uploading.openData();
    assert.equal(await uploading.code("STOR a"), 150);
    await data.write(bytesOf("prefix"));
    while ((await idle.say("SIZE a")).text !== "213 6");
    await waiting.passivePort();
    await waiting.send("LIST\r\n");
    await server.stop();
    data.close();
    assert.equal((await idle.reply()).code, 0);
    assert.equal(await Deno.readTextFile(`${root}/a`), "prefix");
    server.stop = () => Promise.resolve();
  }));
