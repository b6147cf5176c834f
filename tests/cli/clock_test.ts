/** A Pi without a clock battery, by the real program under libfaketime: another date, and jumps while it runs. */
import assert from "node:assert/strict";
import { makeCertificates } from "../support/certificates.ts";
import { FakeClock, fakeTimeLibrary } from "../support/fake_clock.ts";
import { hasFtpServer, startFtpServer } from "../support/ftp_servers.ts";
import { testNeeding } from "../support/needs.ts";
import { filesync, inTempDir, localJob, Running } from "./support.ts";

const HAS_FAKE_TIME = fakeTimeLibrary() !== undefined;
const needsFakeTime = (name: string, run: () => Promise<void>) => testNeeding("faketime", name, run, HAS_FAKE_TIME);

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

needsFakeTime(
  "sync keeps to a window by the date, and ignores it with a notice while the date is older than the program",
  async () => {
    await inTempDir(async (dir) => {
      await localJob(dir, { window: ["22:00-06:00"], path: "{date}/{path}" });
      const clock = new FakeClock(dir);
      const once = (env = clock.env) => filesync(dir, ["sync", "--once"], env);
      await Deno.writeTextFile(`${dir}/in/a.txt`, "a");
      await Deno.utime(`${dir}/in/a.txt`, 0, 0);
      clock.set("2027-05-05 12:00:00");
      const closed = await once();
      assert.equal(closed.code, 5, closed.stderr);
      assert.match(closed.stderr, /waits for its window 22:00-06:00/);
      clock.set("2027-05-05 23:00:00");
      const open = await once();
      assert.equal(open.code, 0, open.stderr);
      assert.equal(await Deno.readTextFile(`${dir}/out/1970-01-01/a.txt`), "a");
      await Deno.writeTextFile(`${dir}/in/b.txt`, "b");
      await Deno.utime(`${dir}/in/b.txt`, 4_000_000_000, 4_000_000_000);
      clock.set("1971-02-03 12:00:00");
      const wrong = await once();
      assert.equal(wrong.code, 0, wrong.stderr);
      assert.match(
        wrong.stderr,
        /warning clock: Clock says 1971-02-03 \d\d:00 UTC, which is past: windows are ignored/,
      );
      assert.equal(await Deno.readTextFile(`${dir}/out/2096-10-02/b.txt`), "b");
    });
  },
);

/** At 400 KiB/s more than twice the time after which a closed window is noticed. */
const LARGE_BYTES = 10_000_000;

needsFakeTime(
  "sync stops a transfer when its window closes, goes on from there when it opens, and works while the date is wrong",
  async () => {
    await inTempDir(async (dir) => {
      await localJob(dir, { window: ["22:00-06:00"], limits: { download: "400KiB/s" } });
      await Deno.writeFile(`${dir}/in/large`, new Uint8Array(LARGE_BYTES).fill(7));
      const clock = new FakeClock(dir);
      clock.set("2027-05-05 05:50:00");
      const running = new Running(dir, ["sync", "--json", "--verbose"], clock.env);
      const status = async () => (await filesync(dir, ["status"], clock.env)).stdout;
      const moved = () => running.stdoutMatches(/"event":"progress".*"path":"large".*"doneBytes":[1-9]/);
      try {
        await moved();
        clock.set("2027-05-05 07:00:00");
        await running.stderrMatches(/Job "logs" waits for its window 22:00-06:00/);
        assert.match(await status(), /^waiting: outside the time window[\s\S]*waits for its window 22:00-06:00/);
        const spool = `${dir}/temp/filesync.db.spool`;
        const partials = [...Deno.readDirSync(spool)].filter(({ isDirectory }) => isDirectory)
          .map(({ name }) => `${spool}/${name}/1.part`).filter(exists);
        const keptBytes = Deno.statSync(partials[0]!).size;
        assert.ok(keptBytes > 0 && keptBytes < LARGE_BYTES, `${keptBytes} bytes are kept`);
        // A Pi that lost its time: nobody knows whether it is night.
        clock.set("1971-02-03 12:00:00");
        await running.stderrMatches(/Clock says 1971-02-03 \d\d:00 UTC, which is past: windows are ignored/);
        await running.stdoutMatches(/"event":"downloaded".*"path":"large".*"resumedBytes":[1-9]/);
        await running.stdoutMatches(/"event":"delivered".*"path":"large"/);
        assert.match(await status(), /clock is wrong: window 22:00-06:00 does not count/);
        // The network has the time.
        clock.set("2027-05-05 12:00:00");
        await running.stderrMatches(/Clock says 2027-05-05 \d\d:00 UTC now: windows count again/);
        await Deno.writeTextFile(`${dir}/in/late`, "b");
        await running.stderrMatches(/(waits for its window[\s\S]*){2}/);
        clock.set("2027-05-05 22:30:00");
        await running.stdoutMatches(/"event":"delivered".*"path":"late"/);
      } finally {
        running.child.kill("SIGTERM");
        await running.ended();
      }
      assert.equal(Deno.statSync(`${dir}/out/large`).size, LARGE_BYTES);
    });
  },
);

needsFakeTime(
  "sync counts a grace by its own clock, whatever the date does meanwhile, and goes on to log",
  async () => {
    await inTempDir(async (dir) => {
      await localJob(dir, { after: "delete", grace: "5s", finder: { settle: "0s", interval: "1s" } });
      const config = JSON.parse(await Deno.readTextFile(`${dir}/config.json`));
      await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify({ ...config, log: { file: "./filesync.log" } }));
      const clock = new FakeClock(dir);
      await Deno.writeTextFile(`${dir}/in/a.txt`, "a");
      const startedMs = performance.now();
      const running = new Running(dir, ["sync", "--json"], clock.env);
      try {
        await running.stdoutMatches(/"event":"delivered"/);
        clock.jump(5000);
        await new Promise((resolve) => setTimeout(resolve, 1500));
        assert.ok(exists(`${dir}/in/a.txt`) || performance.now() - startedMs >= 5000, "removed before its time");
        clock.jump(-20_000);
        await Deno.writeTextFile(`${dir}/in/b.txt`, "b");
        await running.stdoutMatches(/"event":"delivered".*"path":"b\.txt"/);
        await running.stdoutMatches(/"event":"removed".*"path":"a\.txt"/);
        assert.ok(performance.now() - startedMs >= 5000, "removed before its time");
      } finally {
        running.child.kill("SIGTERM");
        await running.ended();
      }
      const log = await Deno.readTextFile(`${dir}/filesync.log`);
      assert.match(log, new RegExp(`^${new Date(Date.now() - 20_000 * 86_400_000).getUTCFullYear()}-.*b\\.txt`, "m"));
    });
  },
);

testNeeding(
  "faketime, pyftpdlib and openssl",
  "sync waits with a hint for a date by which the server's certificate is valid",
  async () => {
    await inTempDir(async (dir) => {
      const certificates = makeCertificates(dir);
      await Deno.mkdir(`${dir}/served`, { mode: 0o777 });
      await Deno.chmod(`${dir}/served`, 0o777);
      await Deno.chmod(dir, 0o755);
      const server = await startFtpServer("pyftpdlib", {
        root: `${dir}/served`,
        tls: { mode: "explicit", certificates },
      });
      try {
        const { port, user, passwd } = server;
        const args = { host: "localhost", port, user, passwd, secure: "explicit", ca: certificates.caFile };
        await localJob(dir, { target: { driver: "ftp", args } });
        await Deno.writeTextFile(`${dir}/in/a.txt`, "a");
        const clock = new FakeClock(dir);
        clock.jump(-20_000);
        const early = await filesync(dir, ["sync", "--once"], clock.env);
        assert.equal(early.code, 5, early.stderr);
        assert.match(early.stderr, /certificate is not valid yet; or the clock is wrong/);
        assert.match(
          early.stderr,
          /The clock of this machine says 197\d-\d\d-\d\d \d\d:\d\d UTC\. If that is wrong: sudo timedatectl/,
        );
        clock.jump(5000);
        const late = await filesync(dir, ["sync", "--once"], clock.env);
        assert.equal(late.code, 6, late.stderr);
        assert.match(late.stderr, /expired; or the clock is wrong[\s\S]*says 204\d/);
        clock.jump(0);
        const right = await filesync(dir, ["sync", "--once"], clock.env);
        assert.equal(right.code, 0, right.stderr);
      } finally {
        await server.stop();
      }
    });
  },
  HAS_FAKE_TIME && hasFtpServer("pyftpdlib"),
);
