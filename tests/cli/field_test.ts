/** What users have in the field: folders that are closed to them, sources that are their own targets. */
import assert from "node:assert/strict";
import { testNeeding } from "../support/needs.ts";
import { filesync, inTempDir, localJob, shellCommand } from "./support.ts";

const target = (dir: string) => ({ target: { driver: "local", args: { dir } } });

Deno.test("sync refuses files that go round, and loses none of them", async () => {
  for (
    const [job, words] of [
      [{ ...target("./in"), after: "delete" }, /jobs\[0\]\.source: Source and target "local" are the same directory/],
      [{ ...target("./same"), after: "delete" }, /Source and target "local" are the same directory/],
      [target("./in/out"), /found again, without end\n {2}Give .* leave it out: "exclude": \["out\/\*"\]/],
      [{ source: { driver: "local", args: { dir: "." } } }, /The source holds the state store of filesync itself/],
    ] as const
  ) {
    await inTempDir(async (dir) => {
      await localJob(dir, job);
      await Deno.symlink("in", `${dir}/same`);
      await Deno.writeTextFile(`${dir}/in/log`, "precious");
      for (const args of [["sync", "--once"], ["sync", "--dry-run"], ["config", "check"]]) {
        const { code, stderr } = await filesync(dir, args);
        assert.equal(code, 3, `${args.join(" ")}: ${stderr}`);
        assert.match(stderr, words);
        assert.match(stderr, /config\.json:\d+:\d+: /);
      }
      assert.deepEqual([...Deno.readDirSync(`${dir}/in`)].map(({ name }) => name), ["log"]);
      assert.equal(await Deno.readTextFile(`${dir}/in/log`), "precious");
    });
  }
});

Deno.test("sync takes a target inside the source that the rules leave out", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir, { ...target("./in/out"), rules: { exclude: ["out/*"] } });
    await Deno.writeTextFile(`${dir}/in/log`, "x");
    for (let n = 0; n < 2; n++) assert.equal((await filesync(dir, ["sync", "--once"])).code, 0);
    assert.deepEqual([...Deno.readDirSync(`${dir}/in/out`)].map(({ name }) => name), ["log"]);
  });
});

/** The shell's beginning that makes root obey permissions as everyone does. */
const UNPRIVILEGED = Deno.uid() === 0 ? "setpriv --bounding-set=-dac_override,-dac_read_search" : "";

testNeeding("setpriv", "a folder that is closed to us holds up no other, and is told with what to do", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.mkdir(`${dir}/in/lost+found`);
    await Deno.mkdir(`${dir}/in/open/deep`, { recursive: true });
    await Deno.writeTextFile(`${dir}/in/lost+found/x`, "x");
    await Deno.writeTextFile(`${dir}/in/a`, "a");
    await Deno.writeTextFile(`${dir}/in/open/deep/b`, "b");
    await Deno.chmod(`${dir}/in/lost+found`, 0);
    const run = async (...args: string[]) => {
      const { code, stderr } = await shellCommand(dir, `exec ${UNPRIVILEGED} "$@"`, args).output();
      return { code, stderr: new TextDecoder().decode(stderr) };
    };
    const closed = await run("sync", "--once");
    assert.equal(closed.code, 4, closed.stderr);
    assert.match(
      closed.stderr,
      /Parked "lost\+found": Folder cannot be listed: permission denied; .* "exclude": \["lost\+found\/\*"\]/,
    );
    assert.equal(await Deno.readTextFile(`${dir}/out/a`), "a");
    assert.equal(await Deno.readTextFile(`${dir}/out/open/deep/b`), "b");
    await Deno.chmod(`${dir}/in/lost+found`, 0o755);
    const opened = await run("sync", "--once");
    assert.equal(opened.code, 0, opened.stderr);
    assert.equal(await Deno.readTextFile(`${dir}/out/lost+found/x`), "x");
    await Deno.chmod(`${dir}/in/lost+found`, 0);
    await localJob(dir, { rules: { exclude: ["lost+found/*"] } });
    const excluded = await run("sync", "--once");
    assert.equal(excluded.code, 0, excluded.stderr);
    await Deno.chmod(`${dir}/in/lost+found`, 0o755);
  });
});

testNeeding(
  "setpriv",
  "status is true of a file and a device that deny access, and of a source that was never seen",
  async () => {
    await inTempDir(async (dir) => {
      await localJob(dir);
      await Deno.writeTextFile(`${dir}/in/open`, "a");
      await Deno.writeTextFile(`${dir}/in/closed`, "b");
      await Deno.chmod(`${dir}/in/closed`, 0);
      const run = async (...args: string[]) => {
        const { code, stdout, stderr } = await shellCommand(dir, `exec ${UNPRIVILEGED} "$@"`, args).output();
        const decoder = new TextDecoder();
        return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
      };
      const file = await run("sync", "--once");
      assert.equal(file.code, 6, file.stderr);
      assert.match(
        file.stderr,
        /warning logs: Cannot download "closed": permission denied\. Allow .*; next try in \d+ min/,
      );
      assert.match(file.stderr, /1 file is still to be moved: see "filesync status" for what it waits for/);
      const ofFile = (await run("status")).stdout;
      assert.match(ofFile, /^attention: something needs you/);
      assert.match(ofFile, /Needs you: 1 file\n {2}denied logs: closed\n {4}.*permission denied\n {4}Allow the user/);
      await Deno.chmod(`${dir}/in`, 0o300);
      const device = await run("sync", "--once");
      assert.equal(device.code, 6, device.stderr);
      assert.match(device.stderr, /Device denies access: Cannot list/);
      const ofDevice = (await run("status")).stdout;
      assert.match(ofDevice, /^attention: /);
      assert.match(ofDevice, /^logs\.source +source +denied /m);
      await Deno.chmod(`${dir}/in`, 0o755);
      await Deno.chmod(`${dir}/in/closed`, 0o644);
    });
    await inTempDir(async (dir) => {
      await localJob(dir, { source: { driver: "local", args: { dir: "./stick" } } });
      const away = await filesync(dir, ["sync", "--once"]);
      assert.equal(away.code, 5);
      assert.match(away.stderr, /^Nothing found: a device is away or held/m);
      assert.match((await filesync(dir, ["status"])).stdout, /^waiting: a device is away/);
      await Deno.mkdir(`${dir}/stick`);
      assert.equal((await filesync(dir, ["sync", "--once"])).code, 0);
      await Deno.remove(`${dir}/stick`);
      assert.match((await filesync(dir, ["status"])).stdout, /^ok: all that was found is delivered/);
    });
  },
);

Deno.test("status says that a job waits for its time window, and sync ends with 5", async () => {
  await inTempDir(async (dir) => {
    const hour = new Date().getUTCHours();
    const window = `${String((hour + 3) % 24).padStart(2, "0")}:00-${String((hour + 4) % 24).padStart(2, "0")}:00`;
    await localJob(dir, { window: [window] });
    await Deno.writeTextFile(`${dir}/in/log`, "x");
    const ended = await filesync(dir, ["sync", "--once"], { TZ: "UTC" });
    assert.equal(ended.code, 5, ended.stderr);
    const { stdout } = await filesync(dir, ["status"], { TZ: "UTC" });
    assert.match(stdout, /^waiting: outside the time window of a job/);
    assert.match(stdout, new RegExp(`^logs +source .*waits for its window ${window}`, "m"));
  });
});
