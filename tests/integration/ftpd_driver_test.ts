/** The `ftp` driver's conformance suite against the companion server, which serves every name and keeps times. */
import assert from "node:assert/strict";
import { fingerprintOf, makeIdentity, startFtpServer } from "../../lib/ftpd/mod.ts";
import { FtpDriver } from "../../plugins/ftp/driver.ts";
import manifest from "../../plugins/ftp/filesync-plugin.json" with { type: "json" };
import { conformanceSuite, directoryBackdoor } from "../conformance/suite.ts";
import { directCall, openDriver } from "../support/direct_call.ts";
import { randomBytes } from "../support/ftp_bed.ts";

const IDENTITY = makeIdentity(["localhost"], ["127.0.0.1"]);

for (const isSecure of [false, true]) {
  conformanceSuite(
    isSecure ? "ftp on the companion server over TLS, by a pinned certificate" : "ftp on the companion server",
    {
      plugin: "ftp",
      roles: ["source", "target"],
      keepsTime: true,
      absentArgs: { host: "ftp.invalid" },
      refused: [{ args: {}, pointer: "/host" }],
      async device() {
        const root = await Deno.makeTempDir({ prefix: "filesync-ftpd-" });
        await Deno.mkdir(`${root}/root`);
        const tls = isSecure ? { tls: IDENTITY } : {};
        const server = await startFtpServer({ root, user: "pilot", passwd: "secret", ...tls });
        const secure = isSecure ? { secure: "explicit", pin: fingerprintOf(IDENTITY.cert) } : {};
        return {
          ...directoryBackdoor(`${root}/root`),
          args: { host: "127.0.0.1", port: server.port, user: "pilot", passwd: "secret", dir: "root", ...secure },
          async close() {
            await server.stop();
            await Deno.remove(root, { recursive: true });
          },
        };
      },
    },
  );
}

Deno.test("ftp on the companion server: an upload is proven by the server's own checksum", async () => {
  const dir = await Deno.makeTempDir({ prefix: "filesync-ftpd-" });
  await Deno.mkdir(`${dir}/root`);
  const server = await startFtpServer({ root: `${dir}/root`, user: "pilot", passwd: "secret" });
  const args = { host: "127.0.0.1", port: server.port, user: "pilot", passwd: "secret" };
  const { driver, close } = await openDriver(new FtpDriver(), manifest, args, "target");
  try {
    const bytes = randomBytes(200_000);
    const spoolFile = `${dir}/spooled`;
    await Deno.writeFile(spoolFile, bytes);
    const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    const params = { spoolFile, path: "a b/log 1.ulg", sizeBytes: bytes.length, sha256, onExisting: "rename" as const };
    const receipt = await driver.upload(params, directCall());
    assert.equal(receipt.verified, "checksum");
    assert.deepEqual(receipt.checksum, { algorithm: "sha256", value: sha256 });
  } finally {
    await close();
    await server.stop();
    await Deno.remove(dir, { recursive: true });
  }
});
