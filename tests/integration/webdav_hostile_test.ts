// Goal: no answer of a server, of a network before it, or of somebody who claims to be it makes the driver lie, leak the
// login, need much memory or leave its folder.
// Method: the driver in this process against a server whose every answer is scripted, in clear and over TLS.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createHash } from "node:crypto";
import { DriverError, type UploadParams } from "../../lib/driver/mod.ts";
import { WebdavDriver } from "../../plugins/webdav/driver.ts";
import manifest from "../../plugins/webdav/filesync-plugin.json" with { type: "json" };
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { directCall, openDriver } from "../support/direct_call.ts";
import { hasCommand, testNeeding } from "../support/needs.ts";

type Serve = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

interface Asked {
  method: string;
  url: string;
  authorization: string | undefined;
  headers: IncomingMessage["headers"];
}

interface Bed {
  driver: WebdavDriver;
  port: number;
  /** Every request in its order. */
  asked: Asked[];
  /** A file of the spool that holds `bytes`. */
  spool(bytes: Uint8Array): Promise<string>;
}

async function listening(server: ReturnType<typeof createServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

async function withServer(
  serve: Serve,
  run: (bed: Bed) => Promise<void>,
  options: { tls?: Certificates; args?: Record<string, unknown>; role?: "source" | "target" } = {},
): Promise<void> {
  const asked: Asked[] = [];
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const { method = "", url = "", headers } = request;
    asked.push({ method, url, authorization: headers.authorization, headers });
    request.on("error", () => {});
    response.on("error", () => {});
    request.resume();
    request.on("end", () => void serve(request, response));
  };
  const { tls } = options;
  const server = tls === undefined ? createServer(onRequest) : createTlsServer({
    cert: Deno.readTextFileSync(tls.certFile),
    key: Deno.readTextFileSync(tls.keyFile),
  }, onRequest);
  const port = await listening(server as ReturnType<typeof createServer>);
  const spool = await Deno.makeTempDir({ prefix: "filesync-hostile-" });
  const host = `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}/dav`;
  const args = { host, user: "pi", passwd: "secret", ...options.args };
  const opened = await openDriver(new WebdavDriver(), manifest, args, options.role ?? "source");
  let files = 0;
  try {
    await run({
      driver: opened.driver,
      port,
      asked,
      async spool(bytes) {
        const file = `${spool}/${++files}`;
        await Deno.writeFile(file, bytes);
        return file;
      },
    });
  } finally {
    await opened.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await Deno.remove(spool, { recursive: true });
  }
}

async function rejects(promise: Promise<unknown>, code: string, words = /./): Promise<DriverError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof DriverError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return error;
  }
  throw new Error(`Expected ${code}`);
}

async function uploadParams(bed: Bed, path: string, bytes: Uint8Array): Promise<UploadParams> {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { spoolFile: await bed.spool(bytes), path, sizeBytes: bytes.length, sha256, onExisting: "rename" };
}

const HEAD = '<?xml version="1.0"?><d:multistatus xmlns:d="DAV:">';
const TAIL = "</d:multistatus>";
const FOLDER = "<d:resourcetype><d:collection/></d:resourcetype>";

function row(href: string, props: string): string {
  return `<d:response><d:href>${href}</d:href><d:propstat><d:prop>${props}</d:prop><d:status>HTTP/1.1 200 OK` +
    "</d:status></d:propstat></d:response>";
}

function file(href: string, sizeBytes: number, etag = ""): string {
  const tag = etag === "" ? "" : `<d:getetag>${etag.replaceAll('"', "&quot;")}</d:getetag>`;
  return row(href, `<d:resourcetype/><d:getcontentlength>${sizeBytes}</d:getcontentlength>${tag}`);
}

function answer(response: ServerResponse, ...rows: string[]): void {
  response.writeHead(207, { "Content-Type": "application/xml" }).end(HEAD + rows.join("") + TAIL);
}

Deno.test("webdav lists nothing of other hosts and folders, and no step upwards as a way out", () =>
  withServer((_, response) =>
    answer(
      response,
      row("/dav/", FOLDER),
      file("http://other.invalid/dav/same%20name.ulg", 1),
      file("/etc/passwd", 2),
      file("/dav/../../etc/passwd", 3),
      file("/dav/..%2f..%2fetc", 4),
      file("/dav/%2e%2e", 5),
      file("/dav/deeper/than.asked", 6),
      "<d:response><d:href>/dav/gone.ulg</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>",
      row("/dav/sub", FOLDER),
    ), async ({ driver, asked }) => {
    const call = directCall();
    await driver.list({ directory: "" }, call);
    const paths = call.listed.map(({ path }) => path);
    // What is no name at all reaches the host with what is wrong with it, or as what the host refuses.
    assert.deepEqual(paths.filter((path) => !path.includes("..")), ["same name.ulg", "sub"]);
    assert.ok(call.listed.every(({ path, problem }) => !path.includes("/") || problem !== undefined));
    for (const path of ["..", "../x", "a/../../b"]) {
      await rejects(
        driver.download({ path, spoolFile: "/dev/null", offsetBytes: 0, expect: {} }, directCall()),
        "not_found",
      );
    }
    assert.ok(asked.every(({ url }) => url.startsWith("/dav/")));
  }));

Deno.test("webdav lists 10,000 files, each once, in batches that the host can take", () =>
  withServer((_, response) => {
    const rows = Array.from({ length: 10_000 }, (_, n) => file(`/dav/log_${n}.ulg`, n));
    answer(response, row("/dav/", FOLDER), ...rows);
  }, async ({ driver }) => {
    const call = directCall();
    await driver.list({ directory: "" }, call);
    assert.equal(new Set(call.listed.map(({ path }) => path)).size, 10_000);
    assert.ok(Math.max(...call.batches) <= 1000);
    assert.deepEqual(call.listed[9_999], { path: "log_9999.ulg", kind: "file", sizeBytes: 9_999 });
  }));

Deno.test("webdav reads no more of a listing than the host has taken", async () => {
  const pad = `<d:displayname>${"x".repeat(8000)}</d:displayname>`;
  let sentBytes = 0;
  await withServer(async (_, response) => {
    response.writeHead(207);
    response.write(HEAD + row("/dav/", FOLDER));
    // 160 MB, if anybody takes them.
    for (let n = 0; n < 20_000 && !response.destroyed; n++) {
      const text = row(`/dav/log_${n}`, `<d:resourcetype/><d:getcontentlength>1</d:getcontentlength>${pad}`);
      sentBytes += text.length;
      if (!response.write(text)) {
        await new Promise<void>((resolve) => {
          response.once("drain", resolve);
          response.once("close", resolve);
        });
      }
    }
    response.end(TAIL);
  }, async ({ driver }) => {
    const call = directCall();
    let batches = 0;
    call.entries = async () => {
      if (++batches > 1) return;
      // A host that is busy for a moment; one that waits for longer only takes longer to fail.
      for (let turn = 0; turn < 40; turn++) await new Promise((resolve) => setTimeout(resolve, 10));
      assert.ok(sentBytes < 80_000_000, `${sentBytes} bytes were taken ahead`);
      call.abort();
    };
    await rejects(driver.list({ directory: "" }, call), "cancelled");
    assert.equal(batches, 1);
  });
});

Deno.test("webdav keeps to its folder's listing when a batch fails in the middle: a broken one is never complete", () =>
  withServer((_, response) => {
    response.writeHead(207, { "Content-Length": 100_000 });
    response.write(HEAD + row("/dav/", FOLDER) + file("/dav/a", 1), () => response.destroy());
  }, async ({ driver }) => {
    await rejects(driver.list({ directory: "" }, directCall()), "unavailable");
  }));

Deno.test("webdav ends endless XML and entity bombs", async () => {
  const bomb = '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>';
  await withServer((_, response) => void response.writeHead(207).end(bomb + HEAD + TAIL), async ({ driver }) => {
    await rejects(driver.list({ directory: "" }, directCall()), "unavailable", /document type/);
  });
  await withServer((_, response) => {
    response.writeHead(207);
    response.write(HEAD);
    const more = () => {
      while (!response.destroyed && response.write("<d:x>y</d:x>".repeat(1000)));
    };
    response.on("drain", more);
    more();
  }, async ({ driver }) => {
    await rejects(driver.list({ directory: "" }, directCall()), "unavailable", /endless/);
  });
});

/** A network that wants a login first: one page for whatever is asked. */
const portal: Serve = (_, response) => void response.writeHead(200).end("<html><title>Airport WiFi</title></html>");

Deno.test("webdav believes nothing that a captive portal says, to whatever method", async () => {
  await withServer(portal, async (bed) => {
    const { driver } = bed;
    await rejects(driver.list({ directory: "" }, directCall()), "unavailable");
    await rejects(driver.stat({ path: "a" }, directCall()), "unavailable");
    await rejects(driver.upload(await uploadParams(bed, "a", new Uint8Array(9)), directCall()), "unavailable");
    await rejects(driver.confirm(await uploadParams(bed, "a", new Uint8Array(9)), directCall()), "unavailable");
    await rejects(driver.remove({ path: "a", expect: { sizeBytes: 9 } }, directCall()), "unavailable");
  }, { role: "target" });
});

for (const method of ["MOVE", "PUT", "DELETE"]) {
  Deno.test(`webdav believes no captive portal that comes up at ${method}`, async () => {
    const held = new Map<string, number>();
    await withServer((request, response) => {
      const { method: asked = "", url = "" } = request;
      if (asked === method) return portal(request, response);
      if (asked === "PUT") held.set(url, Number(request.headers["content-length"]));
      if (asked === "MOVE") held.clear();
      if (asked !== "PROPFIND") return void response.writeHead(201).end();
      if (url.endsWith("/")) return answer(response, row(url, FOLDER));
      const size = url === "/dav/there" ? 9 : held.get(url);
      if (size === undefined) return void response.writeHead(404).end();
      answer(response, file(url, size));
    }, async (bed) => {
      const call = directCall();
      const run = method === "DELETE"
        ? bed.driver.remove({ path: "there", expect: { sizeBytes: 9 } }, call)
        : bed.driver.upload(await uploadParams(bed, "a", new Uint8Array(9)), call);
      await assert.rejects(run, (error) => error instanceof DriverError && error.code !== "rejected");
    }, { role: "target" });
  });
}

Deno.test("webdav follows redirects with their method, on the same host only, and never with a login elsewhere", async () => {
  const strangers: string[] = [];
  const other = createServer((request, response) => {
    strangers.push(`${request.method} ${request.headers.authorization}`);
    response.end();
  });
  const otherPort = await listening(other);
  try {
    await withServer((request, response) => {
      const { method = "", url = "" } = request;
      if (url === "/dav/" && method === "PROPFIND") {
        return void response.writeHead(301, { Location: "/moved/" }).end();
      }
      if (url.startsWith("/moved/")) return answer(response, row("/moved/", FOLDER), file("/moved/a.ulg", 1));
      response.writeHead(302, { Location: `http://localhost:${otherPort}/` }).end();
    }, async ({ driver, asked }) => {
      const call = directCall();
      await driver.list({ directory: "" }, call);
      assert.deepEqual(call.listed.map(({ path }) => path), ["a.ulg"]);
      assert.deepEqual(asked.map(({ method, url }) => `${method} ${url}`), ["PROPFIND /dav/", "PROPFIND /moved/"]);
      await rejects(driver.stat({ path: "b" }, directCall()), "unavailable", /localhost/);
      assert.deepEqual(strangers, []);
    });
  } finally {
    await new Promise((resolve) => other.close(resolve));
  }
});

Deno.test("webdav ends a circle of redirects", () =>
  withServer((_, response) => void response.writeHead(307, { Location: "/dav/" }).end(), async ({ driver, asked }) => {
    await rejects(driver.list({ directory: "" }, directCall()), "unavailable", /circle/);
    assert.ok(asked.length < 10);
  }));

const BYTES = Uint8Array.from({ length: 300_000 }, (_, at) => at * at % 251);
const HELD_BYTES = 200_000;

for (
  const [words, etag, ifRange, answersWith] of [
    ["a strong ETag", '"v1"', '"v1"', "the range"],
    // Nothing ties the range to the content but what is told before and after.
    ["a weak ETag", 'W/"v1"', undefined, "the range"],
    ["no ETag", "", undefined, "the range"],
    ["an ETag that is outdated by now, answered by the whole", '"v1"', '"v1"', "the whole"],
    ["a server that answers with another range", '"v1"', '"v1"', "another range"],
  ] as const
) {
  Deno.test(`webdav resumes a download with ${words}`, () =>
    withServer((request, response) => {
      if (request.method === "PROPFIND") return answer(response, file("/dav/a", BYTES.length, etag));
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? NaN);
      const last = BYTES.length - 1;
      if (answersWith === "the whole") return void response.writeHead(200).end(BYTES);
      const isIt = answersWith === "the range";
      const range = isIt ? `bytes ${from}-${last}/${BYTES.length}` : `bytes 0-${last}/${BYTES.length}`;
      response.writeHead(206, { "Content-Range": range }).end(isIt ? BYTES.subarray(from) : BYTES);
    }, async (bed) => {
      const spoolFile = await bed.spool(BYTES.subarray(0, HELD_BYTES));
      // A fingerprint has no weakness: a young file of Apache's stays the same file when its ETag turns strong.
      const expect = { sizeBytes: BYTES.length, ...(etag === "" ? {} : { etag: '"v1"' }) };
      const params = { path: "a", spoolFile, offsetBytes: HELD_BYTES, expect };
      assert.equal((await bed.driver.download(params, directCall())).sizeBytes, BYTES.length);
      assert.deepEqual(await Deno.readFile(spoolFile), BYTES);
      const get = bed.asked.find(({ method }) => method === "GET")!;
      assert.match(get.headers.range ?? "", /^bytes=1\d{5}-$/);
      assert.equal(get.headers["if-range"], ifRange);
    }));
}

/** Answers a GET with the range that it asks for. */
function answerRange(request: IncomingMessage, response: ServerResponse, bytes: Uint8Array): void {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  if (from === undefined) return void response.writeHead(200).end(bytes);
  const part = bytes.subarray(Number(from), to === "" ? undefined : Number(to) + 1);
  const range = `bytes ${from}-${Number(from) + part.length - 1}/${bytes.length}`;
  response.writeHead(206, { "Content-Range": range }).end(part);
}

const LARGE = Uint8Array.from({ length: 1_000_000 }, (_, at) => at * at % 251);

Deno.test("webdav asks for a limited download in pieces, so that no more is lost with a driver that is killed", () =>
  withServer((request, response) => {
    if (request.method === "PROPFIND") return answer(response, file("/dav/a", LARGE.length, '"v1"'));
    answerRange(request, response, LARGE);
  }, async ({ driver, spool, asked }) => {
    const expect = { sizeBytes: LARGE.length, etag: '"v1"' };
    const params = { path: "a", spoolFile: await spool(new Uint8Array()), offsetBytes: 0, expect };
    const call = directCall();
    // Each chunk is held up, as by a limit.
    call.throttle = () => new Promise((resolve) => setTimeout(resolve, 20));
    await driver.download({ ...params, maxBytesPerSecond: 1_000_000 }, call);
    assert.deepEqual(await Deno.readFile(params.spoolFile), LARGE);
    const gets = asked.filter(({ method }) => method === "GET");
    let from = 0;
    for (const { headers } of gets) {
      const [, first, last = String(LARGE.length - 1)] = /^bytes=(\d+)-(\d+)?$/.exec(headers.range!)!;
      assert.equal(Number(first), from);
      assert.equal(headers["if-range"], '"v1"');
      from = Number(last) + 1;
    }
    assert.equal(from, LARGE.length);
    assert.equal(/^bytes=0-(\d+)$/.exec(gets[0]!.headers.range!)?.[1], String(192 * 1024 - 1));
    asked.length = 0;
    await driver.download(params, directCall());
    assert.deepEqual(asked.filter(({ method }) => method === "GET").map(({ headers }) => headers.range), [undefined]);
  }));

Deno.test("webdav takes all that a server without ranges gives when it is asked for a piece", () =>
  withServer((request, response) => {
    if (request.method === "PROPFIND") return answer(response, file("/dav/a", LARGE.length));
    response.writeHead(200).end(LARGE);
  }, async ({ driver, spool, asked }) => {
    const params = { path: "a", spoolFile: await spool(new Uint8Array()), offsetBytes: 0, expect: {} };
    await driver.download({ ...params, maxBytesPerSecond: 1_000_000 }, directCall());
    assert.deepEqual(await Deno.readFile(params.spoolFile), LARGE);
    assert.equal(asked.filter(({ method }) => method === "GET").length, 1);
  }));

Deno.test("webdav glues no pieces of two files", async () => {
  const other = LARGE.map((byte) => byte ^ 1);
  for (const secondIs of ["the whole of another", "another range"]) {
    let gets = 0;
    await withServer((request, response) => {
      if (request.method === "PROPFIND") return answer(response, file("/dav/a", LARGE.length, '"v1"'));
      if (++gets === 1) return answerRange(request, response, LARGE);
      if (secondIs === "the whole of another") return void response.writeHead(200).end(other);
      response.writeHead(206, { "Content-Range": `bytes 9-${LARGE.length - 1}/${LARGE.length}` }).end(
        other.subarray(9),
      );
    }, async ({ driver, spool }) => {
      const params = { path: "a", spoolFile: await spool(new Uint8Array()), offsetBytes: 0, expect: {} };
      await rejects(driver.download({ ...params, maxBytesPerSecond: 1e6 }, directCall()), "changed");
      const held = await Deno.readFile(params.spoolFile);
      assert.deepEqual(held, LARGE.subarray(0, held.length));
    });
  }
});

Deno.test("webdav takes a file that changed under a download for changed", async () => {
  let looks = 0;
  await withServer((request, response) => {
    if (request.method === "PROPFIND") {
      return answer(response, file("/dav/a", BYTES.length, looks++ === 0 ? '"v1"' : '"v2"'));
    }
    response.writeHead(200).end(BYTES);
  }, async (bed) => {
    const params = { path: "a", spoolFile: await bed.spool(new Uint8Array()), offsetBytes: 0 };
    await rejects(
      bed.driver.download({ ...params, expect: { sizeBytes: BYTES.length, etag: '"v1"' } }, directCall()),
      "changed",
    );
    await rejects(
      bed.driver.download({ ...params, expect: { sizeBytes: BYTES.length, etag: '"v1"' } }, directCall()),
      "changed",
    );
  });
});

const HAS_OPENSSL = hasCommand("openssl");

async function withCertificates(run: (tls: Certificates, dir: string) => Promise<void>, names?: string): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-tls-" });
  try {
    await run(makeCertificates(dir, names), dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const listing: Serve = (_, response) => answer(response, row("/dav/", FOLDER), file("/dav/a", 1));

testNeeding(
  "openssl",
  "webdav trusts the authority that it is told, and sends nothing to others",
  () =>
    withCertificates(async (tls) => {
      await withServer(listing, async ({ driver, asked }) => {
        await driver.list({ directory: "" }, directCall());
        assert.equal(asked.length, 1);
      }, { tls, args: { ca: tls.caFile } });
      await withServer(listing, async ({ driver, asked }) => {
        const { details } = await rejects(
          driver.list({ directory: "" }, directCall()),
          "denied",
          /certificate|UnknownIssuer/i,
        );
        assert.match(details.hint ?? "", /"ca".*"pin"/s);
        assert.deepEqual(asked, []);
      }, { tls });
    }),
  HAS_OPENSSL,
);

testNeeding(
  "openssl",
  "webdav trusts a pinned certificate whatever its name, and no other",
  () =>
    withCertificates(async (tls) => {
      await withServer(listing, async ({ driver }) => {
        await driver.list({ directory: "" }, directCall());
      }, { tls, args: { pin: tls.sha256 } });
      await withServer(listing, async (bed) => {
        await rejects(bed.driver.list({ directory: "" }, directCall()), "denied", /SHA-256/);
        await rejects(bed.driver.upload(await uploadParams(bed, "a", BYTES), directCall()), "denied", /SHA-256/);
        assert.deepEqual(bed.asked, []);
      }, { tls, args: { pin: "0".repeat(64) }, role: "target" });
    }, "DNS:elsewhere.invalid"),
  HAS_OPENSSL,
);

testNeeding("openssl", "webdav is led out of TLS by no redirect", () =>
  withCertificates(async (tls) => {
    await withServer(listing, async (clear) => {
      const to = { Location: `http://127.0.0.1:${clear.port}/dav/` };
      await withServer((_, response) => void response.writeHead(302, to).end(), async ({ driver }) => {
        await rejects(driver.list({ directory: "" }, directCall()), "unavailable", /sends us to/);
      }, { tls, args: { ca: tls.caFile } });
      assert.deepEqual(clear.asked, []);
    });
  }), HAS_OPENSSL);
