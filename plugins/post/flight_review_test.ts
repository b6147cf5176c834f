import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import { parseConfig } from "./config.ts";
import { checkIsLog, isSearchable, taggedValues, tagOf } from "./flight_review.ts";

const SHA256 = "a".repeat(64);

function valuesOf(values: Record<string, unknown>, url = "https://logs.px4.io/upload"): Map<string, string> {
  return parseConfig({ uploader_url: url, values, headers: {}, field: "filearg" }).values;
}

Deno.test("Flight Review gets the fields that it needs, private unless told otherwise", () => {
  assert.deepEqual(Object.fromEntries(valuesOf({})), {
    description: "",
    email: "",
    type: "personal",
    redirect: "false",
  });
  const own = valuesOf({ email: "a@b.c", type: "flightreport", public: true, windSpeed: 5 });
  assert.deepEqual([own.get("email"), own.get("public"), own.get("windSpeed")], ["a@b.c", "true", "5"]);
});

Deno.test("A Flight Review is known by its host or the preset", () => {
  const isOne = (args: Record<string, unknown>) =>
    parseConfig({ values: {}, headers: {}, field: "filearg", ...args }).isFlightReview;
  assert.equal(isOne({ uploader_url: "https://logs.px4.io/upload" }), true);
  assert.equal(isOne({ uploader_url: "https://logs.px4.io/upload", preset: "none" }), false);
  assert.equal(isOne({ uploader_url: "https://fleet.example/upload" }), false);
  assert.equal(isOne({ uploader_url: "https://fleet.example/upload", preset: "px4" }), true);
  assert.equal(isOne({ uploader_url: "https://logs.px4.io.evil.example/upload" }), false);
});

Deno.test("taggedValues() keeps the description and adds the mark", () => {
  assert.equal(taggedValues(valuesOf({}), SHA256).get("description"), tagOf(SHA256));
  assert.equal(taggedValues(valuesOf({ description: "Hexa" }), SHA256).get("description"), `Hexa ${tagOf(SHA256)}`);
});

Deno.test("isSearchable() only for public flight reports, as the server lists no others", () => {
  assert.equal(isSearchable(valuesOf({})), false);
  assert.equal(isSearchable(valuesOf({ public: true })), false);
  assert.equal(isSearchable(valuesOf({ public: true, type: "flightreport" })), true);
  assert.equal(isSearchable(valuesOf({ public: true, type: "flightreport", source: "CI" })), false);
});

Deno.test("checkIsLog() refuses what the server would refuse, before it is sent", () => {
  const magic = new Uint8Array([0x55, 0x4c, 0x6f, 0x67, 0x01, 0x12, 0x35, 0x01]);
  checkIsLog("a.ulg", magic);
  checkIsLog("a.ulge", new Uint8Array(16));
  for (const head of [new Uint8Array(16), magic.subarray(0, 5)]) {
    assert.throws(
      () => checkIsLog("a.ulg", head),
      (error) => error instanceof DriverError && error.code === "rejected",
    );
  }
});
