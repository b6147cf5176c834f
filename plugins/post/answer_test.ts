import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import { type Answer, linkOf, searchRefused } from "./answer.ts";
import { parseConfig } from "./config.ts";

const LOG = "/plot_app?log=0f7f3f4e-9f8e-4a39-8a52-1c2d3e4f5a6b";

function config(args: Record<string, unknown>) {
  return parseConfig({ values: {}, headers: {}, field: "filearg", ...args });
}

const px4 = config({ uploader_url: "https://logs.px4.io/upload" });
const form = config({ uploader_url: "https://base.example/form" });

function answer(status: number, text = "", more: Partial<Answer> = {}): Answer {
  return { status, text, isEarly: false, ...more };
}

function refusal(given: Answer, of = form): DriverError {
  try {
    linkOf(given, of, 0);
  } catch (error) {
    assert.ok(error instanceof DriverError);
    return error;
  }
  throw new Error(`Answer ${given.status} is taken for a success`);
}

Deno.test("linkOf() takes a Flight Review's JSON, whatever type it claims, and its redirect, and makes the link whole", () => {
  const whole = `https://logs.px4.io${LOG}`;
  assert.equal(linkOf(answer(200, JSON.stringify({ url: LOG })), px4), whole);
  assert.equal(linkOf(answer(302, "", { location: LOG }), px4), whole);
});

Deno.test("linkOf() takes nothing of a captive portal for a Flight Review's answer", () => {
  const page = "<html><head><title>Welcome to Airport WiFi</title></head></html>";
  assert.equal(refusal(answer(200, page), px4).code, "unavailable");
  assert.match(refusal(answer(200, page), px4).message, /Welcome to Airport WiFi/);
  assert.equal(refusal(answer(302, "", { location: "http://portal.local/login" }), px4).code, "unavailable");
  assert.equal(refusal(answer(200, '{"url": "http://portal.local/login"}'), px4).code, "unavailable");
  assert.equal(refusal(answer(307, "", { location: LOG }), px4).code, "unavailable");
  assert.equal(refusal(answer(200, JSON.stringify({ url: LOG }), { isEarly: true }), px4).code, "unavailable");
});

Deno.test("linkOf() of another form takes 2xx, finds a link under the usual names, and never a script's", () => {
  assert.equal(linkOf(answer(204), form), "");
  assert.equal(linkOf(answer(201, '{"link": "files/1"}'), form), "https://base.example/files/1");
  assert.equal(linkOf(answer(200, '{"url": "javascript:alert(1)"}'), form), "");
  assert.equal(linkOf(answer(200, "ok"), form), "");
  assert.equal(refusal(answer(302, "", { location: "/done" })).code, "unavailable");
});

Deno.test("linkOf() follows the configured rule of success", () => {
  const strict = config({
    uploader_url: "https://base.example/form",
    success: { status: [201], link: "data.file.href", redirect: false },
  });
  assert.equal(linkOf(answer(201, '{"data": {"file": {"href": "/f/7"}}}'), strict), "https://base.example/f/7");
  assert.equal(refusal(answer(201, '{"data": {}}'), strict).code, "uncertain");
  assert.equal(refusal(answer(201, "<html>log in</html>"), strict).code, "unavailable");
  assert.equal(refusal(answer(200, "{}"), strict).code, "failed");
  const redirecting = config({ uploader_url: "https://base.example/form", success: { redirect: true } });
  assert.equal(linkOf(answer(303, "", { location: "/f/8" }), redirecting), "https://base.example/f/8");
});

Deno.test("linkOf() gives each refusal the code that the contract has for it", () => {
  for (
    const [status, code] of [
      [400, "rejected"],
      [401, "denied"],
      [403, "denied"],
      [404, "unavailable"],
      [411, "unavailable"],
      [413, "rejected"],
      [415, "rejected"],
      [422, "rejected"],
      [429, "unavailable"],
      [500, "failed"],
      [502, "unavailable"],
      [503, "unavailable"],
      [507, "no_space"],
      [511, "unavailable"],
      [522, "unavailable"],
    ] as const
  ) assert.equal(refusal(answer(status)).code, code, String(status));
});

Deno.test("linkOf() takes a gateway's time limit for a lost answer, where all was sent and nobody can be asked", () => {
  const open = { type: "flightreport", public: "true" };
  const askable = config({ uploader_url: "https://logs.px4.io/upload", values: open });
  for (const status of [504, 524]) {
    assert.equal(refusal(answer(status)).code, "uncertain");
    assert.equal(refusal(answer(status), px4).code, "uncertain");
    assert.equal(refusal(answer(status, "", { isEarly: true })).code, "unavailable");
    assert.equal(refusal(answer(status), askable).code, "unavailable", "it is asked for before it is sent again");
  }
});

Deno.test("searchRefused() asks a server again that is not itself just now", () => {
  const codes = {
    302: "unavailable",
    404: "uncertain",
    403: "uncertain",
    429: "unavailable",
    500: "failed",
    502: "unavailable",
    503: "unavailable",
    511: "unavailable",
  };
  for (const [status, code] of Object.entries(codes)) assert.equal(searchRefused(Number(status)).code, code, status);
});

Deno.test("linkOf() hands on the server's words in one line, and its wish to wait", () => {
  const page = "<html><title>400: Failed to parse the file. It is most likely corrupt.</title></html>";
  const error = refusal(answer(400, page), px4);
  assert.equal(error.message, 'Server answers 400: "400: Failed to parse the file. It is most likely corrupt."');
  assert.equal(refusal(answer(503, "a\n\u001b[31mb", { retryAfter: "120" })).details.retryAfterMs, 120_000);
  assert.equal(refusal(answer(503, "a\n\u001b[31mb")).message, 'Server answers 503: "a [31mb"');
  assert.ok(refusal(answer(500, "x".repeat(5000))).message.length < 300);
});
