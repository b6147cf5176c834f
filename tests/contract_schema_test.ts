/**
 * `plugins/protocol.schema.json` is what the code says, takes each exchange of plugins/README.md by the judgement of an
 * independent validator, and promises nothing that the host would refuse or change.
 */
import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import {
  checkConfirmation,
  checkDownloadResult,
  checkEntries,
  checkEntry,
  checkFindings,
  checkInitializeResult,
  checkProgress,
  checkReceipt,
  checkState,
} from "../lib/host/check_answers.ts";
import { wordsFor } from "../lib/host/words.ts";
import { isObject } from "../lib/protocol/messages.ts";
import { protocolJsonSchema } from "../lib/protocol/schema.ts";
import { exchangesOf } from "./support/contract_examples.ts";
import { readProjectFile } from "./support/project_files.ts";

const SCHEMA = JSON.parse(readProjectFile("plugins/protocol.schema.json")) as { $defs: Record<string, unknown> };
const WORDS = wordsFor({}, {});
const SAMPLES = 300;

/** Why `value` does not fit the schema's part `name`; empty when it does. */
const validator = new Ajv2020({ strict: false, allErrors: true }).addSchema(SCHEMA, "protocol");
function misfits(name: string, value: unknown): string {
  const validate = validator.getSchema(`protocol#/$defs/${name}`);
  assert.ok(validate !== undefined, `The schema has no ${name}`);
  return validate(value) === true ? "" : `${name}: ${validator.errorsText(validate.errors)}: ${JSON.stringify(value)}`;
}

Deno.test("protocol.schema.json is what the code says", () => {
  const stale = "stale: run deno run -A cli/build/protocol_schema.ts";
  assert.deepEqual(SCHEMA, JSON.parse(JSON.stringify(protocolJsonSchema())), stale);
});

Deno.test("protocol.schema.json takes each example exchange of plugins/README.md", () => {
  const exchanges = exchangesOf(readProjectFile("plugins/README.md"));
  assert.ok(exchanges.length > 10);
  for (const exchange of exchanges) {
    for (const { by, message, answers } of exchange) {
      assert.equal(misfits(by === "host" ? "HostMessage" : "PluginMessage", message), "");
      if (answers !== undefined && message.error === undefined) {
        assert.equal(misfits(`${answers[0]!.toUpperCase()}${answers.slice(1)}Answer`, message), "");
      }
    }
  }
});

Deno.test("protocol.schema.json refuses messages that break the contract", () => {
  const base = { jsonrpc: "2.0", id: 1 };
  const wrong: [string, unknown][] = [
    ["HostMessage", { ...base, method: "stat", params: {} }],
    ["HostMessage", { ...base, method: "stat", params: { path: "../a" } }],
    ["HostMessage", { id: 1, method: "stat", params: { path: "a" } }],
    ["PluginMessage", { id: 1, result: {} }],
    ["PluginMessage", { ...base, error: { code: -32000, message: "m" } }],
    ["PluginMessage", { ...base, error: { code: -32000, message: "m", data: { code: "broken" } } }],
    ["PluginMessage", { jsonrpc: "2.0", method: "$/entries", params: { id: 1, entries: Array(1001).fill(ENTRY) } }],
    ["UploadAnswer", { ...base, result: { path: "a", sizeBytes: 1 } }],
  ];
  for (const [name, value] of wrong) assert.notEqual(misfits(name, value), "", JSON.stringify(value).slice(0, 100));
  assert.equal(misfits("PluginMessage", { ...base, error: { code: -32601, message: "m" } }), "");
});

const ENTRY = { path: "a", kind: "file" };

/** How the host reads each shape. */
const READ: Record<string, (value: unknown) => unknown> = {
  InitializeResult: (value) => checkInitializeResult(value, WORDS),
  StatResult: (value) => checkEntry(value, (value as { path: string }).path, WORDS),
  Entry: (value) => {
    const { entries, ignored } = checkEntries([value], "", true, WORDS);
    assert.equal(ignored, 0);
    return entries[0];
  },
  DownloadResult: (value) => checkDownloadResult(value, WORDS),
  Receipt: (value) => checkReceipt(value, WORDS),
  ConfirmResult: (value) => ({ receipt: checkConfirmation(value, WORDS) }),
  CheckResult: (value) => checkFindings(value, WORDS),
};
const READ_NEWS: Record<string, (params: Record<string, unknown>) => unknown> = {
  ProgressNotification: checkProgress,
  StateNotification: (params) => checkState(params, WORDS),
};

for (const name of [...Object.keys(READ), ...Object.keys(READ_NEWS)]) {
  Deno.test(`protocol.schema.json: the host takes every ${name} that fits, as it is`, () => {
    const seed = (Math.random() * 2 ** 32) >>> 0;
    const sampler = new Sampler(seed);
    for (let n = 0; n < SAMPLES; n++) {
      const value = sampler.of(SCHEMA.$defs[name]) as Record<string, unknown>;
      assert.equal(misfits(name, value), "", `seed ${seed}`);
      if (name in READ) assert.deepEqual(READ[name]!(value), asRead(value), `seed ${seed}`);
      else {
        const { id: _, ...params } = value["params"] as Record<string, unknown>;
        assert.deepEqual(READ_NEWS[name]!(params), asRead(params), `seed ${seed}`);
      }
    }
  });
}

/** `false` and no patience are what an absent field means. */
function asRead(value: unknown): unknown {
  if (!isObject(value)) return value;
  const isFalse = ([key, item]: [string, unknown]) => key === "waitMs" && item === 0;
  const kept = Object.entries(value).filter((pair) => !isFalse(pair));
  if ("capabilities" in value) {
    const can = Object.entries(value["capabilities"] as object).filter(([, item]) => item !== false);
    return { ...value, capabilities: { callsMax: 1, ...Object.fromEntries(can) } };
  }
  return Object.fromEntries(kept);
}

const STRINGS = [".", "..", "a", "a/b.ulg", "", "Größe", "md5", "00ff", "/data", "...", "x".repeat(200), "4711-ABCD"];

/** Values that a schema takes, at random. */
class Sampler {
  #state: number;

  constructor(seed: number) {
    this.#state = seed || 1;
  }

  of(schema: unknown): unknown {
    const node = schema as Record<string, unknown>;
    if (typeof node["$ref"] === "string") return this.of(SCHEMA.$defs[node["$ref"].replace("#/$defs/", "")]);
    if ("const" in node) return node["const"];
    if (Array.isArray(node["enum"])) return this.#oneOf(node["enum"]);
    if (Array.isArray(node["anyOf"])) return this.of(this.#oneOf(node["anyOf"]));
    switch (node["type"]) {
      case "object":
        return this.#object(node);
      case "array":
        return Array.from({ length: this.#below(4) }, () => this.of(node["items"]));
      case "string":
        return this.#oneOf(STRINGS.filter((text) => fits(text, node)));
      case "boolean":
        return this.#below(2) === 0;
      case "null":
        return null;
      case "integer":
      case "number":
        return this.#number(node as { minimum?: number; maximum?: number });
      default:
        return this.#oneOf([0, "x", { a: [null] }, true]);
    }
  }

  #object(node: Record<string, unknown>): Record<string, unknown> {
    const required = (node["required"] ?? []) as string[];
    const fields = Object.entries((node["properties"] ?? {}) as object)
      .filter(([name]) => required.includes(name) || this.#below(2) === 0);
    return Object.fromEntries(fields.map(([name, field]) => [name, this.of(field)]));
  }

  #number({ minimum = -1000, maximum = 1000 }: { minimum?: number; maximum?: number }): number {
    return this.#oneOf([minimum, maximum, minimum + this.#below(Math.min(1000, maximum - minimum))]);
  }

  #oneOf<T>(items: readonly T[]): T {
    assert.ok(items.length > 0, "Nothing to choose from");
    return items[this.#below(items.length)]!;
  }

  #below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % Math.max(1, limit);
  }
}

function fits(text: string, node: Record<string, unknown>): boolean {
  const { pattern, minLength = 0, maxLength = Infinity } = node as {
    pattern?: string;
    minLength?: number;
    maxLength?: number;
  };
  return text.length >= minLength && text.length <= maxLength &&
    (pattern === undefined || new RegExp(pattern, "u").test(text));
}
