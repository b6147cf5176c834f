/** `filesync serve ftp` as it is started by people and by services. */
import assert from "node:assert/strict";
import { testNeeding } from "../support/needs.ts";
import { type Ended, filesync, inTempDir, jsonLines, Running } from "./support.ts";

/** A directory with `root` and the password file `pw`. */
async function prepared(use: (dir: string) => Promise<void>): Promise<void> {
  await inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/root`);
    await Deno.writeTextFile(`${dir}/pw`, "secret\n", { mode: 0o600 });
    await use(dir);
  });
}

/** Waits until the server tells its port, and stops it in the end. */
async function serving(
  running: Running,
  use: (port: number) => Promise<void>,
  signal: "SIGTERM" | "SIGINT" = "SIGTERM",
): Promise<Ended> {
  try {
    await running.stdoutMatches(/"listening".*\n/);
    // The port is in the first line, which only the end gives: asked from the kernel's side instead.
    await use(await portOf(running));
  } finally {
    running.child.kill(signal);
  }
  return await running.ended();
}

/** The TCP port that the program listens on, from the system's own table. */
async function portOf({ child }: Running): Promise<number> {
  const sockets = new Set<string>();
  for await (const { name } of Deno.readDir(`/proc/${child.pid}/fd`)) {
    const link = await Deno.readLink(`/proc/${child.pid}/fd/${name}`).catch(() => "");
    sockets.add(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? "");
  }
  for (const line of (await Deno.readTextFile("/proc/net/tcp")).split("\n")) {
    const [, local = "", , state, , , , , , inode = "none"] = line.trim().split(/\s+/);
    if (state === "0A" && sockets.has(inode)) return parseInt(local.split(":")[1] ?? "", 16);
  }
  throw new Error("The program listens on no port");
}

async function curl(dir: string, ...args: string[]): Promise<{ code: number; text: string }> {
  const { code, stdout } = await new Deno.Command("curl", { args: ["-s", ...args], cwd: dir, stdin: "null" }).output();
  return { code, text: new TextDecoder().decode(stdout) };
}

const START = ["serve", "ftp", "--root", "root", "--user", "pi", "--port", "0"];

testNeeding(
  "curl",
  "serve ftp serves, tells what it does as JSON, and stops at SIGTERM with 143",
  () =>
    prepared(async (dir) => {
      await Deno.writeTextFile(`${dir}/guest`, "look", { mode: 0o600 });
      await Deno.writeTextFile(`${dir}/log`, "a log");
      const running = new Running(dir, [...START, "--passwd-file", "pw", "--reader", "guest=guest", "--json"]);
      const { code, stdout, stderr } = await serving(running, async (port) => {
        const url = `ftp://127.0.0.1:${port}/log`;
        assert.equal((await curl(dir, "-u", "pi:secret", "-T", "log", url)).code, 0);
        assert.deepEqual(await curl(dir, "-u", "guest:look", url), { code: 0, text: "a log" });
        assert.notEqual((await curl(dir, "-u", "guest:look", "-T", "log", url)).code, 0);
        assert.equal((await curl(dir, "-u", "pi:wrong", url)).code, 67);
      });
      assert.equal(code, 143, stderr);
      const events = jsonLines(stdout);
      assert.ok(events.every(({ schema, time }) => schema === 1 && typeof time === "string"));
      const [listening] = events;
      assert.equal(listening?.["event"], "listening");
      assert.equal(events.filter(({ event, path }) => event === "upload" && path === "/log").length, 1);
      assert.equal(events.filter(({ event, bytes }) => event === "download" && bytes === 5).length, 1);
      assert.equal(events.filter(({ event }) => event === "login_failed").length, 1);
      // Trouble is for people, too; what goes well is not said twice.
      assert.match(stderr, /^127\.0\.0\.1: Wrong name or password for "pi"\n$/m);
      assert.doesNotMatch(stdout + stderr, /secret|wrong\b/);
    }),
);

testNeeding(
  "curl",
  "serve ftp tells people on stderr, and takes its options from variables",
  () =>
    prepared(async (dir) => {
      await Deno.writeTextFile(`${dir}/log`, "a log");
      const variables = {
        FILESYNC_ROOT: "root",
        FILESYNC_USER: "pi",
        FILESYNC_PASSWD: "from the environment",
        FILESYNC_PORT: "0",
        FILESYNC_READ_ONLY: "1",
      };
      await Deno.writeTextFile(`${dir}/root/log`, "served");
      const running = new Running(dir, ["serve", "ftp"], variables);
      await running.stderrMatches(/Only this machine can connect/);
      const port = await portOf(running);
      const user = "pi:from the environment";
      assert.deepEqual(await curl(dir, "-u", user, `ftp://127.0.0.1:${port}/log`), { code: 0, text: "served" });
      assert.notEqual((await curl(dir, "-u", user, "-T", "log", `ftp://127.0.0.1:${port}/new`)).code, 0);
      await running.stderrMatches(/Sent "\/log", 6 B/);
      running.child.kill("SIGINT");
      const { code, stdout, stderr } = await running.ended();
      assert.deepEqual([code, stdout], [130, ""], stderr);
      assert.match(stderr, /^Serving "root" on 127\.0\.0\.1 port \d+, read-only\n/);
      assert.doesNotMatch(stderr, /Warning/);
    }),
);

Deno.test("serve ftp stops with what a client has sent kept, also in the middle of an upload", () =>
  prepared(async (dir) => {
    const running = new Running(dir, [...START, "--passwd-file", "pw", "--json"]);
    let data: Deno.TcpConn | undefined;
    let control: Deno.TcpConn | undefined;
    const { code } = await serving(running, async (port) => {
      control = await Deno.connect({ hostname: "127.0.0.1", port });
      const said = async (line: string): Promise<string> => {
        await control!.write(new TextEncoder().encode(`${line}\r\n`));
        const buffer = new Uint8Array(1000);
        return new TextDecoder().decode(buffer.subarray(0, (await control!.read(buffer)) ?? 0));
      };
      await control.read(new Uint8Array(1000));
      await said("USER pi");
      await said("PASS secret");
      const dataPort = Number(/\|\|\|(\d+)\|/.exec(await said("EPSV"))?.[1]);
      data = await Deno.connect({ hostname: "127.0.0.1", port: dataPort });
      assert.match(await said("STOR big"), /^150/);
      await data.write(new TextEncoder().encode("prefix"));
      while (await Deno.readTextFile(`${dir}/root/big`) !== "prefix") await said("STAT");
    });
    data?.close();
    control?.close();
    assert.equal(code, 143);
    assert.equal(await Deno.readTextFile(`${dir}/root/big`), "prefix");
  }));

Deno.test("serve ftp says what is missing or wrong, each with its exit code", () =>
  prepared(async (dir) => {
    await Deno.writeTextFile(`${dir}/file`, "");
    await Deno.writeTextFile(`${dir}/open`, "x", { mode: 0o644 });
    await Deno.chmod(`${dir}/open`, 0o644);
    const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const withPw = ["serve", "ftp", "--user", "pi", "--passwd-file", "pw"];
    const cases: [string[], number, RegExp][] = [
      [["serve", "ftp"], 2, /Expected the option --root DIR/],
      [["serve", "ftp", "--root", "root"], 2, /Expected the option --user NAME/],
      [START, 2, /Expected a password, and there is no default\n.*--passwd-file/],
      [[...START, "--passwd", ""], 2, /Warning: everyone on this machine can see.*\n.*Expected a password/],
      [[...START, "--passwd-file", "absent"], 3, /absent": no such file/],
      [[...START, "--passwd-credential", "ftp"], 3, /LoadCredential=ftp:/],
      [[...withPw, "--root", "absent"], 5, /Cannot serve "absent": no such directory/],
      [[...withPw, "--root", "file"], 3, /Cannot serve "file": it is not a directory/],
      [[...withPw, "--root", "root", "--port", "70000"], 2, /--port "70000": expected a number up to 65535/],
      [[...withPw, "--root", "root", "--passive-ports", "9-8"], 2, /expected FIRST-LAST/],
      [[...withPw, "--root", "root", "--quota", "many"], 2, /--quota "many": /],
      [[...withPw, "--root", "root", "--reader", "guest"], 2, /expected NAME=FILE/],
      [[...withPw, "--root", "root", "--reader", "pi=pw"], 3, /two users have one name/],
      [[...withPw, "--root", "root", "--host", "192.0.2.1"], 5, /this machine has no such address/],
      [
        [...withPw, "--root", "root", "--reader", "a=open", "--port", String(taken.addr.port)],
        1,
        /Warning: everyone .* password in "open".*\n.*another program has it/,
      ],
    ];
    try {
      for (const [args, code, expected] of cases) {
        const ended = await filesync(dir, args, { FILESYNC_PORT: "0" });
        assert.deepEqual([ended.code, ended.stdout], [code, ""], `${args.join(" ")}: ${ended.stderr}`);
        assert.match(ended.stderr, expected);
      }
    } finally {
      taken.close();
    }
  }));

testNeeding(
  "curl",
  "serve ftp --tls makes a certificate once, tells its fingerprint, and takes nothing in the clear",
  () =>
    prepared(async (dir) => {
      await Deno.writeTextFile(`${dir}/log`, "a log");
      const prints = new Set<unknown>();
      const cert = `${dir}/.local/state/filesync/ftp-tls.crt`;
      for (let start = 0; start < 2; start++) {
        const running = new Running(dir, [...START, "--passwd-file", "pw", "--tls", "--json"]);
        const { code, stdout, stderr } = await serving(running, async (port) => {
          const url = `ftp://127.0.0.1:${port}/log`;
          const secure = ["--ssl-reqd", "--cacert", cert, "-u", "pi:secret"];
          assert.equal((await curl(dir, ...secure, "-T", "log", url)).code, 0);
          assert.deepEqual(await curl(dir, ...secure, "--tls-max", "1.2", url), { code: 0, text: "a log" });
          assert.equal((await curl(dir, "-u", "pi:secret", url)).code, 67);
          // A client that was not told whom to trust.
          assert.equal((await curl(dir, "--ssl-reqd", "-u", "pi:secret", url)).code, 60);
        });
        assert.equal(code, 143, stderr);
        prints.add(jsonLines(stdout)[0]?.["certificateSha256"]);
        assert.equal(/Made a certificate/.test(stderr), start === 0, stderr);
      }
      const bytes = Uint8Array.fromBase64((await Deno.readTextFile(cert)).replace(/-----.*-----|\n/g, ""));
      const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
      assert.deepEqual([...prints], [sha256]);
      const kept = `${dir}/.local/state/filesync/ftp-tls.pem`;
      assert.equal(Deno.statSync(kept).mode! & 0o777, 0o600);
      // One of one's own, and what cannot be one.
      const text = await Deno.readTextFile(kept);
      await Deno.writeTextFile(`${dir}/key.pem`, text.slice(text.indexOf("-----BEGIN PRIVATE")), { mode: 0o600 });
      const own = new Running(
        dir,
        [...START, "--passwd-file", "pw", "--tls", "--tls-cert", cert, "--tls-key", "key.pem", "--json"],
      );
      await serving(own, async (port) => {
        const secure = ["--ssl-reqd", "--cacert", cert, "-u", "pi:secret"];
        assert.equal((await curl(dir, ...secure, `ftp://127.0.0.1:${port}/log`)).code, 0);
      });
      const refused: [string[], number, RegExp][] = [
        [["--tls-cert", cert], 2, /Expected --tls beside/],
        [["--tls", "--tls-cert", cert], 2, /Expected both --tls-cert and --tls-key/],
        [["--tls", "--tls-cert", "pw", "--tls-key", "key.pem"], 3, /"pw": it holds no certificate/],
        [["--tls", "--tls-cert", cert, "--tls-key", "nothing"], 3, /Cannot read "nothing"/],
      ];
      for (const [args, code, told] of refused) {
        const ended = await filesync(dir, [...START, "--passwd-file", "pw", ...args]);
        assert.deepEqual([ended.code, ended.stdout], [code, ""], ended.stderr);
        assert.match(ended.stderr, told);
      }
      await Deno.writeTextFile(kept, text.slice(0, 300));
      const damaged = await filesync(dir, [...START, "--passwd-file", "pw", "--tls"]);
      assert.equal(damaged.code, 3);
      assert.match(damaged.stderr, /ftp-tls\.pem": it is damaged/);
    }),
);
