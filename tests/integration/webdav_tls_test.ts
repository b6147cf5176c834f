/** WebDAV over TLS, on the real servers: an authority of one's own, a pinned certificate, and servers that prove nothing. */
import assert from "node:assert/strict";
import { WebdavDriver } from "../../plugins/webdav/driver.ts";
import manifest from "../../plugins/webdav/filesync-plugin.json" with { type: "json" };
import { makeCertificates } from "../support/certificates.ts";
import { directCall, openDriver } from "../support/direct_call.ts";
import { randomBytes, rejectsWith } from "../support/ftp_bed.ts";
import { hasCommand, testNeeding } from "../support/needs.ts";
import { hasWebdavServer, startWebdavServer, WEBDAV_SERVER_KINDS } from "../support/webdav_servers.ts";

for (const kind of WEBDAV_SERVER_KINDS) {
  testNeeding(
    `${kind} and openssl`,
    `webdav on ${kind} over TLS: files go both ways, and no stranger gets a password`,
    async () => {
      const dir = await Deno.makeTempDir({ prefix: "filesync-webdav-tls-" });
      const root = `${dir}/root`;
      await Deno.mkdir(root);
      for (const path of [dir, root]) await Deno.chmod(path, 0o777);
      const tls = makeCertificates(dir);
      const server = await startWebdavServer(kind, { root, tls });
      const { user, passwd } = server;
      const use = async (
        args: Record<string, unknown>,
        run: (driver: WebdavDriver) => Promise<unknown>,
        role: "source" | "target" = "target",
      ) => {
        const { driver, close } = await openDriver(
          new WebdavDriver(),
          manifest,
          { host: server.url, user, passwd, ...args },
          role,
        );
        try {
          await run(driver);
        } finally {
          await close();
        }
      };
      try {
        const bytes = randomBytes(300_000);
        const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
        await Deno.writeFile(`${dir}/spooled`, bytes);
        const params = {
          spoolFile: `${dir}/spooled`,
          path: "day 1/log.ulg",
          sizeBytes: bytes.length,
          sha256,
          onExisting: "rename" as const,
        };
        await use({ ca: tls.caFile }, async (driver) => {
          assert.equal((await driver.upload(params, directCall())).sizeBytes, bytes.length);
        });
        assert.deepEqual(await Deno.readFile(`${root}/day 1/log.ulg`), bytes);
        await use({ pin: tls.sha256 }, async (driver) => {
          await Deno.writeFile(`${dir}/fetched`, bytes.slice(0, 100_000));
          const download = { path: params.path, spoolFile: `${dir}/fetched`, offsetBytes: 100_000, expect: {} };
          assert.equal((await driver.download(download, directCall())).sizeBytes, bytes.length);
          assert.deepEqual(await Deno.readFile(`${dir}/fetched`), bytes);
        }, "source");
        for (const args of [{}, { pin: "00".repeat(32) }]) {
          await use(args, (driver) => rejectsWith("denied", () => driver.list({ directory: "" }, directCall())));
        }
      } finally {
        await server.stop();
        await Deno.remove(dir, { recursive: true });
      }
    },
    hasWebdavServer(kind) && hasCommand("openssl"),
  );
}
