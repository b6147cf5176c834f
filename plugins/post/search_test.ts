// Goal: whether a log landed is told right, whatever the server's search says and however late it lists it.
// Method: answers of the real server (PX4/flight_review 26c8707) read as they are, and a server that is as strict.
import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import { directCall } from "../../tests/support/direct_call.ts";
import { FlightReview, type StoredLog } from "../../tests/support/flight_review.ts";
import { parseConfig } from "./config.ts";
import { tagOf } from "./flight_review.ts";
import { findLog, readSearch, searchUrl } from "./search.ts";

const SHA256 = "4b43a23a7b7f649004facba5c7835d800bbc8cc13e71cbc96678d971451e3d7e";
const LINK = "plot_app?log=c96c3963-32e8-47a9-9409-b5aa40108740";
const URL_OF_FORM = new URL("https://logs.px4.io/upload");
/** A row as the server gave it for a log of pyulog's. */
const ROW =
  `[1, "<a href=\\"${LINK}\\">2026-11-30</a>", "\\n <div class=\\"h-100\\">No Image Preview</div>", "Quadrotor", 10017, "PX4_SITL", "v1.15.0 (cb09dd)", "31s", "2024-03-18 14:49", "Takeoff, Loiter, Return to Land"]`;

Deno.test("readSearch() reads what the server answers, which does not show what it was searched by", () => {
  const read = (text: string) => readSearch(text, tagOf(SHA256), URL_OF_FORM);
  assert.deepEqual(read(`{"draw": 1, "data": [${ROW}], "recordsTotal": 2, "recordsFiltered": 1}`), {
    count: 1,
    isNamed: false,
    link: `https://logs.px4.io/${LINK}`,
  });
  assert.deepEqual(read('{"draw": 1, "data": [], "recordsTotal": 2, "recordsFiltered": 0}'), {
    count: 0,
    isNamed: false,
  });
  assert.deepEqual(read('{"draw": 1, "data": [], "recordsTotal": 2, "recordsFiltered": 1}'), {
    count: 1,
    isNamed: false,
  }, "It cannot read the log for its list");
  const other = ROW.replace("c96c3963", "00000000");
  assert.equal(
    read(`{"data": [${other}, ${ROW.replace("PX4_SITL", `Hexa ${tagOf(SHA256)}`)}]}`).link,
    `https://logs.px4.io/${LINK}`,
    "An answer that shows the tag tells which",
  );
  for (
    const [text, code] of Object.entries({ "<html>log in</html>": "unavailable", "{}": "uncertain", null: "uncertain" })
  ) {
    assert.throws(() => read(text), (error) => error instanceof DriverError && error.code === code);
  }
});

Deno.test("searchUrl() asks beside the form for the newest with the tag", () => {
  assert.match(
    searchUrl(URL_OF_FORM, tagOf(SHA256)).href,
    /^https:\/\/logs\.px4\.io\/browse_data_retrieval\?draw=1.*sha256%3A4b43/,
  );
});

interface Bed {
  server: FlightReview;
  /** Waits that were asked for, milliseconds. */
  waits: number[];
  find(): Promise<string | undefined>;
}

async function withLogs(descriptions: string[], run: (bed: Bed) => Promise<void>): Promise<void> {
  const server = await FlightReview.start();
  const log = (description: string): StoredLog => ({
    id: crypto.randomUUID(),
    fileName: "a.ulg",
    bytes: new Uint8Array(),
    fields: { description },
    isPublic: true,
  });
  server.logs.push(...descriptions.map(log));
  const args = { uploader_url: server.url, preset: "px4", values: {}, headers: {}, field: "filearg" };
  const waits: number[] = [];
  const wait = (ms: number) => {
    waits.push(ms);
    return Promise.resolve();
  };
  const find = () => findLog(parseConfig(args), { sha256: SHA256, sizeBytes: 10_000_000 }, directCall(), wait);
  try {
    await run({ server, waits, find });
  } finally {
    await server.stop();
  }
}

Deno.test("findLog() finds the log by its tag among others", () =>
  withLogs([`Hexa ${tagOf(SHA256)}`, "another"], async ({ server, waits, find }) => {
    assert.match((await find())!, new RegExp(server.logs[0]!.id));
    assert.deepEqual([server.searches, waits.length], [2, 0], "Once for it, and once for what nobody has");
  }));

Deno.test("findLog() looks again for a log that the server still reads", () =>
  withLogs([tagOf(SHA256)], async ({ server, waits, find }) => {
    server.unlistedSearches = 3;
    assert.match((await find())!, new RegExp(server.logs[0]!.id));
    assert.deepEqual(waits, [500, 1000, 2000]);
  }));

Deno.test("findLog() gives up after the time in which the server would have read the log, and no later", () =>
  withLogs(["another"], async ({ server, waits, find }) => {
    assert.equal(await find(), undefined);
    const waitedMs = waits.reduce((sum, ms) => sum + ms, 0);
    assert.equal(waitedMs, 13_000);
    assert.ok(server.searches < 10, String(server.searches));
  }));

Deno.test("findLog() believes no search that finds everything", () =>
  withLogs(["another"], async ({ server, find }) => {
    server.listsEverything = true;
    await assert.rejects(find(), (error) => error instanceof DriverError && error.code === "uncertain");
  }));
