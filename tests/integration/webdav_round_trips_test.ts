// Goal: what makes small files fast (kept connections, a look that travels behind its upload) never sends a file twice and
// never believes a look that came too early.
// Method: the driver in this process against a server of a few lines that counts connections and requests, and errs on
// demand.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { UploadParams } from "../../lib/driver/mod.ts";
import { WebdavDriver } from "../../plugins/webdav/driver.ts";
import manifest from "../../plugins/webdav/filesync-plugin.json" with { type: "json" };
import { directCall, openDriver } from "../support/direct_call.ts";

const SIZE_BYTES = 50 * 1024;

/** What the server does otherwise with a request that it has carried out; `true`: it has answered. */
type Err = (method: string, path: string, request: IncomingMessage, response: ServerResponse) => boolean;

interface Bed {
  driver: WebdavDriver;
  files: Map<string, Uint8Array>;
  /** Method and path of each request. */
  asked: string[];
  connectionsCount(): number;
  /** Parameters of an upload of `path`, with bytes of its own. */
  params(path: string): Promise<UploadParams>;
  err: Err;
}

async function withServer(run: (bed: Bed) => Promise<void>): Promise<void> {
  const files = new Map<string, Uint8Array>();
  const asked: string[] = [];
  let connectionsCount = 0;
  const server = createServer((request, response) => {
    const { method = "" } = request;
    const path = decodeURIComponent(request.url!.slice("/dav/".length));
    const chunks: Uint8Array[] = [];
    request.on("error", () => {});
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    request.on("end", () => {
      asked.push(`${method} ${path}`);
      const { status, body } = answerTo(files, method, path, request, new Uint8Array(concat(chunks)));
      if (!bed.err(method, path, request, response)) response.writeHead(status).end(body);
    });
  });
  server.on("connection", (socket: Socket) => {
    connectionsCount++;
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const spool = await Deno.makeTempDir({ prefix: "filesync-trips-" });
  const host = `http://127.0.0.1:${(server.address() as AddressInfo).port}/dav`;
  const opened = await openDriver(new WebdavDriver(), manifest, { host, user: "pi", passwd: "secret" }, "target");
  const bed: Bed = {
    driver: opened.driver,
    files,
    asked,
    connectionsCount: () => connectionsCount,
    async params(path) {
      const bytes = new Uint8Array(SIZE_BYTES).fill(path.length + path.charCodeAt(0));
      const spoolFile = `${spool}/${path}`;
      await Deno.writeFile(spoolFile, bytes);
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      return { spoolFile, path, sizeBytes: bytes.length, sha256, onExisting: "rename" };
    },
    err: () => false,
  };
  try {
    await run(bed);
  } finally {
    await opened.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await Deno.remove(spool, { recursive: true });
  }
}

function answerTo(
  files: Map<string, Uint8Array>,
  method: string,
  path: string,
  { headers }: IncomingMessage,
  body: Uint8Array,
): { status: number; body?: string | Uint8Array } {
  const file = files.get(path);
  switch (method) {
    case "PUT":
      files.set(path, body);
      return { status: 201 };
    case "GET":
      return file === undefined ? { status: 404 } : { status: 200, body: file };
    case "DELETE":
      return { status: files.delete(path) ? 204 : 404 };
    case "MOVE": {
      const to = decodeURIComponent(new URL(String(headers["destination"])).pathname.slice("/dav/".length));
      if (file === undefined) return { status: 404 };
      if (files.has(to)) return { status: 412 };
      files.set(to, file);
      files.delete(path);
      return { status: 201 };
    }
    case "PROPFIND": {
      if (path !== "" && file === undefined) return { status: 404 };
      const kind = path === "" ? "<d:collection/>" : "";
      const size = file === undefined ? "" : `<d:getcontentlength>${file.length}</d:getcontentlength>`;
      return {
        status: 207,
        body:
          `<d:multistatus xmlns:d="DAV:"><d:response><d:href>/dav/${encodeURIComponent(path)}</d:href><d:propstat>` +
          `<d:prop><d:resourcetype>${kind}</d:resourcetype>${size}</d:prop><d:status>HTTP/1.1 200 OK</d:status>` +
          "</d:propstat></d:response></d:multistatus>",
      };
    }
    default:
      return { status: 405 };
  }
}

function concat(chunks: Uint8Array[]): ArrayBuffer {
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all.buffer;
}

function count(asked: string[], method: string): number {
  return asked.filter((line) => line.startsWith(`${method} `)).length;
}

Deno.test("webdav uploads small files over connections that it keeps, each with one request of a kind", () =>
  withServer(async ({ driver, params, asked, files, connectionsCount }) => {
    for (let n = 0; n < 20; n++) await driver.upload(await params(`log ${n}`), directCall());
    assert.equal(files.size, 20);
    // A call asks two things at once.
    assert.ok(connectionsCount() <= 4, `${connectionsCount()} connections`);
    assert.deepEqual([count(asked, "PUT"), count(asked, "MOVE")], [20, 20]);
    // The root once; then each temporary and each final name.
    assert.equal(count(asked, "PROPFIND"), 41);
  }));

Deno.test("webdav goes on when a server ends each connection after its answer", () =>
  withServer(async (bed) => {
    bed.err = (_method, _path, _request, response) => {
      response.setHeader("Connection", "close");
      return false;
    };
    for (let n = 0; n < 3; n++) await bed.driver.upload(await bed.params(`log ${n}`), directCall());
    assert.deepEqual([...bed.files.keys()], ["log 0", "log 1", "log 2"]);
    assert.equal(count(bed.asked, "PUT"), 3);
  }));

Deno.test("webdav looks again when a server looked before it was done, and sends nothing twice", () =>
  withServer(async (bed) => {
    const seen = new Set<string>();
    bed.err = (method, path, _request, response) => {
      if (method !== "PROPFIND" || !path.endsWith(".part") || seen.has(path)) return false;
      seen.add(path);
      response.writeHead(404).end();
      return true;
    };
    const receipt = await bed.driver.upload(await bed.params("a"), directCall());
    assert.deepEqual([receipt.verified, receipt.sizeBytes], ["size", SIZE_BYTES]);
    assert.deepEqual([...bed.files.keys()], ["a"]);
    assert.equal(count(bed.asked, "PUT"), 1);
    assert.equal(seen.size, 1);
  }));

for (const lost of ["PUT", "MOVE"]) {
  Deno.test(`webdav sends no ${lost} again whose answer was lost on a kept connection: it looks first`, () =>
    withServer(async (bed) => {
      await bed.driver.upload(await bed.params("a"), directCall());
      bed.asked.length = 0;
      let losses = 0;
      bed.err = (method, _path, request) => {
        if (method !== lost || losses > 0) return false;
        losses++;
        request.socket.destroy();
        return true;
      };
      await bed.driver.upload(await bed.params("b"), directCall());
      assert.equal(losses, 1);
      assert.deepEqual([...bed.files.keys()], ["a", "b"]);
      assert.deepEqual([count(bed.asked, "PUT"), count(bed.asked, "MOVE")], [1, 1]);
    }));
}
