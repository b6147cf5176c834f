import assert from "node:assert/strict";
import { type LaunchRequest, type LaunchSeams, launchSpec, parentDeathWrapper } from "./launch.ts";
import type { Plugin } from "./manifest.ts";
import { PluginDeath } from "./plugin_death.ts";

const BASE: Plugin = {
  name: "local",
  version: "1",
  description: "",
  roles: ["source"],
  exclusive: false,
  args: {},
  origin: "built-in",
};

const ENV: Record<string, string> = { PATH: "/usr/bin:/bin", HOME: "/home/pi", DENO_DIR: "/deno", SECRET: "x" };

function spec(plugin: Partial<Plugin>, args: Record<string, unknown> = {}, seams: LaunchSeams = {}) {
  const request: LaunchRequest = {
    plugin: { ...BASE, ...plugin },
    args,
    roles: ["source"],
    spoolDir: "/spool/nas",
    spoolRoot: "/spool",
    stateDir: "/state/nas",
  };
  return launchSpec(request, {
    standalone: false,
    execPath: "/bin/deno",
    env: (name) => ENV[name],
    wrapper: [],
    ...seams,
  });
}

Deno.test("launchSpec() runs a built-in driver from source with the permissions of its manifest", () => {
  const { command, args, env, cwd } = spec({
    permissions: { net: ["{args.host}"], read: ["{args.dir}", "{spoolRoot}"], write: ["{spoolDir}"], sys: ["statfs"] },
  }, { host: "nas", dir: "/data" });
  assert.equal(command, "/bin/deno");
  assert.deepEqual(args.filter((arg) => arg.startsWith("--allow")), [
    "--allow-net=nas",
    "--allow-read=/data,/spool",
    "--allow-write=/spool/nas",
    "--allow-sys=statfs",
  ]);
  assert.deepEqual(args.slice(0, 4), ["run", "--quiet", "--no-prompt", "--no-remote"]);
  assert.match(args.at(-1) ?? "", /^\/.*\/plugins\/local\/main\.ts$/);
  assert.deepEqual(env, { PATH: "/usr/bin:/bin", HOME: "/home/pi", DENO_DIR: "/deno", DENO_NO_UPDATE_CHECK: "1" });
  assert.equal(cwd, "/state/nas");
});

Deno.test("launchSpec() runs the compiled program itself with the hidden sub-command", () => {
  const { command, args, env } = spec({}, {}, { standalone: true, execPath: "/opt/filesync" });
  assert.deepEqual([command, ...args], ["/opt/filesync", "__plugin", "local"]);
  assert.equal(env["DENO_DIR"], undefined);
});

Deno.test("launchSpec() runs the self-extracting program by what it calls itself", () => {
  const own = { ...ENV, FILESYNC_SELF: "/opt/filesync.run", CACHE_DIRECTORY: "/var/cache/filesync" };
  const { command, args, env } = launchSpec(
    { plugin: BASE, args: {}, roles: ["source"], spoolDir: "/s", spoolRoot: "/s", stateDir: "/t" },
    { execPath: "/cache/deno", env: (name) => own[name as keyof typeof own], wrapper: [] },
  );
  assert.deepEqual([command, ...args], ["/opt/filesync.run", "__plugin", "local"]);
  assert.deepEqual([env["FILESYNC_SELF"], env["CACHE_DIRECTORY"]], ["/opt/filesync.run", "/var/cache/filesync"]);
});

Deno.test("launchSpec() puts the wrapper before everything", () => {
  const { command, args } = spec({}, {}, {
    standalone: true,
    wrapper: ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"],
  });
  assert.deepEqual([command, ...args], [
    "/usr/bin/setpriv",
    "--pdeathsig",
    "KILL",
    "--",
    "/bin/deno",
    "__plugin",
    "local",
  ]);
});

Deno.test("launchSpec() runs the bundle of an unpacked program, each driver with its own permissions", () => {
  const env = new Map(Object.entries({ ...ENV, FILESYNC_SELF: "/opt/fs", FILESYNC_UNPACKED: "/cache/filesync/0123" }));
  const seams = { env: (name: string) => env.get(name) };
  const own = spec({ permissions: { read: ["{args.dir}"] } }, { dir: "/data" }, seams);
  assert.equal(own.command, "/cache/filesync/0123/filesync");
  assert.deepEqual(own.args.filter((arg) => arg.startsWith("--allow")), ["--allow-read=/data"]);
  assert(own.args.includes("--no-config") && own.args.includes("--unstable-net"));
  assert.equal(own.args.at(-1), "/cache/filesync/0123/app/plugins/local/main.js");
  assert.equal(own.env["DENO_DIR"], "/deno");

  const theirs = spec({ name: "cam", origin: "/p", command: ["/p/driver.ts"], permissions: {} }, {}, seams);
  assert.equal(theirs.command, "/cache/filesync/0123/filesync");
  assert.equal(theirs.env["DENO_DIR"], "/cache/filesync/deno");
});

Deno.test("launchSpec() runs a third-party program without a shell, its own files absolute", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/driver.py`, "");
    const { command, args } = spec({ name: "cam", origin: dir, command: ["sh", "driver.py", "$(reboot)", "a b"] });
    assert.match(command, /\/bin\/sh$/);
    assert.deepEqual(args, [`${dir}/driver.py`, "$(reboot)", "a b"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("launchSpec() names what cannot be started", () => {
  const cases: [string[], RegExp][] = [
    [["no-such-program"], /"no-such-program" is not on PATH$/],
    [["./none"], /\/none" is no executable file$/],
    [[new URL(import.meta.url).pathname], /launch_test\.ts" may not be executed: chmod \+x \/.*launch_test\.ts$/],
    [[], /its manifest names no command$/],
  ];
  for (const [command, message] of cases) {
    assert.throws(() => spec({ name: "cam", origin: "/nowhere", command }), (error) => {
      assert(error instanceof PluginDeath && error.reason === "spawn");
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("launchSpec() names the interpreter that a script asks for and that is not there", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const cases: [firstLine: string, message: RegExp][] = [
      ["#!/no/such/python3 -u", /\/run" needs "\/no\/such\/python3", which is not there$/],
      ["#!/bin/sh\r", /\/run" has the line ends of Windows: sed -i 's\/\\r\$\/\/' \/.*run$/],
    ];
    for (const [firstLine, message] of cases) {
      await Deno.writeTextFile(`${dir}/run`, `${firstLine}\n`, { mode: 0o755 });
      assert.throws(() => spec({ name: "cam", origin: dir, command: ["./run"] }), (error) => {
        assert(error instanceof PluginDeath && error.reason === "spawn");
        assert.match(error.message, message);
        return true;
      });
    }
    await Deno.writeTextFile(`${dir}/run`, "#! /bin/sh\n");
    assert.deepEqual(spec({ name: "cam", origin: dir, command: ["./run"] }).command, `${dir}/run`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("launchSpec() needs a deno on PATH for a third-party Deno driver of the compiled program", () => {
  const plugin = { name: "cam", origin: "/p", command: ["/p/driver.ts"], permissions: {} };
  assert.throws(() => spec(plugin, {}, { standalone: true, env: () => "/nowhere" }), /"deno" is not on PATH/);
  assert.equal(spec(plugin).args.at(-1), "/p/driver.ts");
});

Deno.test("parentDeathWrapper() is empty or a setpriv that works", () => {
  const [program, ...options] = parentDeathWrapper();
  if (program === undefined) return;
  assert.match(program, /setpriv$/);
  assert.deepEqual(options, ["--pdeathsig", "KILL", "--"]);
});
