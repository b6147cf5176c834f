/** The example for index pages (plugins/examples/http-index) against pages as cameras and captive portals have them. */
import assert from "node:assert/strict";
import type { Entry } from "../../lib/driver/mod.ts";
import { HostedDevice } from "../../lib/host/mod.ts";
import { pluginIn } from "../conformance/suite.ts";
import { failureOf } from "../faults/bad_drivers/open.ts";
import { testNeeding } from "../support/needs.ts";

const folder = new URL("../../plugins/examples/http-index", import.meta.url).pathname;

/** A camera of one's own making: what it answers to each request. */
async function withCamera(
  answer: (request: Request, url: URL) => Response | undefined,
  work: (device: HostedDevice, asked: string[], dir: string) => Promise<void>,
  path = "/DCIM/",
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-camera-" });
  const asked: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const url = new URL(request.url);
    asked.push(`${request.method} ${url.pathname}${url.search}`);
    return answer(request, url) ?? new Response("no", { status: 404 });
  });
  try {
    await using device = new HostedDevice({
      plugin: pluginIn(folder),
      name: "camera",
      role: "source",
      args: { url: `http://127.0.0.1:${server.addr.port}${path}` },
      spoolDir: dir,
      stateDir: `${dir}/state`,
    });
    await work(device, asked, dir);
  } finally {
    await server.shutdown();
    await Deno.remove(dir, { recursive: true });
  }
}

function page(text: string): Response {
  return new Response(text, { headers: { "content-type": "text/html" } });
}

async function listed(device: HostedDevice): Promise<Entry[]> {
  const entries: Entry[] = [];
  await device.list({ directory: "", recursive: true }, (batch) => void entries.push(...batch));
  return entries.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** The page of a dashcam with a Novatek chip, shortened: whole links, each file beside a link that deletes it. */
const DASHCAM = `<html><head><title>1</title></head><body>
<a href="/"><b>Up</b></a><hr><table>
<tr><td><a href="/CARDV/MOVIE/2024_0501_120000_001.MP4"><b>2024_0501_120000_001.MP4</b></a><td> 68.15 MB<td> 2024/05/01 12:01:00
<td><a href="/CARDV/MOVIE/2024_0501_120000_001.MP4?del=1"><b>Remove</b></a></tr>
<tr><td><A HREF=/CARDV/MOVIE/RO><b>RO</b></A><td>folder
<td><a href="/CARDV/MOVIE/RO?del=1"><b>Remove</b></a></tr>
</table><p><input type=file name="fileupload1"></body></html>`;

testNeeding(
  "python3",
  "http-index on a dashcam: whole links, no HEAD, and the links that delete are left alone",
  async () => {
    const film = new Uint8Array(300_000).map((_, at) => at % 251);
    const date = new Date(1714564860_000).toUTCString();
    await withCamera((request, { pathname }) => {
      if (request.method !== "GET") return new Response(null, { status: 501 });
      if (pathname === "/CARDV/MOVIE/") return page(DASHCAM);
      if (pathname === "/CARDV/MOVIE/RO/") return page('<html><a href="/CARDV/MOVIE/">Up</a></html>');
      if (pathname === "/CARDV/MOVIE/RO") {
        return new Response(null, { status: 301, headers: { location: `${pathname}/` } });
      }
      if (!pathname.endsWith(".MP4")) {
        return undefined;
      }
      const from = Number(/^bytes=(\d+)-/.exec(request.headers.get("range") ?? "")?.[1] ?? -1);
      const headers: Record<string, string> = { "last-modified": date };
      if (from >= 0) headers["content-range"] = `bytes ${from}-${film.length - 1}/${film.length}`;
      return new Response(film.slice(Math.max(0, from)), { status: from >= 0 ? 206 : 200, headers });
    }, async (device, asked, dir) => {
      assert.deepEqual(await listed(device), [
        { path: "2024_0501_120000_001.MP4", kind: "file", sizeBytes: 300_000, modifiedMs: 1714564860_000 },
        { path: "RO", kind: "directory" },
      ]);
      const spoolFile = `${dir}/film`;
      await Deno.writeFile(spoolFile, film.subarray(0, 200_000));
      const expect = { sizeBytes: 300_000, modifiedMs: 1714564860_000 };
      await device.download({ path: "2024_0501_120000_001.MP4", spoolFile, offsetBytes: 200_000, expect });
      assert.deepEqual(await Deno.readFile(spoolFile), film);
      assert.deepEqual(asked.filter((line) => line.includes("?")), [], "An action was followed");
    }, "/CARDV/MOVIE");
  },
);

testNeeding(
  "python3",
  "http-index asks for an old file once, as long as its line in the index is the same",
  async () => {
    let size = "1.2K";
    await withCamera((request, { pathname }) => {
      if (pathname === "/DCIM/") {
        return page(
          `<h1>Index of /DCIM</h1><a href="a.jpg">a.jpg</a> 2024-05-01 12:01 ${size}\n<a href="b.jpg">b.jpg</a>`,
        );
      }
      const headers = {
        "content-length": "1234",
        "last-modified": "Wed, 01 May 2024 12:01:00 GMT",
        date: new Date().toUTCString(),
      };
      return request.method === "HEAD" ? new Response(null, { headers }) : undefined;
    }, async (device, asked) => {
      const first = await listed(device);
      assert.deepEqual(await listed(device), first);
      assert.equal(asked.filter((line) => line === "HEAD /DCIM/a.jpg").length, 1);
      assert.equal(asked.filter((line) => line === "HEAD /DCIM/b.jpg").length, 2, "nothing is said of it in the index");
      size = "1.3K";
      await listed(device);
      assert.equal(asked.filter((line) => line === "HEAD /DCIM/a.jpg").length, 2);
    });
  },
);

testNeeding(
  "python3",
  "http-index downloads on from a server that knows no ranges, and sees another file",
  async () => {
    const bytes = new Uint8Array(200_000).map((_, at) => at % 13);
    await withCamera((request, { pathname }) => {
      if (pathname !== "/DCIM/a") return undefined;
      return new Response(request.method === "HEAD" ? null : bytes.slice(), {
        headers: { "content-length": "200000" },
      });
    }, async (device, _asked, dir) => {
      const spoolFile = `${dir}/a`;
      await Deno.writeFile(spoolFile, bytes.subarray(0, 150_000));
      const params = { path: "a", spoolFile, offsetBytes: 150_000, expect: { sizeBytes: 200_000 } };
      assert.equal((await device.download(params)).sizeBytes, 200_000);
      assert.deepEqual(await Deno.readFile(spoolFile), bytes);
      bytes[149_000] = 255;
      assert.equal((await failureOf(device.download(params))).code, "corrupt");
      assert.equal((await failureOf(device.download({ ...params, expect: { sizeBytes: 199_999 } }))).code, "changed");
    });
  },
);

testNeeding("python3", "http-index never takes another page for an index", async () => {
  const pages: [Response, string, RegExp][] = [
    [
      page("<html><h1>Welcome to the hotel</h1><a href='http://hotel.example/login'>Log in</a></html>"),
      "unavailable",
      /no index/,
    ],
    [
      new Response(null, { status: 302, headers: { location: "http://hotel.example/" } }),
      "unavailable",
      /captive portal/,
    ],
    [new Response("no", { status: 401 }), "denied", /401/],
    [new Response("no", { status: 503, headers: { "retry-after": "7" } }), "unavailable", /503/],
    [new Response("no", { status: 404 }), "unavailable", /404/],
  ];
  for (const [response, code, words] of pages) {
    await withCamera((_, { pathname }) => pathname === "/DCIM/" ? response : undefined, async (device) => {
      const error = await failureOf(device.list({ directory: "" }, () => {}));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, words);
      if (response.status === 503) assert.equal(error.details.retryAfterMs, 7000);
    });
  }
});

testNeeding("python3", "http-index takes no page that is cut off for a whole one", async () => {
  // Neither a length nor chunks: the end of the connection is the end of the page, wherever that came.
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const connection of listener) {
      await connection.read(new Uint8Array(4096));
      const text =
        'HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html><h1>Index of /</h1><a href="sub/">sub/</a><a hr';
      await connection.write(new TextEncoder().encode(text));
      connection.close();
    }
  })();
  const dir = await Deno.makeTempDir({ prefix: "filesync-camera-" });
  try {
    await using device = new HostedDevice({
      plugin: pluginIn(folder),
      name: "camera",
      role: "source",
      args: { url: `http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}/` },
      spoolDir: dir,
      stateDir: `${dir}/state`,
    });
    const error = await failureOf(device.list({ directory: "" }, () => {}));
    assert.deepEqual([error.code, /is cut off/.test(error.message)], ["unavailable", true], error.message);
  } finally {
    listener.close();
    await serving.catch(() => {});
    await Deno.remove(dir, { recursive: true });
  }
});
