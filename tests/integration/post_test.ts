// Goal: logs on their way to a PX4 Flight Review, through the whole program and everything that such a server and the way
// to it do. Method: the real program against a server on loopback that is as strict as the real one and misbehaves on
// demand.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Ended, filesync, jsonLines, Running } from "../cli/support.ts";
import { makeCertificates } from "../support/certificates.ts";
import { testNeeding } from "../support/needs.ts";
import { FlightReview, type FlightReviewOptions } from "../support/flight_review.ts";

interface Field {
  dir: string;
  server: FlightReview;
  sync(): Promise<Ended>;
}

async function inField(
  run: (field: Field) => Promise<void>,
  given: { args?: Record<string, unknown>; job?: Record<string, unknown>; server?: FlightReviewOptions } = {},
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-post-" });
  const server = await FlightReview.start(given.server);
  try {
    mkdirSync(join(dir, "in"));
    const args = { uploader_url: server.url, preset: "px4", ...given.args };
    const config = {
      devices: { review: { driver: "post", args } },
      jobs: [{
        name: "logs",
        source: { driver: "local", args: { dir: "in" } },
        target: "review",
        finder: { settle: "0s" },
        ...given.job,
      }],
    };
    writeFileSync(join(dir, "config.json"), JSON.stringify(config));
    await run({ dir, server, sync: () => filesync(dir, ["sync", "--once", "--json"]) });
  } finally {
    await server.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

/** A file that begins like a ULog. */
function log(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; at++) bytes[at] = (at * 31 + (at >> 8)) & 0xff;
  bytes.set([0x55, 0x4c, 0x6f, 0x67, 0x01, 0x12, 0x35, 0x01].slice(0, sizeBytes));
  return bytes;
}

function put(field: Field, name: string, bytes: Uint8Array): void {
  writeFileSync(join(field.dir, "in", name), bytes);
}

function eventsOf(ended: Ended, name: string): Record<string, unknown>[] {
  return jsonLines(ended.stdout).filter(({ event }) => event === name);
}

Deno.test("post delivers a log to a Flight Review, privately, tagged, with its length, and keeps the link", () =>
  inField(async (field) => {
    const bytes = log(700_000);
    put(field, "12_00_00.ulg", bytes);
    const ended = await field.sync();
    assert.equal(ended.code, 0, ended.stderr);
    const { logs, lastHeaders } = field.server;
    assert.equal(logs.length, 1);
    const [stored] = logs;
    assert.deepEqual(stored!.bytes, bytes);
    assert.equal(stored!.fileName, "12_00_00.ulg");
    assert.match(stored!.fields["description"]!, /^sha256:[0-9a-f]{64}$/);
    assert.deepEqual([stored!.fields["type"], stored!.isPublic], ["personal", false]);
    assert.equal(lastHeaders["transfer-encoding"], undefined);
    const link = `http://127.0.0.1:${field.server.port}/plot_app?log=${stored!.id}`;
    const [delivered] = eventsOf(ended, "delivered");
    const receipt = delivered!["receipt"] as Record<string, unknown>;
    assert.deepEqual([receipt["url"], receipt["verified"]], [link, "accepted"]);
    const why = await filesync(field.dir, ["why", "12_00_00.ulg"]);
    assert.ok(why.stdout.includes(link), why.stdout);
    assert.equal((await field.sync()).code, 0);
    assert.equal(field.server.uploads, 1, "A delivered log is never sent again");
  }));

Deno.test("post takes the redirect of an old Flight Review for its answer and does not follow it", () =>
  inField(async (field) => {
    put(field, "a.ulg", log(1000));
    const ended = await field.sync();
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(JSON.stringify(eventsOf(ended, "delivered")), /plot_app\?log=/);
  }, { server: { isOld: true } }));

Deno.test("post parks what is no ULog without sending it, and delivers the rest", () =>
  inField(async (field) => {
    put(field, "a.ulg", log(1000));
    put(field, "b.bin", new Uint8Array(1000));
    const ended = await field.sync();
    assert.equal(ended.code, 4, ended.stderr);
    assert.equal(field.server.uploads, 1);
    const [parked] = eventsOf(ended, "parked");
    assert.match(String(parked!["reason"]), /"b\.bin" is no ULog/);
  }));

Deno.test("post leaves a private log whose answer was lost uncertain, and never sends it twice by itself", () =>
  inField(async (field) => {
    put(field, "a.ulg", log(1000));
    field.server.next.push("lose answer");
    const ended = await field.sync();
    assert.equal(ended.code, 4, ended.stderr);
    assert.equal(eventsOf(ended, "uncertain").length, 1, ended.stdout);
    assert.equal((await field.sync()).code, 4);
    assert.equal(field.server.logs.length, 1);
  }));

Deno.test("post asks a Flight Review for a public log whose answer was lost, and finds it", () =>
  inField(async (field) => {
    put(field, "a.ulg", log(1000));
    field.server.next.push("lose answer");
    const ended = await field.sync();
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(field.server.logs.length, 1);
    assert.ok(field.server.searches > 0);
    assert.match(JSON.stringify(eventsOf(ended, "delivered")), new RegExp(field.server.logs[0]!.id));
  }, { args: { values: { type: "flightreport", public: true } } }));

Deno.test("post waits for a log that the server still reads before it is listed, and does not send it twice", () =>
  inField(async (field) => {
    put(field, "a.ulg", log(1000));
    field.server.next.push("lose answer");
    field.server.unlistedSearches = 2;
    const ended = await field.sync();
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(field.server.uploads, 1);
    assert.match(JSON.stringify(eventsOf(ended, "delivered")), new RegExp(field.server.logs[0]!.id));
  }, { args: { values: { type: "flightreport", public: true } } }));

Deno.test("post sends again when the server hung up before it had the log", () =>
  inField(async (field) => {
    put(field, "a.ulg", log(5_000_000));
    field.server.next.push("hang up");
    const ended = await field.sync();
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(field.server.logs.length, 1);
  }));

Deno.test("post waits as long as a busy server wants, and counts no attempt", () =>
  inField(async (field) => {
    put(field, "a.ulg", log(1000));
    field.server.next.push({ status: 503, headers: { "Retry-After": "2" } }, { status: 502 });
    const ended = await field.sync();
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(field.server.uploads, 3);
    assert.equal(field.server.logs.length, 1);
  }));

Deno.test("post takes a captive portal's page for no success", () =>
  inField(async (field) => {
    put(field, "a.ulg", log(1000));
    const portal = { status: 200, body: "<html><title>Airport WiFi</title></html>", early: true };
    field.server.next.push(...Array.from({ length: 20 }, () => portal));
    const running = new Running(field.dir, ["sync", "--json"]);
    await running.stdoutMatches(/"unavailable".*Airport WiFi/);
    running.child.kill("SIGTERM");
    const ended = await running.ended();
    assert.equal(ended.code, 143, ended.stderr);
    assert.equal(eventsOf(ended, "delivered").length, 0);
    assert.equal(field.server.logs.length, 0);
  }));

Deno.test("post parks a log that the server calls corrupt, with its words", () =>
  inField(async (field) => {
    put(field, "a.ulg", log(1000));
    put(field, "b.ulg", log(1001));
    field.server.next.push({ status: 400, body: "<html><title>400: Failed to parse the file.</title></html>" });
    const ended = await field.sync();
    assert.equal(ended.code, 4, ended.stderr);
    assert.match(String(eventsOf(ended, "parked")[0]!["reason"]), /Failed to parse the file/);
    assert.equal(field.server.logs.length, 1);
  }));

Deno.test("post holds the target of a server that wants a key, and never shows the key it has", () =>
  inField(async (field) => {
    put(field, "a.ulg", log(1000));
    const denied = await field.sync();
    assert.equal(denied.code, 6, denied.stderr);
    assert.doesNotMatch(denied.stdout + denied.stderr, /wrong-key/);
    assert.equal(field.server.uploads, 1);
  }, { server: { authorization: "Bearer right-key" }, args: { headers: { Authorization: "Bearer wrong-key" } } }));

Deno.test("post parks a log over the limit without sending it", () =>
  inField(async (field) => {
    put(field, "large.ulg", log(3_000_000));
    put(field, "small.ulg", log(1000));
    const ended = await field.sync();
    assert.equal(ended.code, 4, ended.stderr);
    assert.equal(field.server.uploads, 1);
    assert.match(JSON.stringify(eventsOf(ended, "parked")), /at most 2000000/);
  }, { args: { max_size: "2MB" } }));

Deno.test("post parks a log over a Flight Review's own limit when the server hangs up on it, and names the limit", () =>
  inField(async (field) => {
    const path = join(field.dir, "in", "long.ulg");
    writeFileSync(path, log(1000));
    // A hole: it costs no room.
    Deno.truncateSync(path, 310 * 1024 * 1024);
    field.server.next.push({ cutAtByte: 1_000_000, how: "reset" });
    const ended = await field.sync();
    assert.equal(ended.code, 4, ended.stderr);
    assert.equal(field.server.uploads, 1);
    const [parked] = eventsOf(ended, "parked");
    assert.deepEqual([
      parked!["code"],
      /hangs up on .* a Flight Review takes 313524224/.test(String(parked!["reason"])),
    ], [
      "rejected",
      true,
    ], JSON.stringify(parked));
  }, { args: { max_size: "400MiB" } }));

Deno.test("doctor says of a Flight Review what can be said without sending a log", () =>
  inField(async (field) => {
    const ended = await filesync(field.dir, ["doctor", "--json"]);
    assert.equal(ended.code, 0, ended.stdout + ended.stderr);
    assert.match(ended.stdout, /Flight Review/);
    assert.equal(field.server.uploads, 0);
  }));

testNeeding(
  "openssl",
  "post trusts a server by the authority in ca, and holds one that nobody vouches for",
  async () => {
    const dir = await Deno.makeTempDir({ prefix: "filesync-post-tls-" });
    try {
      const { keyFile, certFile, caFile } = makeCertificates(dir);
      const tls = { key: readFileSync(keyFile, "utf8"), cert: readFileSync(certFile, "utf8") };
      const answerLost = { type: "flightreport", public: true };
      await inField(async (field) => {
        put(field, "a.ulg", log(300_000));
        field.server.next.push("lose answer");
        const ended = await field.sync();
        assert.equal(ended.code, 0, ended.stderr);
        assert.equal(field.server.logs.length, 1);
      }, { server: { tls }, args: { ca: caFile, values: answerLost } });
      await inField(async (field) => {
        put(field, "a.ulg", log(1000));
        const ended = await field.sync();
        assert.equal(ended.code, 6, ended.stdout + ended.stderr);
        assert.match(ended.stdout + ended.stderr, /"ca"/);
        assert.equal(field.server.uploads, 0);
      }, { server: { tls } });
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);
