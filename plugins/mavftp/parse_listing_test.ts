import assert from "node:assert/strict";
import { parseListing } from "./parse_listing.ts";

const latin = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

Deno.test("parseListing() reads a page of PX4, and counts what it skips", () => {
  const page = parseListing(latin("S\0S\0D2026-11-21\0Fbootlog.txt\t1032\0"), false);
  assert.equal(page.recordCount, 4);
  assert.equal(page.skippedCount, 2);
  assert.deepEqual(page.names, [
    { kind: "directory", name: "2026-11-21" },
    { kind: "file", name: "bootlog.txt", sizeBytes: 1032 },
  ]);
});

Deno.test("parseListing() does not count the second NUL of ArduPilot before 2026", () => {
  const page = parseListing(latin("F00000001.BIN\t300\0\0FLASTLOG.TXT\t3\0\0"), false);
  assert.equal(page.recordCount, 2);
  assert.deepEqual(page.names.map(({ name }) => name), ["00000001.BIN", "LASTLOG.TXT"]);
});

Deno.test("parseListing() reads times; 0 is not known", () => {
  const page = parseListing(latin("Fa\t5\t1763716800\0Fb\t6\t0\0Dlog\t0\t1763716800\0"), true);
  assert.deepEqual(page.names, [
    { kind: "file", name: "a", sizeBytes: 5, modifiedSeconds: 1763716800 },
    { kind: "file", name: "b", sizeBytes: 6 },
    { kind: "directory", name: "log", modifiedSeconds: 1763716800 },
  ]);
});

Deno.test("parseListing() passes over what it does not understand", () => {
  const page = parseListing(latin("Xwhat\0F\0Fnosize\0Fodd\tmany\0Fgood\t1\0D.\0D..\0"), false);
  assert.equal(page.recordCount, 7);
  assert.deepEqual(page.names.map(({ name }) => name), ["good"]);
});

Deno.test("parseListing() tells names that cannot be used", () => {
  const page = parseListing(latin("Fa\xffb\t1\0Fa\tb\t1\0Fa/b\t1\0F\xc3\xbc.ulg\t1\0"), false);
  assert.deepEqual(page.names.map(({ problem }) => problem !== undefined), [true, true, true, false]);
  assert.equal(page.names[3]!.name, "ü.ulg");
});

Deno.test("parseListing() of an empty reply has no records", () => {
  assert.equal(parseListing(new Uint8Array(0), false).recordCount, 0);
});
