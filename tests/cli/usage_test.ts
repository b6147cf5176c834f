/** The command line itself: help, mistakes, exit codes, variables. */
import assert from "node:assert/strict";
import { filesync, inTempDir, jsonLines, localJob } from "./support.ts";

const COMMANDS = [
  ["sync"],
  ["status"],
  ["ls"],
  ["version"],
  ["plugins", "list"],
  ["config", "check"],
  ["config", "schema"],
  ["config", "show"],
  ["config", "convert"],
  ["serve", "ftp"],
];

Deno.test("filesync --help lists the commands, on stdout", async () => {
  await inTempDir(async (dir) => {
    const { code, stdout, stderr } = await filesync(dir, ["--help"]);
    assert.deepEqual([code, stderr], [0, ""]);
    for (const [command] of COMMANDS) assert.match(stdout, new RegExp(`^  filesync ${command}`, "m"));
    assert.match(stdout, /FILESYNC_CONFIG/);
  });
});

Deno.test("filesync COMMAND --help shows examples that begin with the command", async () => {
  await inTempDir(async (dir) => {
    for (const command of COMMANDS) {
      const { code, stdout } = await filesync(dir, [...command, "--help"]);
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`EXAMPLES\n  filesync ${command.join(" ")}`), command.join(" "));
      for (const line of stdout.split("\n")) assert.ok(line.length <= 120, line);
    }
  });
});

Deno.test("filesync without a command shows its help and is a mistake", async () => {
  await inTempDir(async (dir) => {
    for (const args of [[], ["config"], ["plugins"], ["serve"]]) {
      const { code, stdout, stderr } = await filesync(dir, args);
      assert.deepEqual([code, stdout], [2, ""], "stdout is for results");
      assert.match(stderr, /USAGE/);
    }
  });
});

Deno.test("filesync ends with 2 on a mistake in the command line, and says what was meant", async () => {
  const cases: [string[], RegExp][] = [
    [["snyc"], /^filesync: Unknown command "snyc"; did you mean "sync"\?\n/],
    [["config", "chek"], /^filesync: Unknown command "chek"; did you mean "check"\?\n/],
    [["sync", "--jsn"], /^filesync: Unknown option "--jsn"; did you mean "--json"\?\n/],
    [["sync", "--dryrun"], /^filesync: Unknown option "--dryrun"; did you mean "--dry-run"\?\n/],
    [["sync", "-x"], /^filesync: Unknown option "-x"\n/],
    [["sync", "--verbose", "--quiet"], /^filesync: Cannot be both "--verbose" and "--quiet"\n/],
    [["ls"], /^filesync: .*DEVICE/],
    [["status", "extra"], /^filesync: .*extra/],
    [["\x1b[31m\n"], /^filesync: Unknown command "\\x1b\[31m/],
  ];
  await inTempDir(async (dir) => {
    for (const [args, expected] of cases) {
      const { code, stdout, stderr } = await filesync(dir, args);
      assert.deepEqual([code, stdout], [2, ""], args.join(" "));
      assert.match(stderr, expected);
      assert.ok(!stderr.includes("at "), "no stack trace");
    }
  });
});

Deno.test("filesync takes an option from its variable, and the command line wins", async () => {
  await inTempDir(async (dir) => {
    const json = await filesync(dir, ["version"], { FILESYNC_JSON: "1" });
    assert.equal(jsonLines(json.stdout)[0]!["schema"], 1);
    const plain = await filesync(dir, ["version", "--json=false"], { FILESYNC_JSON: "1" });
    assert.match(plain.stdout, /^filesync \d/);
    const wrong = await filesync(dir, ["version"], { FILESYNC_JSON: "perhaps" });
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /FILESYNC_JSON="perhaps": expected 1 or 0/);
    await localJob(`${dir}/sub`);
    const named = await filesync(dir, ["config", "check"], { FILESYNC_CONFIG: "sub/config.json" });
    assert.deepEqual([named.code, named.stdout], [0, "sub/config.json is valid: 1 job, 2 devices\n"]);
  });
});

Deno.test("filesync version --json tells what a bug report needs", async () => {
  await inTempDir(async (dir) => {
    const { code, stdout } = await filesync(dir, ["version", "--json"]);
    assert.equal(code, 0);
    const [version, ...more] = jsonLines(stdout);
    assert.equal(more.length, 0);
    for (const key of ["version", "deno", "os", "arch"]) assert.equal(typeof version![key], "string", key);
    assert.equal(version!["protocol"], 1);
    assert.equal((await filesync(dir, ["--version"])).stdout.trim(), version!["version"]);
  });
});

Deno.test("filesync ends with 3 when the configuration is missing or wrong, and tells every problem at once", async () => {
  await inTempDir(async (dir) => {
    for (const args of [["sync"], ["status"], ["config", "check"], ["config", "show"], ["ls", "nas"]]) {
      const { code, stdout, stderr } = await filesync(dir, args);
      assert.deepEqual([code, stdout], [3, ""], args.join(" "));
      assert.match(stderr, /^filesync: Cannot find a configuration file/);
    }
    await Deno.writeTextFile(
      `${dir}/config.json`,
      '{\n  "spol": {},\n  "jobs": [{ "name": "a", "movers": "many" }]\n}\n',
    );
    const { code, stderr } = await filesync(dir, ["config", "check"]);
    assert.equal(code, 3);
    assert.match(stderr, /config\.json:2:\d+: spol: .*did you mean "spool"/);
    assert.match(stderr, /config\.json:3:\d+: jobs\[0\]\.movers: /);
    const json = await filesync(dir, ["config", "check", "--json"]);
    assert.equal(json.code, 3);
    const [report] = jsonLines(json.stdout);
    assert.equal(report!["valid"], false);
    await Deno.writeTextFile(`${dir}/config.json`, '{ "jobs": [');
    assert.equal((await filesync(dir, ["sync", "--once"])).code, 3);
  });
});

Deno.test("filesync plugins list works without a configuration and shows plugins that cannot be used", async () => {
  await inTempDir(async (dir) => {
    const plain = await filesync(dir, ["plugins", "list"]);
    assert.equal(plain.code, 0);
    assert.match(plain.stdout, /^NAME +VERSION +ROLES/);
    assert.match(plain.stdout, /^local +\S+ +source, target +built-in/m);
    await Deno.mkdir(`${dir}/plugins/broken`, { recursive: true });
    await Deno.writeTextFile(`${dir}/plugins/broken/filesync-plugin.json`, "{");
    const env = { FILESYNC_PLUGIN_PATH: `${dir}/plugins` };
    const broken = await filesync(dir, ["plugins", "list"], env);
    assert.equal(broken.code, 0);
    assert.match(broken.stdout, /^broken .*cannot be used/m);
    assert.match(broken.stderr, /Cannot use plugin "broken" in ".*broken": /);
    const lines = jsonLines((await filesync(dir, ["plugins", "list", "--json"], env)).stdout);
    assert.equal(lines.find(({ name }) => name === "local")!["origin"], "built-in");
    assert.equal(typeof lines.find(({ name }) => name === "broken")!["problem"], "string");
  });
});

Deno.test("filesync config schema prints a JSON Schema that knows the drivers", async () => {
  await inTempDir(async (dir) => {
    const { code, stdout } = await filesync(dir, ["config", "schema"]);
    assert.equal(code, 0);
    assert.match(JSON.parse(stdout).$schema, /json-schema\.org/);
    assert.match(stdout, /"local"/);
  });
});

Deno.test("filesync config show fills in defaults and hides secrets", async () => {
  await inTempDir(async (dir) => {
    const target = { driver: "ftp", args: { host: "nas.local", user: "me", passwd: "hunter2" } };
    await localJob(dir, { target });
    const { code, stdout, stderr } = await filesync(dir, ["config", "show", "--origin"]);
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).jobs[0].movers, 4);
    assert.ok(!(stdout + stderr).includes("hunter2"));
  });
});

Deno.test("filesync config convert writes a new file and never over another", async () => {
  await inTempDir(async (dir) => {
    const old = {
      workers: [{
        name: "old",
        source: { device: "device_local", args: { mount_point: "./in" } },
        target: { device: "device_local", args: { mount_point: "./out" } },
      }],
    };
    await Deno.mkdir(`${dir}/in`);
    await Deno.writeTextFile(`${dir}/old.json`, JSON.stringify(old.workers[0]));
    const converted = await filesync(dir, ["config", "convert", "-c", "old.json", "-o", "config.json"]);
    assert.equal(converted.code, 0, converted.stderr);
    assert.equal((await filesync(dir, ["config", "check"])).code, 0);
    const again = await filesync(dir, ["config", "convert", "-c", "old.json", "-o", "config.json"]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /^filesync: Cannot write "config\.json": it exists already\n/);
  });
});
