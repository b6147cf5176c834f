import { conformanceSuite, directoryBackdoor, ODD_NAMES } from "../../tests/conformance/suite.ts";
import { testNeeding } from "../../tests/support/needs.ts";
import { hasWebdavServer, startWebdavServer, WEBDAV_SERVER_KINDS } from "../../tests/support/webdav_servers.ts";

for (const kind of WEBDAV_SERVER_KINDS) {
  const isThere = hasWebdavServer(kind);
  testNeeding(kind, `webdav on ${kind}: the server for the conformance suite is there`, () => {}, isThere);
  if (!isThere) continue;
  conformanceSuite(`webdav on ${kind}`, {
    plugin: "webdav",
    // nginx is a target: what it lists differs in nothing but the names with a dot.
    roles: kind === "nginx" ? ["target"] : ["source", "target"],
    keepsTime: false,
    absentArgs: { host: "https://webdav.invalid/dav" },
    refused: [
      { args: {}, pointer: "/host" },
      { args: { host: "ftp://example.org" }, pointer: "/host" },
      { args: { host: "https://pi:secret@example.org/" }, pointer: "/host" },
      { args: { host: "https://a/", dir: "../b" }, pointer: "/dir" },
      { args: { host: "https://a/", user: "a:b" }, pointer: "/user" },
      { args: { host: "https://a/", user: "b", token: "c" }, pointer: "/token" },
      { args: { host: "http://a/", pin: "00" }, pointer: "/pin" },
      { args: { host: "https://a/", pin: "00" }, pointer: "/pin" },
      { args: { host: "https://a/", ca: "/etc/hostname" }, pointer: "/ca" },
    ],
    // nginx lists no name that begins with a dot.
    names: kind === "nginx" ? ODD_NAMES.filter((name) => !name.startsWith(".")) : ODD_NAMES,
    async device() {
      const base = await Deno.makeTempDir({ prefix: "filesync-webdav-" });
      await Deno.chmod(base, 0o777);
      await Deno.mkdir(`${base}/root`);
      await Deno.chmod(`${base}/root`, 0o777);
      const server = await startWebdavServer(kind, { root: base });
      const backdoor = directoryBackdoor(`${base}/root`);
      /** The server sees what was changed behind its back, and may write there as the user that it is. */
      const seen = async (change: Promise<void>, path?: string) => {
        await change;
        if (path !== undefined) {
          const parts = `root/${path}`.split("/");
          for (let n = 1; n < parts.length; n++) await Deno.chmod(`${base}/${parts.slice(0, n).join("/")}`, 0o777);
          await Deno.chmod(`${base}/root/${path}`, 0o666);
        }
        await server.forget();
      };
      return {
        ...backdoor,
        // Apache gathers a PUT under a name of its own; that is its affair.
        names: async () => (await backdoor.names()).filter((name) => !/(^|\/)\.davfs\.tmp[^/]*$/.test(name)),
        put: (path, bytes, modifiedMs) => seen(backdoor.put(path, bytes, modifiedMs), path),
        remove: (path) => seen(backdoor.remove(path)),
        breakIt: () => seen(backdoor.breakIt()),
        restore: () => seen(backdoor.restore()),
        args: { host: server.url, user: server.user, passwd: server.passwd, dir: "root" },
        async close() {
          await server.stop();
          await Deno.remove(base, { recursive: true });
        },
      };
    },
  });
}
