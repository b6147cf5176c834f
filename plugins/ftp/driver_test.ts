import { conformanceSuite, directoryBackdoor, ODD_NAMES } from "../../tests/conformance/suite.ts";
import { hasFtpServer, startFtpServer } from "../../tests/support/ftp_servers.ts";
import { testNeeding } from "../../tests/support/needs.ts";

// One server that is listed with MLSD and one with LIST; all four are in tests/integration/ftp_servers_test.ts.
for (const kind of ["pure-ftpd", "vsftpd"] as const) {
  testNeeding(kind, `ftp on ${kind}: the server for the conformance suite is there`, () => {}, hasFtpServer(kind));
  if (!hasFtpServer(kind)) continue;
  conformanceSuite(`ftp on ${kind}`, {
    plugin: "ftp",
    roles: ["source", "target"],
    keepsTime: true,
    absentArgs: { host: "ftp.invalid" },
    refused: [
      { args: {}, pointer: "/host" },
      { args: { host: "ftp://example.org" }, pointer: "/host" },
      { args: { host: "a", port: 70_000 }, pointer: "/port" },
      { args: { host: "a", user: "b\r\nDELE c" }, pointer: "/user" },
      { args: { host: "a", hots: "b" }, pointer: "/hots" },
    ],
    // pure-ftpd: "553 Prohibited file name", and it cuts spaces off the end.
    names: kind === "pure-ftpd" ? ODD_NAMES.filter((name) => !/\\| $/.test(name)) : ODD_NAMES,
    async device() {
      const base = await Deno.makeTempDir({ prefix: "filesync-ftp-" });
      await Deno.chmod(base, 0o755);
      await Deno.mkdir(`${base}/root`);
      await Deno.chmod(`${base}/root`, 0o777);
      const server = await startFtpServer(kind, { root: base });
      const { host, port, user, passwd } = server;
      const backdoor = directoryBackdoor(`${base}/root`);
      return {
        ...backdoor,
        async put(path, bytes, modifiedMs) {
          await backdoor.put(path, bytes, modifiedMs);
          if (kind === "pure-ftpd") await giveToServer(`${base}/root`);
        },
        args: { host, port, user, passwd, dir: "root" },
        async close() {
          await server.stop();
          await Deno.remove(base, { recursive: true });
        },
      };
    },
  });
}

/** pure-ftpd serves as the lowest user id that it takes. */
async function giveToServer(dir: string): Promise<void> {
  await new Deno.Command("chown", { args: ["-R", "1:1", dir] }).output();
}
