import assert from "node:assert/strict";
import {
  AnswerError,
  checkConfirmation,
  checkDownloadResult,
  checkEntries,
  checkEntry,
  checkFindings,
  checkInitializeResult,
  checkProgress,
  checkReceipt,
  checkState,
} from "./check_answers.ts";
import { tidy } from "./words.ts";

const RECEIPT = { path: "a/b.ulg", sizeBytes: 7, verified: "size" };

function paths(raw: unknown[], directory: string, recursive: boolean): string[] {
  return checkEntries(raw, directory, recursive, tidy).entries.map(({ path }) => path);
}

function files(...names: string[]): unknown[] {
  return names.map((path) => ({ path, kind: "file" }));
}

Deno.test("checkEntries() keeps direct children only, and descendants when they were asked for", () => {
  const raw = files("a", "d/b", "d/e/c", "d", "dd/x", "d/...", "d/.hidden", "d/..x");
  assert.deepEqual(paths(raw, "", false), ["a", "d"]);
  assert.deepEqual(paths(raw, "d", false), ["d/b", "d/...", "d/.hidden", "d/..x"]);
  assert.deepEqual(paths(raw, "d", true), ["d/b", "d/e/c", "d/...", "d/.hidden", "d/..x"]);
  assert.deepEqual(paths(raw, "", true).length, 8);
});

Deno.test("checkEntries() drops whatever would leave the directory", () => {
  const escapes = files("", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/..", "a/../b", "a/.", "a/./b");
  for (const recursive of [false, true]) {
    assert.deepEqual(checkEntries(escapes, "", recursive, tidy), { entries: [], ignored: escapes.length });
    const below = (escapes as { path: string }[]).map(({ path }) => ({ path: `d/${path}`, kind: "file" }));
    assert.deepEqual(paths(below, "d", recursive), []);
  }
});

Deno.test("checkEntries() keeps names that cannot be represented, with the reason", () => {
  const { entries } = checkEntries(
    [...files("a\0b", "a\rb", "\ufffd", "\ud800", "ä".repeat(128)), { path: "x", kind: "file", problem: "no\nright" }],
    "",
    false,
    tidy,
  );
  assert.deepEqual(entries.map(({ problem }) => problem), [
    "name holds a control character",
    "name holds a control character",
    "name is not valid UTF-8",
    "name is not valid UTF-8",
    "name is longer than 255 bytes",
    "no right",
  ]);
  assert(entries.every(({ path }) => path.isWellFormed()));
});

Deno.test("checkEntries() keeps only usable fields, and parks a file whose size is nonsense", () => {
  for (const sizeBytes of [-1, 1.5, "7", 2 ** 53, true, {}]) {
    const [entry] = checkEntries([{ path: "a", kind: "file", sizeBytes }], "", false, tidy).entries;
    assert.match(entry?.problem ?? "", /^device reports size /);
    assert.equal(entry?.sizeBytes, undefined);
  }
  const whole = {
    path: "a",
    kind: "file",
    sizeBytes: 0,
    modifiedMs: -1.4,
    etag: "x",
    checksum: { algorithm: "SHA256", value: "AB" },
    future: 1,
  };
  assert.deepEqual(checkEntries([whole], "", false, tidy).entries, [{
    path: "a",
    kind: "file",
    modifiedMs: -1,
    etag: "x",
    checksum: { algorithm: "sha256", value: "ab" },
    sizeBytes: 0,
  }]);
  const odd = { path: "a", kind: "file", sizeBytes: null, modifiedMs: 1e300, etag: 5, checksum: { value: "zz" } };
  assert.deepEqual(checkEntries([odd], "", false, tidy).entries, [{ path: "a", kind: "file" }]);
});

Deno.test("checkEntries() counts what is no entry and refuses what is no list", () => {
  const raw = [null, 1, "a", [], {}, { path: "a" }, { path: "a", kind: "symlink" }, { path: 1, kind: "file" }];
  assert.deepEqual(checkEntries(raw, "", false, tidy), { entries: [], ignored: raw.length });
  for (const value of [undefined, null, {}, "text"]) {
    assert.throws(() => checkEntries(value, "", false, tidy), AnswerError);
  }
});

Deno.test("checkEntry() wants the entry of the asked path", () => {
  assert.deepEqual(checkEntry({ path: "", kind: "directory" }, "", tidy), { path: "", kind: "directory" });
  for (const value of [null, {}, { path: "b", kind: "file" }, { path: "a", kind: "pipe" }]) {
    assert.throws(() => checkEntry(value, "a", tidy), AnswerError);
  }
});

Deno.test("checkReceipt() refuses a receipt that proves nothing", () => {
  assert.deepEqual(checkReceipt({ ...RECEIPT, url: "https://x/\u0007y", more: 1 }, tidy), {
    ...RECEIPT,
    url: "https://x/ y",
  });
  for (
    const change of [
      { path: "../a" },
      { path: "" },
      { path: "/a" },
      { path: 1 },
      { sizeBytes: -1 },
      { sizeBytes: undefined },
      { verified: "sure" },
      { verified: undefined },
    ]
  ) {
    assert.throws(() => checkReceipt({ ...RECEIPT, ...change }, tidy), AnswerError);
  }
});

Deno.test("checkConfirmation() tells a receipt, none, and nonsense apart", () => {
  assert.equal(checkConfirmation({ receipt: null }, tidy), null);
  assert.deepEqual(checkConfirmation({ receipt: RECEIPT }, tidy), RECEIPT);
  for (const value of [null, {}, { receipt: undefined }, { receipt: true }, RECEIPT]) {
    assert.throws(() => checkConfirmation(value, tidy), AnswerError);
  }
});

Deno.test("checkDownloadResult() wants sizes and a fingerprint", () => {
  assert.deepEqual(
    checkDownloadResult({ sizeBytes: 5, fingerprint: { etag: "x", odd: 1 }, checksum: null, note: 7 }, tidy),
    {
      sizeBytes: 5,
      fingerprint: { etag: "x" },
    },
  );
  for (
    const value of [
      null,
      {},
      { sizeBytes: 5 },
      { sizeBytes: "5", fingerprint: {} },
      { sizeBytes: 5, fingerprint: { sizeBytes: -1 } },
    ]
  ) assert.throws(() => checkDownloadResult(value, tidy), AnswerError);
  const noted = (note: string) => checkDownloadResult({ sizeBytes: 5, fingerprint: {}, note }, tidy).note;
  assert.equal(noted("ends in\nthe \u001b[2Jmiddle"), "ends in the middle");
  assert.equal(noted(" \t "), undefined);
  assert.equal(noted("x".repeat(501))?.length, 501, "500 and a sign that there was more");
});

Deno.test("checkInitializeResult() takes true flags, a callsMax between 1 and 64, and a device id without tricks", () => {
  const of = (capabilities: unknown, deviceId?: unknown) =>
    checkInitializeResult({ name: "a", version: "1", deviceId, capabilities }, tidy);
  assert.deepEqual(of(undefined).capabilities, { callsMax: 1 });
  assert.deepEqual(of({ callsMax: 1e9, confirm: true, remove: "yes", future: 1, checksums: ["md5", 5] }).capabilities, {
    callsMax: 64,
    confirm: true,
    checksums: ["md5"],
  });
  assert.equal(of({ callsMax: -3 }).capabilities.callsMax, 1);
  assert.equal(of({ callsMax: 2.9 }).capabilities.callsMax, 2);
  assert.equal(of({ callsAhead: 1e9 }).capabilities.callsAhead, 64);
  assert.equal(of({ callsAhead: -1 }).capabilities.callsAhead, 0);
  assert.equal(of({ callsAhead: "8" }).capabilities.callsAhead, undefined);
  assert.equal(of({ modifiedPrecisionMs: 0.5 }).capabilities.modifiedPrecisionMs, 1);
  assert.equal(of({}, "fs:uuid/1234").deviceId, "fs:uuid/1234");
  for (const id of ["", "a\nb", "x".repeat(257), 7]) assert.equal(of({}, id).deviceId, undefined);
  assert.throws(() => checkInitializeResult(null, tidy), AnswerError);
});

Deno.test("checkState() and checkProgress() leave out what is of a wrong type", () => {
  assert.deepEqual(checkState({ available: "no", held: true, reason: "a\nb", callsMax: 0, more: 1 }, tidy), {
    held: true,
    reason: "a b",
    callsMax: 1,
  });
  assert.deepEqual(checkProgress({ id: 1, doneBytes: 5, waitMs: 1e9, resume: [1] }), {
    doneBytes: 5,
    waitMs: 1_800_000,
    resume: [1],
  });
  assert.deepEqual(checkProgress({ doneBytes: 5, waitMs: -1, resume: "x".repeat(5000) }), { doneBytes: 5 });
  for (const doneBytes of [undefined, -1, 1.5, "5", 1e300]) assert.equal(checkProgress({ doneBytes }), undefined);
});

Deno.test("checkFindings() takes a list of named findings", () => {
  assert.deepEqual(checkFindings([{ name: "a", ok: true }], tidy), [{ name: "a", ok: true, detail: "" }]);
  for (const value of [null, {}, [1], [{ name: "a" }], [{ ok: true }]]) {
    assert.throws(() => checkFindings(value, tidy), AnswerError);
  }
});
