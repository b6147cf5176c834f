// Goal: uploads to clouds whose answers get lost and whose connections are cut: nothing twice, nothing half, little again.
// Method: the driver in this process against stand-ins with the documented habits of Nextcloud, Yandex and sabre/dav, and
// against a real Apache behind a proxy that cuts.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { DriverError, temporaryPath, type UploadParams } from "../../lib/driver/mod.ts";
import { WebdavDriver } from "../../plugins/webdav/driver.ts";
import manifest from "../../plugins/webdav/filesync-plugin.json" with { type: "json" };
import { type CloudKind, CloudServer } from "../support/cloud_server.ts";
import { type DirectCall, directCall, openDriver } from "../support/direct_call.ts";

const MIB = 1024 * 1024;

interface Cloud {
  server: CloudServer;
  driver: WebdavDriver;
  params(path: string, bytes: Uint8Array, over?: Partial<UploadParams>): Promise<UploadParams>;
  call(): DirectCall;
}

async function onCloud(kind: CloudKind, run: (cloud: Cloud) => Promise<void>): Promise<void> {
  const server = await CloudServer.start(kind);
  const spool = await Deno.makeTempDir({ prefix: "filesync-cloud-" });
  const args = { host: server.host, user: "pi", passwd: "secret", ...(kind === "yandex" ? { preset: "yandex" } : {}) };
  const opened = await openDriver(new WebdavDriver(), manifest, args, "target");
  let files = 0;
  try {
    await run({
      server,
      driver: opened.driver,
      async params(path, bytes, over = {}) {
        const spoolFile = `${spool}/${++files}`;
        await Deno.writeFile(spoolFile, bytes);
        const sha256 = createHash("sha256").update(bytes).digest("hex");
        return {
          spoolFile,
          path,
          sizeBytes: bytes.length,
          sha256,
          modifiedMs: 1_700_000_000_000,
          onExisting: "rename",
          ...over,
        };
      },
      call: () => directCall(),
    });
  } finally {
    await opened.close();
    await server.stop();
    await Deno.remove(spool, { recursive: true });
  }
}

function content(sizeBytes: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let state = seed * 2654435761 >>> 0;
  for (let at = 0; at < sizeBytes; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

function assertFiles(server: CloudServer, wanted: Record<string, Uint8Array>): void {
  assert.deepEqual([...server.files.keys()].sort(), Object.keys(wanted).sort());
  for (const [path, bytes] of Object.entries(wanted)) {
    assert.ok(bytes.length === server.files.get(path)!.bytes.length, path);
    assert.ok(bytes.every((byte, at) => byte === server.files.get(path)!.bytes[at]), path);
  }
}

async function rejects(promise: Promise<unknown>, code: string): Promise<DriverError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof DriverError, String(error));
    assert.equal(error.code, code, error.message);
    return error;
  }
  throw new Error(`Expected ${code}`);
}

Deno.test("webdav puts a small file onto a Nextcloud under its own name, with its time, and asks after a lost answer", () =>
  onCloud("nextcloud", async ({ server, driver, params, call }) => {
    const bytes = content(3000);
    server.fail("PUT", "lose answer");
    const receipt = await driver.upload(await params("a/b/log ü.ulg", bytes), call());
    assert.equal(receipt.path, "a/b/log ü.ulg");
    assertFiles(server, { "a/b/log ü.ulg": bytes });
    assert.equal(server.files.get("a/b/log ü.ulg")!.modifiedMs, 1_700_000_000_000);
    assert.equal(server.requests.filter((line) => line.startsWith("PUT")).length, 1);
    assert.deepEqual((await driver.upload(await params("a/b/log ü.ulg", bytes), call())).path, "a/b/log ü.ulg");
    const other = await driver.upload(await params("a/b/log ü.ulg", content(3000, 2)), call());
    assert.equal(other.path, "a/b/log ü~2.ulg");
  }));

Deno.test("webdav sends a large file to a Nextcloud in chunks, goes on with what is there, and sends little again", () =>
  onCloud("nextcloud", async ({ server, driver, params, call }) => {
    const bytes = content(23 * MIB + 11);
    const upload = await params("big.bin", bytes);
    // The third chunk breaks off.
    server.fail("PUT", ...([{ statusAfter: 201 }, { statusAfter: 201 }, { cutAfterBytes: MIB }] as const));
    await rejects(driver.upload(upload, call()), "unavailable");
    assert.equal(server.files.size, 0, "A part has the final name");
    const receipt = await driver.upload(upload, call());
    assert.deepEqual([receipt.path, receipt.sizeBytes], ["big.bin", bytes.length]);
    assertFiles(server, { "big.bin": bytes });
    assert.equal(server.uploads.size, 0);
    assert.ok(server.receivedBytes - bytes.length <= 5 * MIB, `${server.receivedBytes - bytes.length} bytes again`);
  }));

Deno.test("webdav waits for a Nextcloud that answers 504 and puts the chunks together all the same", () =>
  onCloud("nextcloud", async ({ server, driver, params, call }) => {
    const bytes = content(11 * MIB);
    server.fail("MOVE", { statusAfter: 504 });
    const receipt = await driver.upload(await params("big.bin", bytes), call());
    assert.equal(receipt.path, "big.bin");
    assertFiles(server, { "big.bin": bytes });
  }));

Deno.test("webdav sends no byte again to a Yandex that has them, and proves by its MD5", () =>
  onCloud("yandex", async ({ server, driver, params, call }) => {
    const bytes = content(2 * MIB);
    const upload = await params("video.mp4", bytes);
    const receipt = await driver.upload(upload, call());
    assert.equal(receipt.verified, "checksum");
    server.files.clear();
    const before = server.receivedBytes;
    // The file was renamed or removed there: the server has the bytes all the same.
    assert.equal((await driver.upload(await params("again.mp4", bytes), call())).path, "again.mp4");
    assert.equal(server.receivedBytes - before, 0);
    assertFiles(server, { "again.mp4": bytes });
  }));

Deno.test("webdav never deletes at a Yandex after a lost answer", () =>
  onCloud("yandex", async ({ server, driver, params, call }) => {
    const bytes = content(2 * MIB);
    server.fail("PUT", "lose answer");
    server.fail("MOVE", "lose answer");
    const receipt = await driver.upload(await params("video.mp4", bytes), call());
    assert.equal(receipt.path, "video.mp4");
    assertFiles(server, { "video.mp4": bytes });
    assert.equal(server.requests.filter((line) => line.startsWith("PUT")).length, 1);
  }));

Deno.test("webdav goes on by PATCH on a sabre/dav server after a cut", () =>
  onCloud("sabre", async ({ server, driver, params, call }) => {
    const bytes = content(6 * MIB);
    const upload = await params("big.bin", bytes);
    server.fail("PATCH", { statusAfter: 204 }, { cutAfterBytes: 4 * MIB });
    await rejects(driver.upload(upload, call()), "unavailable");
    await driver.upload(upload, call());
    assertFiles(server, { "big.bin": bytes });
    assert.ok(server.receivedBytes - bytes.length < 256 * 1024, `${server.receivedBytes - bytes.length} bytes again`);
  }));

Deno.test("webdav tries once how a server adds bytes, remembers it, and doctor tells", async () => {
  const scratch = (server: CloudServer) => server.requests.filter((line) => line.startsWith("GET")).length;
  await onCloud("sabre", async ({ server, driver, params, call }) => {
    await driver.upload(await params("a.bin", content(5 * MIB)), call());
    const trials = scratch(server);
    assert.equal(trials, 2, "Each way is tried once, and looked at");
    const before = server.requests.length;
    await driver.upload(await params("b.bin", content(5 * MIB, 2)), call());
    assert.equal(scratch(server), trials);
    assert.equal(server.requests.slice(before).filter((line) => line.startsWith("PATCH")).length, 1);
    assertFiles(server, { "a.bin": content(5 * MIB), "b.bin": content(5 * MIB, 2) });
    assert.match(await resumeFinding(driver, call()), /PATCH/);
    assert.deepEqual([...server.files.keys()].sort(), ["a.bin", "b.bin"], "Probe files are left");
  });
  await onCloud("yandex", async ({ driver, call }) => {
    assert.match(await resumeFinding(driver, call()), /not offered/);
  });
  await onCloud("nextcloud", async ({ driver, call }) => {
    assert.match(await resumeFinding(driver, call()), /chunks/);
  });
});

async function resumeFinding(driver: WebdavDriver, call: DirectCall): Promise<string> {
  const findings = await driver.check(call);
  assert.ok(findings.every(({ ok }) => ok), JSON.stringify(findings));
  return findings.find(({ name }) => name === "resume")!.detail;
}

Deno.test("webdav believes no server that takes the part for the whole", () =>
  onCloud("sabre", async ({ server, driver, params, call }) => {
    const bytes = content(5 * MIB);
    // It says that it has done it, and has not.
    server.fail("PATCH", { status: 204 });
    await driver.upload(await params("a.bin", bytes), call());
    assertFiles(server, { "a.bin": bytes });
    assert.equal(server.requests.filter((line) => line.startsWith("PATCH")).length, 1);
  }));

for (
  const [status, code] of [[507, "no_space"], [423, "failed"], [429, "unavailable"], [503, "unavailable"]] as const
) {
  Deno.test(`webdav takes ${status} for ${code}, with the server's wish to wait`, () =>
    onCloud("sabre", async ({ server, driver, params, call }) => {
      const answer = { status, headers: { "Retry-After": "7" } };
      server.fail("PUT", answer, answer, answer);
      const { details } = await rejects(driver.upload(await params("a.ulg", content(100)), call()), code);
      if (status !== 507) assert.equal(details.retryAfterMs, 7000);
      assert.equal(server.files.size, 0);
    }));
}

Deno.test("webdav takes a captive portal for no server", () =>
  onCloud("sabre", async ({ server, driver, params, call }) => {
    const portal = { status: 200, body: "<html><title>Airport WiFi</title></html>" };
    server.fail("PROPFIND", portal, portal, portal, portal);
    server.fail("MKCOL", portal);
    const error = await rejects(driver.list({ directory: "" }, call()), "unavailable");
    assert.match(error.message, /answers PROPFIND with 200/);
    await rejects(driver.upload(await params("a/b.ulg", content(100)), call()), "unavailable");
    assert.equal(server.files.size, 0);
  }));

Deno.test("webdav follows no redirect to another server, and none out of TLS", () =>
  onCloud("sabre", async ({ server, driver, call }) => {
    server.fail("PROPFIND", { status: 302, headers: { Location: "http://other.invalid/" } });
    const error = await rejects(driver.list({ directory: "" }, call()), "unavailable");
    assert.match(error.message, /other\.invalid/);
    const same = new URL(server.host);
    server.fail("PROPFIND", { status: 307, headers: { Location: `${same.origin}/` } });
    await driver.list({ directory: "" }, call());
  }));

Deno.test("confirm() removes what two tries that overlapped have left", () =>
  onCloud("sabre", async ({ server, driver, params, call }) => {
    const bytes = content(3000);
    const upload = await params("dir/log.ulg", bytes);
    await driver.upload(upload, call());
    server.files.set(await temporaryPath(upload.path, upload.sha256), { ...server.files.get("dir/log.ulg")! });
    assert.equal((await driver.confirm(upload, call()))?.path, "dir/log.ulg");
    assertFiles(server, { "dir/log.ulg": bytes });
  }));
