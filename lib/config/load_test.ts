import assert from "node:assert/strict";
import type { PluginSchemas } from "./args.ts";
import { ConfigError } from "./explain.ts";
import { loadConfig, type LoadOptions } from "./load.ts";
import { resolveSecrets } from "./secrets.ts";

const plugins: PluginSchemas = new Map([
  ["local", {
    roles: ["source", "target"],
    args: {
      type: "object",
      properties: { dir: { type: "string", format: "path", minLength: 1, description: "Directory" } },
      required: ["dir"],
    },
  }],
  ["ftp", {
    roles: ["source", "target"],
    args: {
      type: "object",
      properties: {
        host: { type: "string" },
        port: { type: "integer", minimum: 1, maximum: 65535, default: 21 },
        passwd: { type: "string", minLength: 8, writeOnly: true },
        secure: { enum: [false, "explicit", "implicit"] },
        ca: { anyOf: [{ type: "string", format: "path" }, { type: "null" }] },
      },
      required: ["host"],
      additionalProperties: false,
    },
  }],
  ["post", { roles: ["target"], args: { type: "object", properties: { values: { type: "object" } } } }],
  ["odd", { roles: ["source"], args: { type: "object", properties: { a: { type: "nonsense" } } } }],
  ["open", { roles: ["source"], problem: "its manifest can be written to by everyone" }],
]);

const LOCAL = { driver: "local", args: { dir: "in" } };
const JOB = { name: "a", source: LOCAL, target: LOCAL };

function inDir<T>(run: (dir: string) => T): T {
  const dir = Deno.makeTempDirSync();
  try {
    return run(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

function load(value: unknown, options: LoadOptions = { plugins }) {
  return inDir((dir) => {
    const file = `${dir}/config.json`;
    Deno.writeTextFileSync(file, typeof value === "string" ? value : JSON.stringify(value), { mode: 0o600 });
    return { config: loadConfig(file, options), dir };
  });
}

/** The problems as `key: message`, in the file's order. */
function problemsOf(value: unknown, options?: LoadOptions): string[] {
  try {
    load(value, options);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.ok(error.problems.every(({ line, hint }) => line !== undefined && hint !== undefined), error.message);
    return error.problems.map(({ key, message }) => `${key}: ${message}`);
  }
  throw new Error("Expected a ConfigError");
}

const job = (more: Record<string, unknown>) => ({ jobs: [{ ...JOB, ...more }] });

Deno.test("loadConfig() fills in every default", () => {
  const { config, dir } = load({ jobs: [JOB] });
  const device = (name: string, place: string) => ({ name, driver: "local", args: { dir: `${dir}/in` }, place });
  assert.deepEqual(config, {
    file: `${dir}/config.json`,
    statePath: `${dir}/filesync.db`,
    spool: { dir: `${dir}/filesync.db.spool`, quotaBytes: 2 ** 31, minFreeBytes: 200 * 2 ** 20, refetch: true },
    log: { level: "info", maxBytes: 10 * 2 ** 20, keep: 5 },
    pluginDirs: [],
    pluginSettings: {},
    http: { readOnly: false, hosts: [] },
    hooks: {},
    devices: [device("a.source", "jobs[0].source"), device("a.local", "jobs[0].target")],
    jobs: [{
      name: "a",
      source: device("a.source", "jobs[0].source"),
      targets: [{ name: "local", device: device("a.local", "jobs[0].target") }],
      path: "{path}",
      rules: { include: ["*"], exclude: [], minSizeBytes: 0 },
      finder: { intervalMs: 10_000, settleMs: 5000, order: "newest" },
      movers: 4,
      after: "keep",
      graceMs: 0,
      deleteProof: "size",
      onConflict: "rename",
      onUncertain: "hold",
      attempts: 5,
      limits: {},
      windows: [],
    }],
    notices: [],
    legacy: false,
    origins: config.origins,
  });
});

Deno.test("loadConfig() reads everything that the design's example holds", () => {
  const { config, dir } = load(`{
    "$schema": "./schema.json",
    "state": "./temp/filesync.db",
    "spool": { "dir": "./temp/spool", "quota": "1GiB", "min_free": 0, "refetch": false },
    "log": { "level": "debug", "file": "./temp/filesync.log", "max_size": "1MiB", "keep": 2 },
    "plugins": { "dirs": ["plug"] },
    "http": { "listen": "127.0.0.1:8080", "hosts": ["pi"], "proxy": { "header": "X-User" } }, "hooks": { "parked": ["mail"], "idle": { "url": "https://example.org/idle", "headers": { "Authorization": { "env": "X" } }, "timeout": "5s" } },
    "devices": { "cam": { "driver": "local", "args": { "dir": "/mnt/cam" } }, "nas": { "driver": "ftp", "args": { "host": "h" } } },
    "jobs": [{
      "name": "logs", "source": "cam",
      "targets": ["nas", { "name": "second", "driver": "ftp", "args": { "host": "h2" } }],
      "path": "{job}/{date}/{path}",
      "rules": { "include": ["*.ulg"], "exclude": ["x"], "min_size": "1kB", "max_size": "1GiB" },
      "finder": { "interval": 3, "settle": "0s", "order": "oldest", "max_first": 100 },
      "movers": 2, "after": "delete", "grace": "1h", "delete_proof": "checksum",
      "on_change": "replace", "on_conflict": "park", "on_uncertain": "retry", "attempts": 1,
      "limits": { "download": null, "upload": "500KiB/s" }, "window": ["22:00-06:00"]
    }]
  }`);
  assert.equal(config.statePath, `${dir}/temp/filesync.db`);
  assert.deepEqual(config.spool, { dir: `${dir}/temp/spool`, quotaBytes: 2 ** 30, minFreeBytes: 0, refetch: false });
  assert.deepEqual(config.log, { level: "debug", file: `${dir}/temp/filesync.log`, maxBytes: 2 ** 20, keep: 2 });
  assert.deepEqual(config.pluginDirs, [`${dir}/plug`]);
  assert.deepEqual(config.http, {
    listen: { hostname: "127.0.0.1", port: 8080 },
    readOnly: false,
    hosts: ["pi"],
    proxy: { header: "X-User", from: ["127.0.0.1", "::1"] },
  });
  assert.deepEqual(config.devices.map(({ name }) => name), ["cam", "nas", "logs.second"]);
  const [first] = config.jobs;
  assert.equal(first?.source, config.devices[0]);
  assert.deepEqual(first?.targets.map(({ name, device }) => [name, device.name, device.place]), [
    ["nas", "nas", "devices.nas"],
    ["second", "logs.second", "jobs[0].targets[1]"],
  ]);
  assert.deepEqual(first?.rules, { include: ["*.ulg"], exclude: ["x"], minSizeBytes: 1000, maxSizeBytes: 2 ** 30 });
  assert.deepEqual(first?.finder, { intervalMs: 3000, settleMs: 0, order: "oldest", maxFirst: 100 });
  assert.deepEqual(
    [first?.after, first?.graceMs, first?.deleteProof, first?.onChange, first?.onConflict, first?.onUncertain],
    ["delete", 3_600_000, "checksum", "replace", "park", "retry"],
  );
  assert.deepEqual(first?.limits, { uploadBytesPerSecond: 512_000 });
  assert.deepEqual(first?.windows, [{ fromMinute: 1320, toMinute: 360 }]);
});

Deno.test("loadConfig() tells all problems at once, in the file's order, with line, column and remedy", () => {
  inDir((dir) => {
    const file = `${dir}/config.json`;
    Deno.writeTextFileSync(
      file,
      `{
  "spool": { "quota": "2G" },
  "jobs": [
    {
      "name": "a",
      "source": { "driver": "ftpp", "args": {} },
      "target": "nas",
      "movers": "four",
      "finder": { "serttle": "5s" },
    },
  ],
}`,
    );
    assert.throws(() => loadConfig(file, { plugins }), (error) => {
      assert.ok(error instanceof ConfigError);
      const lines = error.message.replaceAll(`${dir}/`, "").split("\n");
      assert.deepEqual(lines.filter((line) => !line.startsWith("  ")), [
        'config.json:2:23: spool.quota: Expected a size such as "200MiB", got "2G": unit "G" is unknown, write "2GiB" ' +
        '(powers of 1024) or "2GB" (powers of 1000)',
        'config.json:6:29: jobs[0].source.driver: Unknown driver "ftpp"; did you mean "ftp"?',
        'config.json:7:17: jobs[0].target: Unknown device "nas"',
        'config.json:8:17: jobs[0].movers: Expected a whole number from 1 to 64, got "four"',
        'config.json:9:19: jobs[0].finder.serttle: Unknown key "serttle"; did you mean "settle"?',
      ]);
      assert.ok(error.problems.every(({ hint }) => hint !== undefined), "every problem has a remedy");
      return true;
    });
  });
});

const wrongTypes: [string, unknown, string][] = [
  ["a list as the file", [], ": Expected an object ({ … }), got a list"],
  ["no jobs", {}, ': Missing key "jobs"'],
  ["jobs of a wrong type", { jobs: {} }, "jobs: Expected a list, got an object"],
  ["a wrong enum", job({ after: "kep" }), 'jobs[0].after: Expected "keep" or "delete", got "kep"'],
  ["a wrong boolean", { spool: { refetch: "no" }, jobs: [] }, 'spool.refetch: Expected true or false, got "no"'],
  ["a number out of range", job({ movers: 65 }), "jobs[0].movers: Expected a whole number from 1 to 64, got 65"],
  ["a fraction", job({ attempts: 1.5 }), "jobs[0].attempts: Expected a whole number from 1 to 1000, got 1.5"],
  ["a bad duration", job({ finder: { settle: "5x" } }), "jobs[0].finder.settle: Expected a duration such as"],
  ["an interval above a timer's reach", job({ finder: { interval: "30d" } }), "Expected an interval of at most 24d"],
  ["a bad rate", job({ limits: { upload: 0 } }), "jobs[0].limits.upload: Expected a rate above zero"],
  ["a bad window", job({ window: ["night"] }), "jobs[0].window[0]: Expected a window of local time"],
  ["a bad address", { http: { listen: "here" }, jobs: [] }, "http.listen: Expected an address such as"],
  ["a home path", { state: "~/x.db", jobs: [] }, 'state: Expected a whole path, got "~/x.db": only a shell knows "~"'],
  [
    "a bad max_size",
    job({ rules: { min_size: 2, max_size: 1 } }),
    "jobs[0].rules.max_size: Expected a size of at least",
  ],
  ["no driver", job({ source: {} }), 'jobs[0].source: Missing key "driver"'],
  ["a device of a wrong type", job({ source: 5 }), "jobs[0].source: Expected the name of a device or { "],
  ["an unknown key at the top", { jobs: [], stat: 1 }, 'stat: Unknown key "stat"; did you mean "state"?'],
  [
    "a key one level too high",
    job({ settle: 1 }),
    'jobs[0].settle: Unknown key "settle"; did you mean "finder.settle"?',
  ],
  ["an empty name", job({ name: "" }), 'jobs[0].name: Expected a string that is not empty, got ""'],
  ["a name with a slash", job({ name: "a/b" }), 'jobs[0].name: Name "a/b" cannot be used for a job: it holds "/"'],
  ["a name with a control character", job({ name: "a\n" }), "it holds a control character"],
  ["a job name twice", { jobs: [JOB, JOB] }, 'jobs[1].name: Job name "a" is taken twice'],
  [
    "target and targets",
    job({ targets: [{ ...LOCAL, name: "b" }] }),
    'jobs[0].targets: Expected "target" or "targets", got both',
  ],
  ["no target", job({ target: undefined }), 'jobs[0]: Missing key "target"'],
  ["no targets", job({ target: undefined, targets: [] }), "jobs[0].targets: Expected a list that is not empty"],
  [
    "a target name twice",
    job({ target: undefined, targets: [LOCAL, LOCAL] }),
    'jobs[0].targets[1]: Target name "local" is taken twice in this job',
  ],
  ["a target named source", job({ target: { ...LOCAL, name: "source" } }), 'Target cannot be named "source"'],
  [
    "a device name twice",
    { devices: { "a.local": LOCAL }, ...job({}) },
    'jobs[0].target: Device name "a.local" is taken twice',
  ],
  [
    "an unknown device",
    { devices: { pixracer: LOCAL }, ...job({ source: "pixraser" }) },
    'jobs[0].source: Unknown device "pixraser"; did you mean "pixracer"?',
  ],
  [
    "an unknown placeholder",
    job({ path: "{pth}" }),
    'jobs[0].path: Unknown placeholder "{pth}"; did you mean "{path}"?',
  ],
  ["an absolute template", job({ path: "/{path}" }), "it starts with"],
  ["a template that climbs", job({ path: "../{path}" }), 'it holds ".."'],
  ["a template with an odd brace", job({ path: "{path" }), "Expected every brace in a pair"],
  ["a template without the path", job({ path: "{job}" }), "all files would get the same name"],
  [
    "a driver in the wrong role",
    job({ source: { driver: "post" } }),
    'Driver "post" cannot be a source: it is a target',
  ],
  ["a driver that cannot be used", job({ source: { driver: "open" } }), 'Driver "open" cannot be used: its manifest'],
  ["a missing argument", job({ source: { driver: "local" } }), 'jobs[0].source.args: Missing argument "dir"'],
  [
    "an unknown argument",
    job({ source: { driver: "local", args: { dir: "x", dri: "y" } } }),
    'jobs[0].source.args.dri: Unknown argument "dri"; did you mean "dir"?',
  ],
  [
    "an argument of a wrong type",
    job({ source: { driver: "ftp", args: { host: "h", port: "x" } } }),
    'jobs[0].source.args.port: Expected a whole number from 1 to 65535, got "x"',
  ],
  [
    "an argument out of its choices",
    job({ source: { driver: "ftp", args: { host: "h", secure: true } } }),
    'jobs[0].source.args.secure: Expected false, "explicit" or "implicit", got true',
  ],
  ["a home path as an argument", job({ source: { driver: "local", args: { dir: "~/in" } } }), 'only a shell knows "~"'],
  [
    "a reference where no string is allowed",
    job({ source: { driver: "ftp", args: { host: "h", port: { env: "PORT" } } } }),
    "jobs[0].source.args.port: Expected a whole number from 1 to 65535, got an object",
  ],
  [
    "an unused device with a flaw",
    { devices: { x: { driver: "nope" } }, jobs: [] },
    'devices.x.driver: Unknown driver "nope"',
  ],
];
for (const [what, value, expected] of wrongTypes) {
  Deno.test(`loadConfig() refuses ${what}`, () => {
    const problems = problemsOf(value);
    assert.equal(problems.length, 1, problems.join("\n"));
    assert.ok(problems[0]?.includes(expected), `${problems[0]} should hold ${expected}`);
  });
}

Deno.test("loadConfig() never shows a secret in a problem, wherever it was put by mistake", () => {
  for (
    const source of [
      { driver: "ftp", args: { host: "h", passwd: 12345678 } },
      { driver: "ftp", args: { host: "h", passwd: "hunter2" } },
      { driver: "ftp", args: { host: "h", unknown: "hunter2hunter2" } },
      { driver: "ftp", args: "hunter2hunter2" },
      { driver: "ftp", args: { host: "h" }, passwd: "hunter2" },
    ]
  ) {
    const text = problemsOf(job({ source })).join("\n");
    assert.doesNotMatch(text, /hunter2|12345678/);
  }
});

Deno.test("loadConfig() leaves arguments alone without plugins", () => {
  const source = { driver: "whatever", args: { dir: "x", a: [1] } };
  assert.deepEqual(load(job({ source }), {}).config.jobs[0]?.source.args, source.args);
});

Deno.test("loadConfig() resolves paths that the schema marks, fills in defaults, and keeps references", () => {
  const args = { host: "h", ca: "certs/ca.pem", passwd: { file: "ftp.key" } };
  const { config, dir } = load(job({ source: { driver: "ftp", args } }));
  assert.deepEqual(config.jobs[0]?.source.args, {
    host: "h",
    ca: `${dir}/certs/ca.pem`,
    passwd: { file: `${dir}/ftp.key` },
    port: 21,
  });
});

Deno.test("loadConfig() accepts each kind of reference where a string is allowed, whatever else the schema asks", () => {
  for (const passwd of [{ env: "A" }, { file: "f" }, { credential: "c" }, { command: ["pass", "x"] }]) {
    load(job({ source: { driver: "ftp", args: { host: "h", passwd } } }));
  }
  const [problem] = problemsOf(job({ source: { driver: "ftp", args: { host: "h", passwd: { envv: "A" } } } }));
  assert.equal(
    problem,
    "jobs[0].source.args.passwd: Expected a string that is not empty, or one of " +
      '{"env": "NAME"}, {"file": "path"}, {"credential": "name"}, {"command": ["program", …]}, got an object',
  );
});

Deno.test("loadConfig() leaves a schema that it cannot read to the driver, and says so", () => {
  const { config } = load(job({ source: { driver: "odd", args: { a: 1 } } }));
  assert.match(config.notices.join("\n"), /Arguments of driver "odd" are checked by the driver alone/);
});

Deno.test("loadConfig() keeps a disabled job out, knows its name, and does not check its drivers", () => {
  const { config } = load({ jobs: [JOB, { ...JOB, name: "b", enable: false, source: { driver: "gone" } }] });
  assert.deepEqual(config.jobs.map(({ name }) => name), ["a"]);
  assert.deepEqual(config.disabledJobs, ["b"]);
  assert.deepEqual(config.notices, ['Job "b" is not run: "enable" is false']);
});

Deno.test("loadConfig() tells of a configuration that moves nothing", () => {
  assert.deepEqual(load({ jobs: [] }).config.notices, ['Nothing is moved: "jobs" is empty']);
  const { config } = load(job({ rules: { include: [] } }));
  assert.deepEqual(config.notices, ['Job "a" takes no file: "rules.include" is empty']);
});

Deno.test("loadConfig() lets an option win over a variable, that over the file, that over the default", () => {
  const file = { log: { level: "error", keep: 1 }, spool: { quota: "1GiB" }, jobs: [] };
  const { config } = load(file, {
    env: { FILESYNC_LOG_LEVEL: "warning", FILESYNC_LOG_KEEP: "7", FILESYNC_STATE: "x.db", FILESYNC_LOG_FILE: "" },
    flags: { "log.level": "debug", "spool.refetch": "false" },
  });
  assert.equal(config.log.level, "debug");
  assert.equal(config.log.keep, 7);
  assert.equal(config.spool.refetch, false);
  assert.equal(config.log.file, undefined);
  assert.equal(config.statePath, `${Deno.cwd()}/x.db`, "relative to the working directory");
  assert.deepEqual(config.origins?.["log.level"], { from: "flag", name: "--log-level" });
  assert.deepEqual(config.origins?.["log.keep"], { from: "env", name: "FILESYNC_LOG_KEEP" });
  assert.deepEqual(config.origins?.["spool.quota"], { from: "file", line: 1 });
  assert.deepEqual(config.origins?.["spool.dir"], { from: "default" });
});

Deno.test("loadConfig() names the variable that holds a wrong value", () => {
  assert.throws(
    () => load({ jobs: [] }, { env: { FILESYNC_SPOOL_QUOTA: "lots", FILESYNC_LOG_LEVEL: "loud" } }),
    (error) => {
      assert.match(String(error), /^ConfigError: |\n/);
      assert.match(String(error), /FILESYNC_SPOOL_QUOTA: Expected a size such as "200MiB", got "lots"/);
      assert.match(String(error), /FILESYNC_LOG_LEVEL: Expected "debug", "info", "warning" or "error", got "loud"/);
      return true;
    },
  );
});

Deno.test("loadConfig() warns of a secret in a file that everyone can read, and only then", () => {
  inDir((dir) => {
    const file = `${dir}/config.json`;
    const write = (passwd: unknown, mode: number) => {
      Deno.writeTextFileSync(file, JSON.stringify(job({ source: { driver: "ftp", args: { host: "h", passwd } } })));
      Deno.chmodSync(file, mode);
      return loadConfig(file, { plugins }).notices;
    };
    assert.deepEqual(write("hunter2hunter2", 0o644), [
      `"${file}" holds a secret (jobs[0].source.args.passwd) and everyone can read it: chmod 600 ${file}`,
    ]);
    assert.deepEqual(write("hunter2hunter2", 0o640), []);
    assert.deepEqual(write({ env: "PASSWD" }, 0o644), []);
    Deno.writeTextFileSync(`${dir}/ftp.key`, "hunter2", { mode: 0o644 });
    Deno.chmodSync(`${dir}/ftp.key`, 0o644);
    assert.deepEqual(write({ file: "ftp.key" }, 0o644), [
      `Everyone can read the secret in "${dir}/ftp.key": chmod 600 ${dir}/ftp.key`,
    ]);
    Deno.chmodSync(`${dir}/ftp.key`, 0o600);
    assert.deepEqual(write({ file: "ftp.key" }, 0o644), []);
  });
});

Deno.test("resolveSecrets() of a loaded device names file, line and key of a key file that cannot be read", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const file = `${dir}/config.json`;
    await Deno.writeTextFile(
      file,
      JSON.stringify(job({ source: { driver: "ftp", args: { host: "h", passwd: { file: "no.key" } } } }), null, 2),
    );
    const source = loadConfig(file, { plugins }).jobs[0]?.source;
    assert.ok(source !== undefined);
    await assert.rejects(resolveSecrets(source.args, { file, place: source.place }), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.equal(
        error.message,
        `${file}:9:21: jobs[0].source.args.passwd: Cannot read key file "${dir}/no.key": no such file\n` +
          "  Make the file, or correct its path",
      );
      return true;
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("config.example.json loads as it is", () => {
  const example = new URL("../../config.example.json", import.meta.url).pathname;
  const root = example.slice(0, example.lastIndexOf("/"));
  const config = loadConfig(example, { plugins });
  assert.equal(config.jobs[0]?.source.args.dir, `${root}/temp/in`);
  assert.equal(config.jobs[0]?.targets[0]?.device.args.dir, `${root}/temp/out`);
  assert.deepEqual(config.notices, []);
});
