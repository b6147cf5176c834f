import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import { parseConfig } from "./config.ts";
import { checkIsLog, isSearchable, linkInSearch, searchUrl, taggedValues, tagOf } from "./flight_review.ts";

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

Deno.test("linkInSearch() finds the log with the tag, and only that", () => {
  const url = new URL("https://logs.px4.io/upload");
  const row = (tag: string) => [1, '<a href="plot_app?log=0f7f3f4e-9f8e-4a39-8a52-1c2d3e4f5a6b">2026</a>', tag];
  const text = (...rows: unknown[]) => JSON.stringify({ draw: 1, data: rows });
  assert.equal(
    linkInSearch(text(row("other"), row(`x ${tagOf(SHA256)}`)), tagOf(SHA256), url),
    "https://logs.px4.io/plot_app?log=0f7f3f4e-9f8e-4a39-8a52-1c2d3e4f5a6b",
  );
  assert.equal(linkInSearch(text(row("other")), tagOf(SHA256), url), undefined);
  const others = { "<html>log in</html>": "unavailable", "{}": "uncertain", null: "uncertain" };
  for (const [other, code] of Object.entries(others)) {
    assert.throws(
      () => linkInSearch(other, tagOf(SHA256), url),
      (error) => error instanceof DriverError && error.code === code,
    );
  }
  assert.match(
    searchUrl(url, tagOf(SHA256)).href,
    /^https:\/\/logs\.px4\.io\/browse_data_retrieval\?draw=1.*sha256%3Aaaa/,
  );
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
