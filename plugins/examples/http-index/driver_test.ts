/** The example for index pages against the servers that make them; pages of cameras: tests/integration/http_index_test.ts. */
import {
  casesOf,
  describedFixture,
  directoryBackdoor,
  faultChecksOf,
  type Fixture,
  ODD_NAMES,
  parseDescription,
  pluginIn,
} from "../../../tests/conformance/suite.ts";
import { hasCommand, testNeeding } from "../../../tests/support/needs.ts";
import { hasWebdavServer, startWebdavServer } from "../../../tests/support/webdav_servers.ts";

const folder = import.meta.dirname ?? ".";

/** What a server's pages, headers and ranges have to do with; the rest is tried on one of them. */
const CASES = /^list\(\)|^stat\(\)|^check\(\)|is away|^download\(\) (fetches|resumes|never|of a file|that is)/;

function register(name: string, fixture: Fixture, only: RegExp): void {
  const checks = [...casesOf(fixture, "source"), ...faultChecksOf(fixture, "source")];
  for (const check of checks.filter((check) => only.test(check.name))) {
    Deno.test(`http-index on ${name}: ${check.name}`, async () => void await check.run());
  }
}

if (hasCommand("python3")) {
  const plugin = pluginIn(folder);
  const description = parseDescription(Deno.readTextFileSync(`${folder}/filesync-test.json`));
  const python = describedFixture(plugin, description);
  register("http.server", python, /./);

  for (const kind of ["apache", "nginx"] as const) {
    const isThere = hasWebdavServer(kind);
    testNeeding(kind, `http-index on ${kind}: the server is there`, () => {}, isThere);
    if (!isThere) continue;
    register(kind, {
      ...python,
      // nginx lists no name that begins with a dot.
      names: kind === "nginx" ? ODD_NAMES.filter((name) => !name.startsWith(".")) : ODD_NAMES,
      async device() {
        const base = await Deno.makeTempDir({ prefix: "filesync-index-" });
        await Deno.chmod(base, 0o755);
        await Deno.mkdir(`${base}/root`, { mode: 0o755 });
        const server = await startWebdavServer(kind, { root: base, index: true });
        return {
          ...directoryBackdoor(`${base}/root`),
          args: { url: `${server.url}root/`, user: server.user, passwd: server.passwd },
          async close() {
            await server.stop();
            await Deno.remove(base, { recursive: true });
          },
        };
      },
    }, CASES);
  }
} else testNeeding("python3", "http-index: the conformance suite", () => {});
