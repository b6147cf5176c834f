import assert from "node:assert/strict";
import type { PluginSchemas } from "./args.ts";
import { convertLegacy } from "./convert.ts";
import { ConfigError } from "./explain.ts";
import { isLegacy } from "./legacy.ts";
import { loadConfig } from "./load.ts";
import type { Config } from "./types.ts";

const text = { type: "string" };
const path = { type: "string", format: "path" };
const closed = (properties: Record<string, Record<string, unknown>>, required: string[] = []) => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});
const plugins: PluginSchemas = new Map([
  ["local", { roles: ["source", "target"], args: closed({ dir: path }, ["dir"]) }],
  ["disk", { roles: ["source", "target"], args: closed({ uuid: text, mount_point: path }) }],
  ["ftp", {
    roles: ["source", "target"],
    args: closed({ host: text, user: text, passwd: { ...text, writeOnly: true } }),
  }],
  ["post", { roles: ["target"], args: closed({ uploader_url: text, values: { type: "object" }, preset: text }) }],
  ["mavftp", { roles: ["source"], args: closed({ url: text }, ["url"]) }],
]);

const FIXTURES = new URL("../../tests/fixtures/config/", import.meta.url).pathname;

/** What a configuration means, without where it was written. */
function meaning(config: Config): unknown {
  const { file: _file, notices: _notices, legacy: _legacy, origins: _origins, ...rest } = config;
  return JSON.parse(JSON.stringify(rest, (key, value) => key === "place" ? undefined : value));
}

function inDir<T>(files: Record<string, unknown>, run: (dir: string) => T): T {
  const dir = Deno.makeTempDirSync();
  try {
    for (const [name, content] of Object.entries(files)) {
      const file = `${dir}/${name}`;
      Deno.writeTextFileSync(file, typeof content === "string" ? content : JSON.stringify(content), { mode: 0o600 });
    }
    return run(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

for (const name of ["original_device.json", "original_module_class.json", "original_workers.json"]) {
  Deno.test(`loadConfig() reads ${name} of the original unchanged`, () => {
    const config = loadConfig(FIXTURES + name, { plugins });
    assert.ok(config.legacy);
    assert.equal(config.statePath, `${FIXTURES}temp/worker_1.db`);
    assert.deepEqual(config.log, {
      level: "error",
      file: `${FIXTURES}temp/worker_1.log`,
      maxBytes: 10 * 2 ** 20,
      keep: 5,
    });
    const [job] = config.jobs;
    assert.equal(job?.name, "worker_1");
    assert.equal(job?.movers, 4);
    assert.equal(job?.finder.intervalMs, 10_000);
    assert.deepEqual(job?.rules, { include: ["*"], exclude: ["/files/*", "*.tiff"], minSizeBytes: 0 });
    assert.deepEqual([job?.source.driver, job?.source.args], ["local", { dir: `${FIXTURES}temp/source` }]);
    assert.deepEqual(job?.targets.map(({ device }) => device.args), [{ dir: `${FIXTURES}temp/target` }]);
    const ignored = config.notices.filter((notice) => notice.includes("ignored"));
    assert.deepEqual(ignored, [
      'Keys of the original program that have no meaning here are ignored: "gui", "db"',
    ]);
  });
}

Deno.test("loadConfig() reads the first form of the original, with extensions instead of rules", () => {
  const config = loadConfig(`${FIXTURES}original_workers_first.json`, { plugins });
  assert.equal(config.statePath, `${FIXTURES}temp/db.db`);
  assert.equal(config.log.level, "debug");
  assert.equal(config.jobs[0]?.movers, 5);
  assert.deepEqual(config.jobs[0]?.rules.include.slice(0, 3), ["*.JPG", "*.jpg", "*.MOV"]);
  assert.deepEqual(config.jobs[0]?.source.args, { uuid: "0313-D11F", mount_point: "/mnt" });
});

Deno.test("loadConfig() reads DISK and FTP with their classes in capitals", () => {
  const config = loadConfig(`${FIXTURES}original_disk_ftp.json`, { plugins });
  assert.deepEqual(config.log, {
    level: "error",
    file: `${FIXTURES}temp/flir.log`,
    maxBytes: 10 * 2 ** 20,
    keep: 5,
    console: false,
  });
  const [job] = config.jobs;
  assert.equal(job?.finder.intervalMs, 1500);
  assert.equal(job?.source.driver, "disk");
  assert.deepEqual(job?.targets[0]?.device.args, { host: "192.168.20.131", user: "test-1", passwd: "passwd" });
});

for (const { name } of [...Deno.readDirSync(FIXTURES)].filter(({ name }) => name.endsWith(".json"))) {
  Deno.test(`convertLegacy() of ${name} loads to the same configuration`, () => {
    inDir({ [name]: Deno.readTextFileSync(FIXTURES + name) }, (dir) => {
      const converted = convertLegacy(`${dir}/${name}`);
      assert.match(converted, /^\/\/ Converted from "/);
      Deno.writeTextFileSync(`${dir}/config.json`, converted);
      for (const options of [{ plugins }, {}]) {
        const today = loadConfig(`${dir}/config.json`, options);
        assert.ok(!today.legacy);
        assert.deepEqual(meaning(today), meaning(loadConfig(`${dir}/${name}`, options)));
      }
    });
  });
}

Deno.test("convertLegacy() refuses today's form", () => {
  inDir({ "config.json": { jobs: [] } }, (dir) => {
    assert.throws(() => convertLegacy(`${dir}/config.json`), /got one of today's form/);
  });
});

const WORKER = {
  name: "w",
  source: { device: "device_local", args: { mount_point: "in" } },
  target: { device_class: "POST", args: { uploader_url: "u" } },
};

function load(value: unknown): Config {
  return inDir({ "config.json": value }, (dir) => loadConfig(`${dir}/config.json`, { plugins }));
}

Deno.test("loadConfig() does not run a worker with enable: false, says so, and the converted form does the same", () => {
  inDir({ "config.json": { ...WORKER, enable: false } }, (dir) => {
    const config = loadConfig(`${dir}/config.json`, { plugins });
    assert.deepEqual([config.jobs, config.disabledJobs], [[], ["w"]]);
    assert.match(config.notices.join("\n"), /Job "w" is not run/);
    Deno.writeTextFileSync(`${dir}/new.json`, convertLegacy(`${dir}/config.json`));
    assert.deepEqual(meaning(loadConfig(`${dir}/new.json`, { plugins })), meaning(config));
  });
});

Deno.test("loadConfig() hands the fields of logs.px4.io on under the names that the form has", () => {
  const values = { description: "", additional_feedback: "f", email: "e", allow_for_analysis: false, obfuscated: true };
  const config = load({ ...WORKER, target: { device_class: "POST", args: { uploader_url: "u", values } } });
  assert.deepEqual(config.jobs[0]?.targets[0]?.device.args.values, {
    description: "",
    feedback: "f",
    email: "e",
    allowForAnalysis: "false",
    obfuscated: "true",
  });
});

Deno.test("loadConfig() says that files stay on the source, unlike with the original", () => {
  const config = load(WORKER);
  assert.equal(config.jobs[0]?.after, "keep");
  assert.match(config.notices.join("\n"), /Files stay on the source/);
});

Deno.test("loadConfig() ignores unknown keys of the original's form as it did, and names them", () => {
  const { notices } = load({ ...WORKER, mover_cuont: 3, _comment: "x", "dontused----y": 1 });
  assert.ok(
    notices.includes('Unknown keys are ignored, as the original did: "mover_cuont" (did you mean "mover_count"?)'),
  );
});

Deno.test("loadConfig() names the original's keys and lines in problems", () => {
  inDir({
    "config.json": `{
  "mover_count": "four",
  "logger": { "log_level": "LOUD" },
  "finder": { "search_interval": "x" },
  "source": { "device": "device_lokal", "args": { "mount_point": "in" } },
  "target": { "device": "device_local", "args": { "mount_point": 5 } },
  "db_backup": { "db_path": 7 }
}`,
  }, (dir) => {
    assert.throws(() => loadConfig(`${dir}/config.json`, { plugins }), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.deepEqual(error.problems.map(({ line, key }) => `${line} ${key}`), [
        "2 mover_count",
        "3 logger.log_level",
        "4 finder.search_interval",
        "5 source.device",
        "6 target.args.mount_point",
        "7 db_backup.db_path",
      ]);
      return true;
    });
  });
});

Deno.test("loadConfig() looks for the autopilot of a worker with mavftp where ROS did, unless it is told", () => {
  const forms = [
    { device_class: "MAVFTP" },
    { device: "device_mavftp", args: {} },
    { module_path: "device_mavftp", device_class: "device_mavftp", args: { logger: null } },
  ];
  for (const source of forms) {
    const { jobs, notices } = load({ ...WORKER, source });
    assert.deepEqual(jobs[0]?.source.args, { url: "serial:///dev/ttyACM0" });
    assert.match(notices.join("\n"), /through ROS: it is looked for at "serial:\/\/\/dev\/ttyACM0" now; "url"/);
  }
  const { jobs, notices } = load({
    ...WORKER,
    source: { device: "device_mavftp", args: { url: "udp://0.0.0.0:14550" } },
  });
  assert.deepEqual(jobs[0]?.source.args, { url: "udp://0.0.0.0:14550" });
  assert.doesNotMatch(notices.join("\n"), /ROS/);
});

Deno.test("isLegacy() does not take a file of today's form for one of the original's", () => {
  assert.ok(!isLegacy({ jobs: [], name: "x", source: {} }));
  assert.ok(!isLegacy({ name: "package", version: "1" }));
  assert.ok(!isLegacy([]));
  assert.ok(isLegacy({ workers: [] }));
});
