import assert from "node:assert/strict";
import { DriverError } from "../driver/mod.ts";
import { type ArgsSchema, checkArgs } from "./check_args.ts";

const SCHEMA: ArgsSchema = {
  properties: {
    host: { type: "string", minLength: 1 },
    port: { type: "integer", minimum: 1, maximum: 65535, default: 21 },
    secure: { enum: [false, "explicit", "implicit"], default: false },
    values: { type: "object" },
    token: { type: ["string", "null"] },
    "a/b~c": { type: "boolean" },
    list: { type: "array" },
  },
  required: ["host"],
};

function refusal(args: Record<string, unknown>): [string | undefined, string] {
  try {
    checkArgs(args, SCHEMA);
  } catch (error) {
    if (error instanceof DriverError && error.code === "invalid_config") return [error.details.pointer, error.message];
    throw error;
  }
  throw new Error("Arguments were not refused");
}

Deno.test("checkArgs() fills in defaults and keeps what was given", () => {
  assert.deepEqual(checkArgs({ host: "nas" }, SCHEMA), { host: "nas", port: 21, secure: false });
  const whole = { host: "nas", port: 2121, secure: "explicit", values: {}, token: null, "a/b~c": true, list: [] };
  assert.deepEqual(checkArgs(whole, SCHEMA), whole);
});

Deno.test("checkArgs() takes anything without a schema", () => {
  assert.deepEqual(checkArgs({ any: 1 }, undefined), { any: 1 });
});

Deno.test("checkArgs() names the argument that does not fit", () => {
  assert.deepEqual(refusal({}), ["/host", 'Argument "host" is missing']);
  assert.deepEqual(refusal({ host: "" }), ["/host", 'Argument "host" must not be empty']);
  assert.deepEqual(refusal({ host: 7 }), ["/host", 'Argument "host" must be of type string']);
  assert.deepEqual(refusal({ host: "a", port: 0 }), ["/port", 'Argument "port" must be at least 1']);
  assert.deepEqual(refusal({ host: "a", port: 65536 }), ["/port", 'Argument "port" must be at most 65535']);
  assert.deepEqual(refusal({ host: "a", port: 2.5 }), ["/port", 'Argument "port" must be of type integer']);
  assert.deepEqual(refusal({ host: "a", secure: true }), [
    "/secure",
    'Argument "secure" must be one of false, "explicit", "implicit"',
  ]);
  assert.deepEqual(refusal({ host: "a", token: 1 }), ["/token", 'Argument "token" must be of type string or null']);
  assert.deepEqual(refusal({ host: "a", values: [] }), ["/values", 'Argument "values" must be of type object']);
  assert.deepEqual(refusal({ host: "a", list: {} }), ["/list", 'Argument "list" must be of type array']);
  assert.deepEqual(refusal({ host: "a", "a/b~c": 1 }), ["/a~1b~0c", 'Argument "a/b~c" must be of type boolean']);
  assert.deepEqual(refusal({ host: "a", hots: "b" }), ["/hots", 'Argument "hots" is unknown']);
});
