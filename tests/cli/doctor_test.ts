/** `filesync doctor` as a user runs it, against real directories, a real FTP server and real damage. */
import assert from "node:assert/strict";
import { type FtpEvent, type FtpLimits, startFtpServer } from "../../lib/ftpd/mod.ts";
import { hasCommand, testNeeding } from "../support/needs.ts";
import { type Ended, filesync, inTempDir, jsonLines, localJob, Running } from "./support.ts";

/** Directories of doctors that are still at work, or left something behind. */
function leftovers(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) => name.startsWith("filesync-doctor-"));
}

/** Runs `doctor` with a TMPDIR of its own, which must be empty afterwards. */
async function doctor(dir: string, args: string[] = [], env: Record<string, string> = {}): Promise<Ended> {
  await Deno.mkdir(`${dir}/tmp`, { recursive: true });
  const ended = await filesync(dir, ["doctor", ...args], { TMPDIR: `${dir}/tmp`, ...env });
  assert.deepEqual(leftovers(`${dir}/tmp`), []);
  return ended;
}

/** The lines of one level. */
function linesOf(text: string, level: string): string[] {
  return text.split("\n").filter((line) => line.startsWith(level));
}

async function writeConfig(dir: string, config: object): Promise<void> {
  await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify({ state: "./temp/filesync.db", ...config }));
}

type Configure = (args?: object) => Promise<void>;

/** A job to an FTP server of its own, whose log is `events`. */
async function withFtp(
  run: (dir: string, config: Configure, events: FtpEvent[]) => Promise<void>,
  limits: Partial<FtpLimits> = {},
): Promise<void> {
  await inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/served`);
    await Deno.mkdir(`${dir}/in`);
    const events: FtpEvent[] = [];
    const server = await startFtpServer({
      root: `${dir}/served`,
      user: "pilot",
      passwd: "s3cret-word",
      limits,
      log: (event) => events.push(event),
    });
    try {
      await run(dir, async (args = {}) => {
        const ftp = { host: "127.0.0.1", port: server.port, user: "pilot", passwd: "s3cret-word", ...args };
        await writeConfig(dir, {
          devices: { nas: { driver: "ftp", args: ftp } },
          jobs: [{ name: "logs", source: { driver: "local", args: { dir: "./in" } }, target: "nas" }],
        });
        await Deno.chmod(`${dir}/config.json`, 0o600);
      }, events);
    } finally {
      await server.stop();
    }
  });
}

Deno.test("doctor finds nothing wrong with two directories, and moves nothing", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.writeTextFile(`${dir}/in/a.txt`, "hello");
    const { code, stdout, stderr } = await doctor(dir);
    assert.deepEqual([code, stderr, linesOf(stdout, "problem")], [0, "", []]);
    assert.match(stdout, /^ok {7}configuration: ".*config\.json" is valid: 1 job, 2 devices$/m);
    assert.match(stdout, /^ok {7}logs\.source read: /m);
    assert.match(stdout, /^ok {7}logs\.local \(target\) write: /m);
    assert.match(stdout, /\nReady: no problem(, \d+ warnings?)? in \d+ checks\n$/);
    assert.deepEqual([...Deno.readDirSync(`${dir}/out`)], []);
    assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name).sort(), ["config.json", "in", "out", "tmp"]);
  });
});

Deno.test("doctor --json prints one object a line, and the verdict last", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    assert.equal((await filesync(dir, ["sync", "--once", "--quiet"])).code, 0);
    const { code, stdout, stderr } = await doctor(dir, ["--json"]);
    assert.deepEqual([code, stderr], [0, ""]);
    const lines = jsonLines(stdout);
    const summary = lines.pop()!;
    for (const line of lines) {
      assert.equal(line["schema"], 1);
      assert.equal(typeof line["name"], "string");
      assert.equal(typeof line["detail"], "string");
      assert.equal(line["ok"], line["level"] !== "problem");
    }
    const { event, ok, findings, problems, exitCode } = summary;
    assert.deepEqual({ event, ok, findings, problems, exitCode }, {
      event: "summary",
      ok: true,
      findings: lines.length,
      problems: 0,
      exitCode: 0,
    });
    const ofDevices = lines.filter(({ device }) => device !== undefined).map(({ device, role }) => `${device} ${role}`);
    assert.deepEqual([...new Set(ofDevices)], ["logs.source source", "logs.local target"]);
    assert.match(String(lines.find(({ name }) => name === "state store")!["detail"]), /is sound$/);
  });
});

Deno.test("doctor ends with 5 when a source's directory is not there, and says how to make it", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.remove(`${dir}/in`);
    const { code, stdout } = await doctor(dir);
    assert.equal(code, 5, stdout);
    assert.match(
      stdout,
      /^problem {2}logs\.source directory: Directory ".*\/in" is not there\n {9}.*mkdir -p ".*\/in"$/m,
    );
    assert.match(stdout, /^ok {7}logs\.local \(target\) write: /m);
    assert.match(stdout, /\nNot ready: 1 problem.*\n$/);
  });
});

Deno.test("doctor logs in to an FTP server, tries to write, and leaves nothing there", async () => {
  await withFtp(async (dir, config) => {
    await config();
    const { code, stdout } = await doctor(dir);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^ok {7}nas \(target\) login: as "pilot"/m);
    assert.match(stdout, /^ok {7}nas \(target\) write: a probe file was written, renamed and deleted$/m);
    assert.match(stdout, /^ok {7}nas \(target\) abilities: cut uploads go on where they stopped; /m);
    assert.deepEqual([...Deno.readDirSync(`${dir}/served`)], []);
  });
});

Deno.test("doctor ends with 6 on a wrong password, tries it once, and shows no password", async () => {
  await withFtp(async (dir, config, events) => {
    await config({ passwd: "wr0ng-word" });
    const { code, stdout, stderr } = await doctor(dir);
    assert.equal(code, 6, stdout);
    assert.equal(linesOf(stdout, "problem").length, 1);
    assert.match(stdout, /^problem {2}nas \(target\) connect: .*530/m);
    assert.ok(!(stdout + stderr).includes("wr0ng-word"));
    // Servers lock out who guesses.
    assert.equal(events.filter(({ event }) => event === "login_failed").length, 1);
  });
});

Deno.test("doctor asks the devices of one server in turn: it may take one connection only", async () => {
  await withFtp(async (dir, config) => {
    await config();
    const text = await Deno.readTextFile(`${dir}/config.json`);
    const { devices, jobs: [job], ...rest } = JSON.parse(text);
    const { driver, args } = devices.nas;
    const jobs = [job, { name: "back", source: { driver, args: { ...args, dir: "/back" } }, target: job.source }];
    await Deno.mkdir(`${dir}/served/back`);
    await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify({ ...rest, devices, jobs }));
    const { stdout } = await doctor(dir);
    assert.match(stdout, /^ok {7}nas \(target\) write: /m);
    assert.match(stdout, /^ok {7}back\.source list: /m);
    // What the first job delivers to the server's root the second one does not find: no circle.
    assert.deepEqual(linesOf(stdout, "problem"), []);
  }, { connectionsMax: 1 });
});

Deno.test("doctor ends with 5 when nobody listens", async () => {
  await withFtp(async (dir, config) => {
    const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = closed.addr;
    closed.close();
    await config({ port });
    const { code, stdout } = await doctor(dir, ["--device", "nas"]);
    assert.equal(code, 5, stdout);
    assert.match(stdout, /^problem {2}nas \(target\) connect: /);
  });
});

Deno.test("doctor warns of secrets that everyone can read", async () => {
  await withFtp(async (dir, config) => {
    await config();
    await Deno.chmod(`${dir}/config.json`, 0o644);
    const inConfig = await doctor(dir);
    assert.equal(inConfig.code, 0, inConfig.stdout);
    assert.match(
      inConfig.stdout,
      /^warning {2}configuration: ".*" holds a secret .* everyone can read it\n {9}chmod 600 \S+config\.json$/m,
    );
    await Deno.writeTextFile(`${dir}/password`, "s3cret-word\n");
    await Deno.chmod(`${dir}/password`, 0o644);
    await config({ passwd: { file: "./password" } });
    const inFile = await doctor(dir);
    assert.equal(inFile.code, 0, inFile.stdout);
    assert.match(
      inFile.stdout,
      /^warning {2}nas secrets: ".*\/password" holds a secret.*\n {9}chmod 600 \S+password$/m,
    );
    assert.match(inFile.stdout, /^ok {7}nas secrets: 1 secret could be read$/m);
    assert.ok(!inFile.stdout.includes("s3cret-word"));
  });
});

Deno.test("doctor ends with 3 when a secret cannot be read, and warns of one that the service alone gets", async () => {
  await withFtp(async (dir, config) => {
    await config({ passwd: { env: "FTP_WORD" } });
    const missing = await doctor(dir);
    assert.equal(missing.code, 3, missing.stdout);
    assert.match(missing.stdout, /^problem {2}nas secrets: .*"FTP_WORD" is not set\n {9}Set FTP_WORD/m);
    assert.equal((await doctor(dir, [], { FTP_WORD: "s3cret-word" })).code, 0);
    await config({ passwd: { credential: "nas" } });
    const credential = await doctor(dir);
    assert.equal(credential.code, 0, credential.stdout);
    assert.match(credential.stdout, /^warning {2}nas secrets: .*\n {9}sudo systemd-run .*LoadCredential=nas:/m);
  });
});

/** Root without the right to pass by permissions, so that they count for it as for everyone. */
const UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];

testNeeding("setpriv", "doctor sees that a target, the spool and the state cannot be written", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    const main = new URL("../../cli/main.ts", import.meta.url).pathname;
    const [program = "", ...rest] = [...(Deno.uid() === 0 ? UNPRIVILEGED : []), Deno.execPath()];
    const run = async () => {
      const args = [...rest, "run", "-A", "--no-prompt", "--quiet", main, "doctor"];
      const { code, stdout } = await new Deno.Command(program, { args, cwd: dir, stderr: "null" }).output();
      return { code, stdout: new TextDecoder().decode(stdout) };
    };
    assert.equal((await run()).code, 0);
    await Deno.chmod(`${dir}/out`, 0o555);
    const target = await run();
    assert.match(target.stdout, /^problem {2}logs\.local \(target\) write: .*permission denied/m);
    // 1 as long as the driver does not tell the code of what it found.
    assert.ok([1, 6].includes(target.code), `ended with ${target.code}`);
    await Deno.chmod(`${dir}/out`, 0o755);
    await Deno.mkdir(`${dir}/temp/filesync.db.spool`, { recursive: true });
    await Deno.chmod(`${dir}/temp/filesync.db.spool`, 0o555);
    const spool = await run();
    assert.equal(spool.code, 6, spool.stdout);
    assert.match(
      spool.stdout,
      /^problem {2}spool: Cannot write to ".*": permission denied\n {9}chmod u\+rwX \S+spool$/m,
    );
    await Deno.chmod(`${dir}/temp`, 0o555);
    const state = await run();
    assert.equal(state.code, 6, state.stdout);
    assert.match(state.stdout, /^problem {2}state store: Cannot write to ".*\/temp": permission denied$/m);
    await Deno.chmod(`${dir}/temp`, 0o755);
    await Deno.chmod(`${dir}/temp/filesync.db.spool`, 0o755);
  });
});

Deno.test("doctor ends with 7 on a damaged state store, says how to go on, and changes nothing of it", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await filesync(dir, ["sync", "--once", "--quiet"]);
    const path = `${dir}/temp/filesync.db`;
    const bytes = await Deno.readFile(path);
    bytes.fill(0xa5, 4096, 12288);
    await Deno.writeFile(path, bytes);
    const { code, stdout } = await doctor(dir);
    assert.equal(code, 7, stdout);
    assert.match(
      stdout,
      /^problem {2}state store: .*damaged.*\n {9}Restore it from a backup, .*: filesync sync --rebuild-state/m,
    );
    assert.deepEqual(await Deno.readFile(path), bytes);
    assert.match(stdout, /^ok {7}logs\.source read: /m);
  });
});

Deno.test("doctor ends with 7 on a spool that belongs to another store, as sync does", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await filesync(dir, ["sync", "--once", "--quiet"]);
    await Deno.remove(`${dir}/temp/filesync.db`);
    const { code, stdout } = await doctor(dir);
    assert.equal(code, 7, stdout);
    assert.match(stdout, /^problem {2}spool: ".*" belongs to another state store$/m);
    assert.equal((await filesync(dir, ["sync", "--once"])).code, 7);
  });
});

testNeeding(
  "/dev/shm",
  "doctor warns of a spool in memory",
  async () => {
    await inTempDir(async (dir) => {
      const shm = await Deno.makeTempDir({ dir: "/dev/shm" });
      try {
        await localJob(dir);
        const config = JSON.parse(await Deno.readTextFile(`${dir}/config.json`));
        const spool = { dir: shm, quota: "1MiB", min_free: 0 };
        await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify({ ...config, spool }));
        const { code, stdout } = await doctor(dir);
        assert.equal(code, 0, stdout);
        assert.match(stdout, /^warning {2}spool: ".*" lies in memory \(tmpfs\)/m);
      } finally {
        await Deno.remove(shm, { recursive: true });
      }
    });
  },
  hasCommand("df") && await isTmpfs("/dev/shm"),
);

async function isTmpfs(path: string): Promise<boolean> {
  const { stdout } = await new Deno.Command("df", { args: ["--output=fstype", path], stderr: "null" }).output();
  return new TextDecoder().decode(stdout).includes("tmpfs");
}

Deno.test("doctor ends with 3 on an unknown driver, and checks the machine all the same", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir, { target: { driver: "lokal", args: {} } });
    const { code, stdout, stderr } = await doctor(dir);
    assert.deepEqual([code, stderr], [3, ""]);
    assert.match(
      stdout,
      /^problem {2}configuration: .*Unknown driver "lokal"; did you mean "local"\?\n {9}Known drivers: /m,
    );
    assert.match(stdout, /^ok {7}plugins: Drivers that can be used: .*local/m);
    assert.match(stdout, /^(ok|warning) +clock: /m);
    const none = await doctor(`${dir}/in`);
    assert.equal(none.code, 3);
    assert.match(none.stdout, /^problem {2}configuration: Cannot find a configuration file/m);
  });
});

Deno.test("doctor ends with 3 when source and target are the same directory", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir, { target: { driver: "local", args: { dir: "./in" } } });
    const { code, stdout } = await doctor(dir);
    assert.equal(code, 3, stdout);
    assert.match(stdout, /^problem {2}job logs circle: Source and target "local" are the same directory: ".*\/in"$/m);
  });
});

Deno.test("doctor --device asks one device, and refuses a name that is not there", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    const one = await doctor(dir, ["--device", "logs.source"]);
    assert.equal(one.code, 0, one.stdout);
    assert.ok(linesOf(one.stdout, "ok").every((line) => line.startsWith("ok       logs.source ")), one.stdout);
    const none = await doctor(dir, ["--device", "nope"]);
    assert.deepEqual([none.code, none.stdout], [2, ""]);
    assert.match(none.stderr, /^filesync: Device "nope" is not in .*\n {2}Devices are logs\.source, logs\.local\n$/);
  });
});

/** A driver that dies when it is asked anything, and that one process alone may have. */
async function deadlyPlugin(dir: string): Promise<void> {
  await Deno.mkdir(`${dir}/plugins/deadly`, { recursive: true, mode: 0o755 });
  const manifest = {
    name: "deadly",
    version: "1",
    protocol: 1,
    roles: ["source"],
    exclusive: true,
    command: ["./driver.sh"],
  };
  await Deno.writeTextFile(`${dir}/plugins/deadly/filesync-plugin.json`, JSON.stringify(manifest));
  await Deno.writeTextFile(`${dir}/plugins/deadly/driver.sh`, '#!/bin/sh\necho "no such port" >&2\nexit 3\n');
  await Deno.chmod(`${dir}/plugins/deadly/driver.sh`, 0o755);
}

Deno.test("doctor ends with 8 when a driver dies, and warns of plugins that cannot be used", async () => {
  await inTempDir(async (dir) => {
    await deadlyPlugin(dir);
    await localJob(dir, { source: { driver: "deadly", args: {} } });
    await Deno.mkdir(`${dir}/plugins/broken`);
    await Deno.writeTextFile(`${dir}/plugins/broken/filesync-plugin.json`, "{");
    const { code, stdout } = await doctor(dir, [], { FILESYNC_PLUGIN_PATH: `${dir}/plugins` });
    assert.equal(code, 8, stdout);
    assert.match(stdout, /^problem {2}logs\.source driver: .*"deadly"/m);
    assert.match(stdout, /^warning {2}plugins: Plugin "broken" in ".*" cannot be used: /m);
  });
});

Deno.test("doctor runs beside sync, and leaves alone a device that sync alone may have", async () => {
  await inTempDir(async (dir) => {
    await deadlyPlugin(dir);
    await localJob(dir);
    const config = JSON.parse(await Deno.readTextFile(`${dir}/config.json`));
    config.jobs.push({
      ...config.jobs[0],
      name: "vehicle",
      source: { driver: "deadly", args: {} },
      path: "{job}/{path}",
    });
    await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify(config));
    const env = { FILESYNC_PLUGIN_PATH: `${dir}/plugins` };
    const sync = new Running(dir, ["sync", "--json"], env);
    try {
      await sync.stdoutMatches(/"event":"start"/);
      const { code, stdout } = await doctor(dir, [], env);
      assert.equal(code, 0, stdout);
      const { pid } = sync.child;
      assert.match(
        stdout,
        new RegExp(`^ok {7}state store: .* in use by the filesync that runs as process ${pid}$`, "m"),
      );
      assert.match(stdout, new RegExp(`^warning {2}vehicle\\.source device: Not asked: .* process ${pid} has it`, "m"));
      assert.match(stdout, /^ok {7}logs\.local \(target\) write: /m);
    } finally {
      sync.child.kill("SIGTERM");
      await sync.ended();
    }
  });
});

Deno.test("doctor stops at once on Ctrl-C and leaves nothing behind", async () => {
  await inTempDir(async (dir) => {
    // It accepts and says nothing: the driver waits for its greeting.
    const mute = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await Deno.mkdir(`${dir}/tmp`);
    const ftp = { driver: "ftp", args: { host: "127.0.0.1", port: mute.addr.port } };
    await writeConfig(dir, {
      jobs: [{ name: "logs", source: ftp, target: { driver: "local", args: { dir: "./out" } } }],
    });
    const running = new Running(dir, ["doctor"], { TMPDIR: `${dir}/tmp` });
    const connection = await mute.accept();
    running.child.kill("SIGINT");
    const { code, stderr } = await running.ended();
    connection.close();
    mute.close();
    assert.deepEqual([code, stderr], [130, ""]);
    assert.deepEqual(leftovers(`${dir}/tmp`), []);
  });
});

Deno.test("doctor --help names what it does and its exit codes", async () => {
  await inTempDir(async (dir) => {
    const { code, stdout } = await filesync(dir, ["doctor", "--help"]);
    assert.equal(code, 0);
    assert.match(stdout, /EXAMPLES\n {2}filesync doctor/);
    for (const line of stdout.split("\n")) assert.ok(line.length <= 120, line);
  });
});
