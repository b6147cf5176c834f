import assert from "node:assert/strict";
import { type Capabilities, type DeviceState, type Entry, pathProblem, type Receipt } from "../driver/mod.ts";
import type { RpcMessage } from "./messages.ts";
import { hostMessageProblem, messageProblem, protocolJsonSchema } from "./schema.ts";

function answer(method: string, result: unknown): string | undefined {
  return messageProblem({ jsonrpc: "2.0", id: 7, result }, new Map([[7, method]]));
}

function news(method: string, params: unknown): string | undefined {
  return messageProblem({ jsonrpc: "2.0", method, params }, new Map());
}

Deno.test("messageProblem() passes answers and news of a driver, with fields and kinds that nobody knows", () => {
  const entry: Entry = { path: "a/b", kind: "file", sizeBytes: 0, modifiedMs: -1, etag: "", checksum: SUM };
  const receipt: Receipt = { path: "a", sizeBytes: 1, verified: "none", url: "http://x/" };
  const capabilities: Capabilities = { callsMax: 64, confirm: false, modifiedPrecisionMs: 2000, checksums: ["md5"] };
  const state: DeviceState = { available: false, deviceId: "1234-ABCD", callsMax: 1 };
  const fine = [
    answer("initialize", { name: "x", version: "1", capabilities, later: 1 }),
    answer("list", { complete: true }),
    answer("stat", { ...entry, later: {} }),
    answer("stat", { path: "", kind: "directory" }),
    answer("download", { sizeBytes: 1, fingerprint: {} }),
    answer("upload", receipt),
    answer("confirm", { receipt: null }),
    answer("confirm", { receipt }),
    answer("check", [{ name: "a", ok: false, detail: "b", remedy: "c", code: "denied" }]),
    answer("from_the_future", 4),
    news("$/entries", { id: 1, entries: [entry, { path: "line\nbreak", kind: "file", problem: "name" }] }),
    news("$/progress", { id: 1, doneBytes: 2, waitMs: 1, resume: { any: ["thing"] } }),
    news("$/state", state),
    news("$/log", { level: "info", message: "" }),
    news("$/later", 4),
  ];
  assert.deepEqual(fine.filter((problem) => problem !== undefined), []);
});

const SUM = { algorithm: "md5", value: "00ff" };

Deno.test("messageProblem() names what the host would refuse, forgive or leave out", () => {
  const flawed: [string | undefined, RegExp][] = [
    [answer("initialize", { name: "x", version: "1" }), /capabilities/],
    [answer("initialize", { name: "x", version: "1", capabilities: { callsMax: 65 } }), /callsMax/],
    [answer("list", {}), /complete/],
    [answer("stat", { path: "a", kind: "link" }), /kind/],
    [answer("stat", { path: "a", kind: "file", modifiedMs: 0.5 }), /modifiedMs/],
    [answer("download", { sizeBytes: -1, fingerprint: {} }), /sizeBytes/],
    [answer("upload", { path: "a", sizeBytes: 1, verified: "sure" }), /verified/],
    [answer("upload", { path: "a\n", sizeBytes: 1, verified: "none" }), /path/],
    [answer("confirm", {}), /receipt/],
    [answer("check", {}), /check/],
    [news("$/entries", { id: 1, entries: [{ path: "../a", kind: "file" }] }), /entries\.0\.path/],
    [news("$/entries", { id: 1, entries: [{ path: "", kind: "directory" }] }), /entries\.0\.path/],
    [news("$/progress", { id: 1, doneBytes: 0, resume: "x".repeat(5000) }), /4096 bytes/],
    [failure({ code: -32000, message: "m" }), /stat/],
    [failure({ code: -32000, message: "m", data: { code: "broken" } }), /stat/],
    [failure({ code: -32000, message: "m", data: { code: "oops" } }), /stat/],
  ];
  for (const [problem, expected] of flawed) assert.match(problem ?? "nothing", expected);
  assert.equal(failure({ code: -32000, message: "m", data: { code: "denied", scope: "file" } }), undefined);
  assert.equal(failure({ code: -32601, message: "m" }), undefined);
});

function failure(error: RpcMessage["error"]): string | undefined {
  return messageProblem({ jsonrpc: "2.0", id: 7, error: error! }, new Map([[7, "stat"]]));
}

Deno.test("hostMessageProblem() takes the paths that the host hands on, and no other", () => {
  const paths = [
    "a",
    "a/b",
    "...",
    "..a/b..",
    " ",
    "a\\b",
    "日本語",
    "/a",
    "a/",
    "a//b",
    "..",
    "a/../b",
    "./a",
    "a\u0000",
    "a\nb",
  ];
  for (const path of paths) {
    const problem = hostMessageProblem({ jsonrpc: "2.0", id: 1, method: "stat", params: { path } });
    assert.equal(problem === undefined, pathProblem(path) === undefined, JSON.stringify(path));
  }
});

Deno.test("protocolJsonSchema() names every message", () => {
  const names = Object.keys(protocolJsonSchema()["$defs"] as object);
  for (
    const method of [
      "Initialize",
      "List",
      "Stat",
      "Download",
      "Upload",
      "Confirm",
      "Remove",
      "Check",
      "Release",
      "Shutdown",
    ]
  ) {
    assert.ok(names.includes(`${method}Request`) && names.includes(`${method}Answer`), method);
  }
  for (const name of ["Cancel", "Limit", "Entries", "Progress", "State", "Log"]) {
    assert.ok(names.includes(`${name}Notification`), name);
  }
});
