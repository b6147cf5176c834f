import assert from "node:assert/strict";
import { fingerprintOf, sameFingerprint } from "./fingerprint.ts";

Deno.test("sameFingerprint() compares only what both sides know", () => {
  assert.ok(sameFingerprint({}, {}));
  assert.ok(sameFingerprint({ sizeBytes: 1 }, { modifiedMs: 5 }));
  assert.ok(sameFingerprint({ sizeBytes: 1, etag: "a" }, { sizeBytes: 1 }));
  assert.ok(!sameFingerprint({ sizeBytes: 1 }, { sizeBytes: 2 }));
  assert.ok(!sameFingerprint({ sizeBytes: 0 }, { sizeBytes: 1 }), "zero is known");
  assert.ok(!sameFingerprint({ sizeBytes: 1, etag: "a" }, { sizeBytes: 1, etag: "b" }));
});

Deno.test("sameFingerprint() compares times at the coarser precision", () => {
  assert.ok(sameFingerprint({ modifiedMs: 1000 }, { modifiedMs: 1000 }));
  assert.ok(!sameFingerprint({ modifiedMs: 1000 }, { modifiedMs: 1001 }));
  assert.ok(sameFingerprint({ modifiedMs: 1000 }, { modifiedMs: 2999 }, 2000), "FAT");
  assert.ok(!sameFingerprint({ modifiedMs: 1000 }, { modifiedMs: 3000 }, 2000));
  assert.ok(sameFingerprint({ modifiedMs: 0 }, { modifiedMs: 59_999 }, 60_000), "LIST of an FTP server");
});

Deno.test("sameFingerprint() compares checksums of one algorithm only", () => {
  const md5 = { algorithm: "md5", value: "00" };
  assert.ok(!sameFingerprint({ checksum: md5 }, { checksum: { algorithm: "md5", value: "01" } }));
  assert.ok(sameFingerprint({ checksum: md5 }, { checksum: { algorithm: "sha1", value: "01" } }));
});

Deno.test("fingerprintOf() leaves everything else and what is unknown behind", () => {
  const entry = { path: "a", kind: "file" as const, sizeBytes: 0, modifiedMs: 5 };
  assert.deepEqual(Object.keys(fingerprintOf(entry)), ["sizeBytes", "modifiedMs"]);
  const checksum = { algorithm: "md5", value: "00" };
  assert.deepEqual(fingerprintOf({ etag: "x", checksum }), { etag: "x", checksum });
});
