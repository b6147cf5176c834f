/** The `ftp` driver's conformance suite against the companion server, which serves every name and keeps times. */
import { startFtpServer } from "../../lib/ftpd/mod.ts";
import { conformanceSuite, directoryBackdoor } from "../conformance/suite.ts";

conformanceSuite("ftp on the companion server", {
  plugin: "ftp",
  roles: ["source", "target"],
  keepsTime: true,
  absentArgs: { host: "ftp.invalid" },
  refused: [{ args: {}, pointer: "/host" }],
  async device() {
    const root = await Deno.makeTempDir({ prefix: "filesync-ftpd-" });
    await Deno.mkdir(`${root}/root`);
    const server = await startFtpServer({ root, user: "pilot", passwd: "secret" });
    return {
      ...directoryBackdoor(`${root}/root`),
      args: { host: "127.0.0.1", port: server.port, user: "pilot", passwd: "secret", dir: "root" },
      async close() {
        await server.stop();
        await Deno.remove(root, { recursive: true });
      },
    };
  },
});
