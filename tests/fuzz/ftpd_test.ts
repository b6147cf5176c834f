/**
 * Random clients for the FTP server's control channel: commands in any order, with odd arguments, cut anywhere, sent
 * together, with bytes that are no text. Whatever comes, replies are well formed, nothing outside the root is read or
 * changed, nothing is an internal error, and the server goes on. A failure names its seed; `FILESYNC_FUZZ_RUNS=2000` for
 * the long campaign.
 */
import assert from "node:assert/strict";
import { type FtpEvent, startFtpServer } from "../../lib/ftpd/mod.ts";
import { seeded } from "../support/mavftp_bed.ts";
import { seeds } from "./seeds.ts";

const SEEDS = seeds(60);
const SECRET = "the secret outside";
const VERBS =
  ("USER PASS QUIT NOOP SYST FEAT OPTS ABOR STAT AVBL TYPE MODE STRU ALLO PWD CWD CDUP MKD RMD DELE RNFR RNTO SIZE MDTM " +
    "MFMT MLST PASV EPSV PORT EPRT REST RANG HASH RETR STOR APPE LIST NLST MLSD AUTH PBSZ PROT CCC SITE XYZ").split(
      " ",
    );

/** Those that take a path, and what leads out of the root: half of all that is tried. */
const WITH_PATH = "CWD MKD RMD DELE RNFR RNTO SIZE MDTM MLST HASH STAT AVBL STOR RETR".split(" ");
const WAYS_OUT = ["dir", "dir/", "dir/secret", "dir/new", "./dir/../dir/secret", "/dir/secret", "file", "dangling"];

/** One client's bytes, from a seed. */
function script(seed: number, outside: string): Uint8Array[] {
  const random = seeded(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const argument = (): string =>
    pick([
      () => "",
      () => pick(["a", "d", "d/b", "/", ".", "..", "dir", "file", "dir/secret", "dangling", "new", "ä", " ", "a b"]),
      () => "../".repeat(1 + Math.floor(random() * 9)) + outside.slice(1) + "/secret",
      () => `${outside}/${pick(["secret", "new"])}`,
      () => String(Math.floor(random() * 2 ** pick([3, 31, 60]))),
      () => `${Math.floor(random() * 9)} ${Math.floor(random() * 9)}`,
      () => pick(["ALL", "1", "2", "I", "A N", "UTF8 ON", "MLST size;", "HASH MD5", "TLS", "P", "-la", "-la dir"]),
      () => `20200101000000 ${pick(["a", "dir/secret", "../x"])}`,
      () => String.fromCharCode(...Array.from({ length: Math.floor(random() * 40) }, () => Math.floor(random() * 256))),
      () => "x".repeat(Math.floor(random() * pick([10, 300, 9000]))),
    ])();
  const chunks: Uint8Array[] = [];
  const say = (bytes: Uint8Array) => {
    // Cut where it pleases, as a network does.
    const at = random() < 0.3 ? Math.floor(random() * bytes.length) : bytes.length;
    chunks.push(bytes.subarray(0, at), bytes.subarray(at));
  };
  if (random() < 0.85) say(new TextEncoder().encode("USER pilot\r\nPASS secret\r\n"));
  for (let count = 1 + Math.floor(random() * 40); count > 0; count--) {
    const command = random() < 0.5
      ? `${pick(WITH_PATH)} ${pick(WAYS_OUT)}`
      : `${pick(VERBS)}${random() < 0.9 ? ` ${argument()}` : ""}`;
    const line = command + pick(["\r\n", "\r\n", "\r\n", "\n", "\r"]);
    if (random() < 0.1) say(new Uint8Array([0xff, 0xf4, 0xff, 0xf2]));
    say(random() < 0.5 ? new TextEncoder().encode(line) : Uint8Array.from(line, (c) => c.charCodeAt(0) & 0xff));
  }
  return chunks;
}

/** Sends it, and returns what was answered up to the server's or our end. */
async function converse(port: number, chunks: Uint8Array[]): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const decoder = new TextDecoder();
  let answered = "";
  const reading = (async () => {
    const buffer = new Uint8Array(65_536);
    try {
      for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
        answered += decoder.decode(buffer.subarray(0, count), { stream: true });
      }
    } catch {
      // Reset, because the server had enough: what was answered counts.
    }
  })();
  try {
    for (const chunk of chunks) for (let at = 0; at < chunk.length;) at += await conn.write(chunk.subarray(at));
    // Everything gets its answer first, as after any QUIT.
    const last = new TextEncoder().encode("\r\nABOR\r\nQUIT\r\n");
    for (let at = 0; at < last.length;) at += await conn.write(last.subarray(at));
  } catch {
    // Likewise.
  }
  await reading;
  return answered;
}

Deno.test(`The FTP server stands ${SEEDS.length} random clients`, async () => {
  const base = await Deno.realPath(await Deno.makeTempDir({ prefix: "filesync-ftpd-fuzz-" }));
  const [root, outside] = [`${base}/root`, `${base}/outside`];
  try {
    await Deno.mkdir(`${outside}`);
    await Deno.writeTextFile(`${outside}/secret`, SECRET);
    for (const seed of SEEDS) {
      await Deno.mkdir(`${root}/d`, { recursive: true });
      await Deno.writeTextFile(`${root}/a`, "content");
      await Deno.writeTextFile(`${root}/d/b`, "content");
      await Deno.symlink(outside, `${root}/dir`);
      await Deno.symlink(`${outside}/secret`, `${root}/file`);
      await Deno.symlink(`${outside}/new`, `${root}/dangling`);
      const events: FtpEvent[] = [];
      const limits = { loginDelayMs: 0, dataConnectMs: 5, stallMs: 1000 };
      const server = await startFtpServer({
        root,
        user: "pilot",
        passwd: "secret",
        limits,
        log: (event) => events.push(event),
      });
      try {
        const answered = await converse(server.port, script(seed, outside));
        assert.match(answered, /^220 /, `seed ${seed}`);
        for (const line of answered.split("\r\n").slice(0, -1)) {
          assert.match(line, /^(\d{3}[ -]| )[^\r\n]*$/, `seed ${seed}: ${JSON.stringify(line)}`);
        }
        assert.ok(!answered.includes(SECRET), `seed ${seed}`);
        assert.deepEqual(events.filter(({ event }) => event === "error"), [], `seed ${seed}`);
        assert.match(await converse(server.port, []), /^220 .*\r\n[^]*221 /, `seed ${seed}: the server is gone`);
      } finally {
        await server.stop();
      }
      assert.deepEqual([...Deno.readDirSync(outside)].map(({ name }) => name), ["secret"], `seed ${seed}`);
      assert.equal(await Deno.readTextFile(`${outside}/secret`), SECRET, `seed ${seed}`);
      assert.equal(Deno.statSync(`${outside}/secret`).mtime!.getUTCFullYear() > 2020, true, `seed ${seed}`);
      await Deno.remove(root, { recursive: true });
    }
  } finally {
    await Deno.remove(base, { recursive: true });
  }
});
