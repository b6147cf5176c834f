/**
 * A job's bandwidth limit is for all of its files together, whichever driver moves them. Nothing here is timed from above:
 * a busy machine is slower than a limit, and never faster.
 */
import assert from "node:assert/strict";
import { FlightReview } from "../support/flight_review.ts";
import { hasFtpServer, startFtpServer } from "../support/ftp_servers.ts";
import { testNeeding } from "../support/needs.ts";
import { hasWebdavServer, startWebdavServer } from "../support/webdav_servers.ts";
import { filesync, inTempDir, jsonLines, localJob } from "./support.ts";

const FILES = 10;
/** Larger than what counts as small, so that `movers` of them move at once. */
const FILE_BYTES = 300_000;
const LIMIT = "300KiB/s";
/** What the limit allows at once after a pause, and what a clock may be off, as a part of all. */
const SLACK = 0.1;
const SECONDS = FILES * FILE_BYTES / (300 * 1024);

/** A device that `run` may move files to or from. */
interface End {
  device: { driver: string; args: Record<string, unknown> };
  stop: () => Promise<void>;
}

async function inServed(dir: string, run: (served: string) => Promise<End>): Promise<End> {
  await Deno.chmod(dir, 0o755);
  await Deno.mkdir(`${dir}/served`);
  await Deno.chmod(`${dir}/served`, 0o777);
  return await run(`${dir}/served`);
}

const ftp = (dir: string) =>
  inServed(dir, async (root) => {
    const { host, port, user, passwd, stop } = await startFtpServer("pyftpdlib", { root });
    return { device: { driver: "ftp", args: { host, port, user, passwd } }, stop };
  });

const webdav = (dir: string) =>
  inServed(dir, async (root) => {
    const { url, user, passwd, stop } = await startWebdavServer("rclone", { root });
    return { device: { driver: "webdav", args: { host: url, user, passwd } }, stop };
  });

async function post(): Promise<End> {
  const server = await FlightReview.start({ takesAnything: true });
  const values = { description: "", email: "", redirect: "false" };
  return {
    device: { driver: "post", args: { uploader_url: server.url, values } },
    stop: () => server.stop(),
  };
}

/** Moves the files under `job` and returns how many seconds that took, the start of the program included. */
async function moved(dir: string, job: Record<string, unknown>): Promise<number> {
  await localJob(dir, { movers: 4, ...job });
  for (let n = 0; n < FILES; n++) {
    const bytes = new Uint8Array(FILE_BYTES);
    for (let at = 0; at < FILE_BYTES; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
    await Deno.writeFile(`${dir}/in/f${n}`, bytes);
  }
  const startMs = performance.now();
  const { code, stdout, stderr } = await filesync(dir, ["sync", "--once", "--json"]);
  assert.equal(code, 0, stderr);
  assert.equal(jsonLines(stdout).filter(({ event }) => event === "delivered").length, FILES);
  return (performance.now() - startMs) / 1000;
}

const TARGETS: [name: string, needs: string, isThere: boolean, open: (dir: string) => Promise<End>][] = [
  ["ftp", "pyftpdlib", hasFtpServer("pyftpdlib"), ftp],
  ["webdav", "rclone", hasWebdavServer("rclone"), webdav],
  ["post", "nothing", true, post],
];

for (const [name, needs, isThere, open] of TARGETS) {
  testNeeding(needs, `uploads to ${name} keep to limits.upload together, not each`, async () => {
    await inTempDir(async (dir) => {
      const { device, stop } = await open(dir);
      try {
        const seconds = await moved(dir, { target: device, limits: { upload: LIMIT } });
        assert.ok(seconds >= SECONDS * (1 - SLACK), `${seconds} s: the limit allows no less than ${SECONDS}`);
      } finally {
        await stop();
      }
    });
  }, isThere);
}

Deno.test("downloads from local keep to limits.download together, not each", async () => {
  await inTempDir(async (dir) => {
    const seconds = await moved(dir, { limits: { download: LIMIT } });
    assert.ok(seconds >= SECONDS * (1 - SLACK), `${seconds} s: the limit allows no less than ${SECONDS}`);
  });
});

testNeeding("pyftpdlib", "each direction has a limit of its own", async () => {
  await inTempDir(async (dir) => {
    const { device, stop } = await ftp(dir);
    try {
      const limits = { download: "4MiB/s", upload: LIMIT };
      const seconds = await moved(dir, { target: device, limits });
      assert.ok(seconds >= SECONDS * (1 - SLACK), `${seconds} s: the limit allows no less than ${SECONDS}`);
    } finally {
      await stop();
    }
  });
}, hasFtpServer("pyftpdlib"));
