/** The companion FTP server with the clients that people use: curl, lftp, Python's ftplib, rclone; plain and over TLS. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type FtpEvent, makeIdentity, startFtpServer } from "../../lib/ftpd/mod.ts";
import { testNeeding } from "../support/needs.ts";

const USER = "pilot";
const PASSWD = "p:a/s@s w%rd";

interface Bench {
  port: number;
  /** What is served. */
  root: string;
  /** The client's own directory. */
  work: string;
  events: FtpEvent[];
  /** File of the server's certificate; absent: the server speaks no TLS. */
  cert: string | undefined;
}

/** Made once: a key takes its time on a small machine. */
const IDENTITY = makeIdentity(["localhost"], ["127.0.0.1"]);

/** A test with a plain server, and the same with one that speaks TLS alone. */
function testBoth(client: string, name: string, run: (bench: Bench) => Promise<void>): void {
  testNeeding(client, name, () => bench(run, false));
  testNeeding(client, `over TLS: ${name}`, () => bench(run, true));
}

async function bench(run: (bench: Bench) => Promise<void>, isSecure: boolean): Promise<void> {
  const base = await Deno.makeTempDir({ prefix: "filesync-ftpd-" });
  const [root, work] = [`${base}/root`, `${base}/work`];
  await Deno.mkdir(root);
  await Deno.mkdir(work);
  const events: FtpEvent[] = [];
  const server = await startFtpServer({
    root,
    user: USER,
    passwd: PASSWD,
    log: (event) => events.push(event),
    ...(isSecure ? { tls: IDENTITY } : {}),
  });
  const cert = isSecure ? `${base}/cert.pem` : undefined;
  try {
    if (cert !== undefined) await Deno.writeTextFile(cert, IDENTITY.cert);
    await run({ port: server.port, root, work, events, cert });
  } finally {
    await server.stop();
    await Deno.remove(base, { recursive: true });
  }
}

async function command(name: string, args: string[], options: { cwd: string; env?: Record<string, string> }) {
  const { code, stdout, stderr } = await new Deno.Command(name, { args, ...options, stdin: "null" }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function succeed(name: string, args: string[], options: { cwd: string; env?: Record<string, string> }) {
  const result = await command(name, args, options);
  assert.equal(result.code, 0, `${name} ${args.join(" ")}: ${result.stderr}${result.stdout}`);
  return result.stdout;
}

/** Bytes that compress badly and repeat nowhere within a block; the same for the same size. */
async function sample(path: string, sizeBytes: number): Promise<string> {
  const bytes = new Uint8Array(sizeBytes);
  for (let n = 0, word = 1; n < sizeBytes; n++) {
    word = (Math.imul(word, 1103515245) + 12345) >>> 0;
    bytes[n] = word >>> 16;
  }
  await Deno.writeFile(path, bytes);
  return createHash("sha256").update(bytes).digest("hex");
}

async function sha256(path: string): Promise<string> {
  return createHash("sha256").update(await Deno.readFile(path)).digest("hex");
}

testBoth(
  "curl",
  "curl uploads, lists, resumes both ways, renames and deletes",
  async ({ port, root, work, cert }) => {
    const secure = cert === undefined ? [] : ["--ssl-reqd", "--cacert", cert];
    const url = `ftp://127.0.0.1:${port}`;
    const curl = (...args: string[]) =>
      succeed("curl", ["-sS", ...secure, "--user", `${USER}:${PASSWD}`, ...args], { cwd: work });
    const hash = await sample(`${work}/a b.ulg`, 3_000_001);

    await curl("--ftp-create-dirs", "-T", "a b.ulg", `${url}/deep/er/`);
    assert.equal(await sha256(`${root}/deep/er/a b.ulg`), hash);
    assert.match(await curl("--disable-epsv", `${url}/deep/er/`), / 3000001 .* a b\.ulg/);
    assert.equal(await curl("-l", `${url}/deep/`), "er\r\n".replace("\r", ""));
    assert.match(await curl("-I", `${url}/deep/er/a%20b.ulg`), /Content-Length: 3000001/);

    await Deno.writeFile(`${work}/back`, (await Deno.readFile(`${work}/a b.ulg`)).subarray(0, 1_234_567));
    await curl("-C", "-", "-R", "-o", "back", `${url}/deep/er/a%20b.ulg`);
    assert.equal(await sha256(`${work}/back`), hash);

    await Deno.writeFile(`${root}/part`, (await Deno.readFile(`${work}/a b.ulg`)).subarray(0, 2_000_000));
    await curl("-C", "-", "-T", "a b.ulg", `${url}/part`);
    assert.equal(await sha256(`${root}/part`), hash);

    await curl("-Q", "RNFR part", "-Q", "RNTO deep/er/a b.ulg", "-Q", "MKD empty", "-Q", "RMD empty", `${url}/`);
    assert.equal(await sha256(`${root}/deep/er/a b.ulg`), hash);
    await curl("-Q", "DELE deep/er/a b.ulg", `${url}/`);
    assert.deepEqual([...Deno.readDirSync(`${root}/deep/er`)], []);
  },
);

testBoth("curl", "curl with a wrong password is told so (exit code 67)", async ({ port, work, cert }) => {
  const secure = cert === undefined ? [] : ["--ssl-reqd", "--cacert", cert];
  const { code } = await command("curl", ["-sS", ...secure, "--user", `${USER}:guess`, `ftp://127.0.0.1:${port}/`], {
    cwd: work,
  });
  assert.equal(code, 67);
});

testBoth(
  "lftp",
  "lftp mirrors a tree up and down in parallel and continues a half file",
  async ({ port, root, work, cert }) => {
    const secure = cert === undefined
      ? "set ftp:ssl-allow no"
      : `set ssl:ca-file ${cert}; set ftp:ssl-force yes; set ftp:ssl-protect-data yes`;
    const lftp = (script: string) =>
      succeed("lftp", ["--norc", "-c", `set cmd:fail-exit yes; set net:max-retries 1; ${secure}; ${script}`], {
        cwd: work,
        env: { LFTP_PASSWORD: PASSWD, HOME: work },
      });
    const open = `open --env-password -u ${USER} ftp://127.0.0.1:${port}`;
    const hashes = new Map<string, string>();
    for (const [name, size] of [["up/x/1.ulg", 300_000], ["up/x/y/2 ü.ulg", 1], ["up/empty", 0]] as const) {
      await Deno.mkdir(`${work}/${name.slice(0, name.lastIndexOf("/"))}`, { recursive: true });
      hashes.set(name, await sample(`${work}/${name}`, size));
    }
    await Deno.utime(`${work}/up/x/1.ulg`, 1_600_000_000, 1_600_000_000);

    await lftp(`${open}; mirror --reverse --parallel=3 up store`);
    await lftp(`${open}; mirror --parallel=3 store up2`);
    for (const [name, hash] of hashes) {
      assert.equal(await sha256(`${root}/${name.replace("up/", "store/")}`), hash, name);
      assert.equal(await sha256(`${work}/${name.replace("up/", "up2/")}`), hash, name);
    }
    assert.equal(Deno.statSync(`${root}/store/x/1.ulg`).mtime?.getTime(), 1_600_000_000_000);
    assert.equal(Deno.statSync(`${work}/up2/x/1.ulg`).mtime?.getTime(), 1_600_000_000_000);

    await Deno.truncate(`${root}/store/x/1.ulg`, 100_000);
    await lftp(
      `${open}; put -c -O store/x up/x/1.ulg; mv store/x/1.ulg store/moved; rm store/empty; rm -r store/x/y`,
    );
    assert.equal(await sha256(`${root}/store/moved`), hashes.get("up/x/1.ulg"));
    assert.deepEqual([...Deno.readDirSync(`${root}/store`)].map(({ name }) => name).sort(), ["moved", "x"]);
  },
);

const FTPLIB = String.raw`
import ftplib, io, ssl, sys
if sys.argv[4]:
    ftp = ftplib.FTP_TLS(encoding='utf-8', context=ssl.create_default_context(cafile=sys.argv[4]))
else:
    ftp = ftplib.FTP(encoding='utf-8')
ftp.connect('127.0.0.1', int(sys.argv[1]), timeout=20)
ftp.login(sys.argv[2], sys.argv[3])
if sys.argv[4]:
    ftp.prot_p()
body = bytes(range(256)) * 1000
assert ftp.storbinary('STOR one', io.BytesIO(body)).startswith('226')
assert ftp.size('one') == len(body)
assert ftp.storbinary('STOR one', io.BytesIO(b'tail'), rest=10).startswith('226')
assert ftp.size('one') == 14
ftp.storbinary('APPE one', io.BytesIO(b'!'))
got = []
ftp.retrbinary('RETR one', got.append, rest=10)
assert b''.join(got) == b'tail!', got
ftp.mkd('d "q" ü')
assert ftp.cwd('d "q" ü').startswith('250')
assert ftp.pwd() == '/d "q" ü', ftp.pwd()
ftp.cwd('..')
facts = dict(ftp.mlsd('/', facts=['type', 'size', 'modify']))
assert facts['one']['size'] == '15' and facts['d "q" ü']['type'] == 'dir', facts
assert sorted(ftp.nlst()) == ['d "q" ü', 'one'], ftp.nlst()
lines = []
ftp.retrlines('LIST', lines.append)
assert len(lines) == 2, lines
ftp.rename('one', 'two')
assert ftp.sendcmd('MFMT 20200102030405 two').startswith('213')
assert ftp.sendcmd('MDTM two') == '213 20200102030405'
for turn in range(3):
    ftp.storbinary('APPE big', io.BytesIO(b'x' * 10_000_000))
sock = ftp.transfercmd('RETR big')
sock.recv(1000)
reply = ftp.abort()
assert reply[:3] in ('426', '225', '226'), reply
sock.close()
if reply.startswith('426'):
    assert ftp.voidresp().startswith('226')
for command in ('DELE two', 'DELE big', 'RMD d "q" ü'):
    assert ftp.sendcmd(command).startswith('250')
assert ftp.nlst() == []
for command, code in (('RETR nothing', '425'), ('SIZE nothing', '550'), ('CWD nothing', '550'), ('XYZ', '502')):
    try:
        ftp.sendcmd(command)
        raise AssertionError(command)
    except ftplib.error_temp as error:
        assert command == 'RETR nothing' and str(error)[:3] == code, (command, error)
    except ftplib.error_perm as error:
        assert str(error)[:3] in (code, '550'), (command, error)
assert ftp.quit().startswith('221')
print('all good')
`;

testBoth(
  "python3",
  "Python's ftplib stores, resumes, lists, aborts and removes",
  async ({ port, root, work, cert }) => {
    const args = ["-c", FTPLIB, String(port), USER, PASSWD, cert ?? ""];
    assert.equal(await succeed("python3", args, { cwd: work }), "all good\n");
    assert.deepEqual([...Deno.readDirSync(root)], []);
  },
);

testBoth(
  "rclone",
  "rclone copies a tree up with times, finds nothing to do, and copies it down",
  async ({ port, root, work, events, cert }) => {
    const obscured = (await succeed("rclone", ["obscure", PASSWD], { cwd: work })).trim();
    const rclone = (...args: string[]) =>
      succeed("rclone", [...args, "--config", `${work}/rclone.conf`, "--retries", "1", "--low-level-retries", "1"], {
        cwd: work,
        env: {
          HOME: work,
          RCLONE_FTP_HOST: "127.0.0.1",
          RCLONE_FTP_PORT: String(port),
          RCLONE_FTP_USER: USER,
          RCLONE_FTP_PASS: obscured,
          ...(cert === undefined ? {} : { RCLONE_FTP_EXPLICIT_TLS: "true", SSL_CERT_FILE: cert }),
        },
      });
    await Deno.mkdir(`${work}/up/x`, { recursive: true });
    const hash = await sample(`${work}/up/x/one.ulg`, 500_000);
    await sample(`${work}/up/two", three.ulg`, 7);
    await Deno.utime(`${work}/up/x/one.ulg`, 1_600_000_000, 1_600_000_000);

    await rclone("copy", "up", ":ftp:store");
    assert.equal(await sha256(`${root}/store/x/one.ulg`), hash);
    assert.equal(Deno.statSync(`${root}/store/x/one.ulg`).mtime?.getTime(), 1_600_000_000_000);
    const uploads = () => events.filter(({ event }) => event === "upload").length;
    const before = uploads();
    await rclone("copy", "up", ":ftp:store");
    assert.equal(uploads(), before);
    await rclone("copy", ":ftp:store", "down");
    assert.equal(await sha256(`${work}/down/x/one.ulg`), hash);
    await rclone("purge", ":ftp:store");
    assert.deepEqual([...Deno.readDirSync(root)], []);
  },
);
