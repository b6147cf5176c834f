import assert from "node:assert/strict";
import type { PluginSchemas } from "./args.ts";
import { configJsonSchema } from "./editor_schema.ts";
import type { JsonSchema } from "./json_schema.ts";
import { loadConfig } from "./load.ts";
import { describeConfig } from "./show.ts";

const plugins: PluginSchemas = new Map([
  ["local", {
    roles: ["source", "target"],
    args: { type: "object", properties: { dir: { type: "string", format: "path" } }, required: ["dir"] },
  }],
  ["ftp", {
    roles: ["target"],
    args: { type: "object", properties: { host: { type: "string" }, key: { type: "string", writeOnly: true } } },
  }],
]);

const FILE = {
  log: { level: "debug" },
  devices: { nas: { driver: "ftp", args: { host: "h", key: "hunter2" } } },
  jobs: [{
    name: "a",
    source: { driver: "local", args: { dir: "in" } },
    targets: ["nas", { name: "b", driver: "local", args: { dir: "out" } }],
    rules: { max_size: "1GiB" },
    limits: { upload: "500KiB/s" },
    window: ["22:00-06:00"],
  }],
};

function inDir<T>(run: (dir: string) => T): T {
  const dir = Deno.makeTempDirSync();
  try {
    return run(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

Deno.test("describeConfig() shows what was understood, in units, without secrets, with origins when asked", () => {
  inDir((dir) => {
    Deno.writeTextFileSync(`${dir}/config.json`, JSON.stringify(FILE, null, 2));
    const env = { FILESYNC_SPOOL_QUOTA: "1GiB" };
    const shown = describeConfig(loadConfig(`${dir}/config.json`, { plugins, env }), { origin: true, plugins });
    assert.doesNotMatch(JSON.stringify(shown), /hunter2/);
    assert.deepEqual(shown.devices, { nas: { driver: "ftp", args: { host: "h", key: "***" } } });
    assert.deepEqual((shown.jobs as Record<string, unknown>[])[0]?.targets, [
      "nas",
      { name: "b", driver: "local", args: { dir: `${dir}/out` } },
    ]);
    const origin = shown.origin as Record<string, string>;
    assert.equal(origin["spool.quota"], "FILESYNC_SPOOL_QUOTA");
    assert.equal(origin["log.level"], "file, line 3");
    assert.equal(origin.state, "default");
  });
});

Deno.test("describeConfig() gives a configuration that loads to itself", () => {
  inDir((dir) => {
    const file = structuredClone(FILE) as Record<string, unknown>;
    file.devices = { nas: { driver: "ftp", args: { host: "h", key: { env: "KEY" } } } };
    Deno.writeTextFileSync(`${dir}/config.json`, JSON.stringify(file));
    const config = loadConfig(`${dir}/config.json`, { plugins });
    Deno.writeTextFileSync(`${dir}/shown.json`, JSON.stringify(describeConfig(config, { plugins })));
    const { file: _a, origins: _b, ...again } = loadConfig(`${dir}/shown.json`, { plugins });
    const { file: _c, origins: _d, ...first } = config;
    const meaning = (value: unknown) => JSON.parse(JSON.stringify(value));
    assert.deepEqual(meaning(again), meaning(first));
  });
});

Deno.test("configJsonSchema() describes every key and keeps our own keyword out", () => {
  const schema = configJsonSchema();
  assert.equal(schema.$schema, "https://json-schema.org/draft/2020-12/schema");
  assert.doesNotMatch(JSON.stringify(schema), /"expected"/);
  const job = schema.properties?.jobs?.items as JsonSchema;
  for (
    const [name, property] of [...Object.entries(schema.properties ?? {}), ...Object.entries(job.properties ?? {})]
  ) {
    assert.ok((property.description ?? "") !== "", `"${name}" has no description`);
  }
  assert.deepEqual(job.required, ["name", "source"]);
  assert.equal(job.properties?.movers?.default, 4);
});

Deno.test("configJsonSchema() knows each driver's arguments and lets a reference stand for a string", () => {
  const schema = configJsonSchema(plugins);
  const device = schema.properties?.devices?.additionalProperties as JsonSchema;
  assert.deepEqual(device.properties?.driver?.enum, ["ftp", "local"]);
  const rules = device.allOf as { if: JsonSchema; then: JsonSchema }[];
  const local = rules.find((rule) => rule.if.properties?.driver?.const === "local")?.then;
  assert.deepEqual(local?.required, ["args"]);
  assert.deepEqual(local?.properties?.args, {
    additionalProperties: false,
    type: "object",
    properties: { dir: { anyOf: [{ type: "string", format: "path" }, { $ref: "#/$defs/secret" }] } },
    required: ["dir"],
  });
  assert.ok(schema.$defs?.secret !== undefined);
});
