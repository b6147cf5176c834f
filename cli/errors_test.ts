import assert from "node:assert/strict";
import { ConfigError } from "../lib/config/mod.ts";
import { DriverError } from "../lib/driver/mod.ts";
import { EngineError } from "../lib/engine/mod.ts";
import { StateError } from "../lib/state/mod.ts";
import { CliError } from "./context.ts";
import { report } from "./errors.ts";

function told(error: unknown, variables: Record<string, string> = {}): { code: number; text: string } {
  const lines: string[] = [];
  const code = report(error, { env: (name) => variables[name], say: (line) => void lines.push(line) });
  return { code, text: lines.join("\n") };
}

Deno.test("report() says what happened and what to do, with the contract's exit code", () => {
  const problem = { file: "c.json", line: 2, column: 3, key: "jobs", message: "Expected a list" };
  const cases: [unknown, number, string][] = [
    [new CliError(2, "Cannot do that", { hint: "Do this" }), 2, "filesync: Cannot do that\n  Do this"],
    [new EngineError(8, 'Plugin "x" failed'), 8, 'filesync: Plugin "x" failed'],
    [new StateError("locked", "State is in use"), 7, "filesync: State is in use"],
    [new StateError("no_space", "Disk is full"), 1, "filesync: Disk is full"],
    [new DriverError("denied", "530 no", { hint: "Check user" }), 6, "filesync: 530 no\n  Check user"],
    [new DriverError("unavailable", "No route"), 5, "filesync: No route"],
    [
      new ConfigError([problem]),
      3,
      "filesync: Cannot use the configuration: 1 problem\nc.json:2:3: jobs: Expected a list",
    ],
    [new Deno.errors.PermissionDenied("Permission denied: x"), 1, "filesync: Permission denied: x"],
  ];
  for (const [error, code, text] of cases) assert.deepEqual(told(error), { code, text });
});

Deno.test("report() calls a bug a bug, and shows a stack only when asked", () => {
  const { code, text } = told(new TypeError("x is undefined"));
  assert.equal(code, 1);
  assert.match(text, /^filesync: Internal error: TypeError: x is undefined\n.*bug in filesync/);
  assert.ok(!text.includes("errors_test.ts"));
  const debug = told(new Error("inner", { cause: new Error("deep") }), { FILESYNC_DEBUG: "1" }).text;
  assert.match(debug, /errors_test\.ts/);
  assert.match(debug, /Caused by: Error: deep/);
});
