/** One FTP server as both ends of a job, as a user meets it. */
import assert from "node:assert/strict";
import { type FtpServer, type FtpServerKind, hasFtpServer, startFtpServer } from "../support/ftp_servers.ts";
import { testNeeding } from "../support/needs.ts";
import { type Ended, filesync, inTempDir } from "./support.ts";

/** pure-ftpd runs as another user, which must come to the files that we make. */
const KIND: FtpServerKind = "pyftpdlib";

function test(name: string, run: () => Promise<void>): void {
  testNeeding(KIND, name, run, hasFtpServer(KIND));
}

function device({ host, port, user, passwd }: FtpServer, dir: string): Record<string, unknown> {
  return { driver: "ftp", args: { host, port, user, passwd, dir } };
}

/** A directory, and a server on `root` in it. */
async function withServer(
  options: { maxPerHost?: number },
  use: (dir: string, server: FtpServer) => Promise<void>,
): Promise<void> {
  await inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/root`);
    const server = await startFtpServer(KIND, { root: `${dir}/root`, ...options });
    try {
      await use(dir, server);
    } finally {
      await server.stop();
    }
  });
}

async function job(dir: string, more: Record<string, unknown>): Promise<void> {
  const config = { state: "./filesync.db", jobs: [{ name: "job", finder: { settle: "0s" }, ...more }] };
  await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify(config), { mode: 0o600 });
}

function sync(dir: string): Promise<Ended> {
  return filesync(dir, ["sync", "--once", "--no-progress"]);
}

test("source and target on a server that takes one connection take turns", () =>
  withServer({ maxPerHost: 1 }, async (dir, server) => {
    await Deno.mkdir(`${dir}/root/in`);
    for (const name of ["a", "b", "c"]) await Deno.writeTextFile(`${dir}/root/in/${name}`, name.repeat(1000));
    await job(dir, { source: device(server, "in"), target: device(server, "out") });
    // Most often one run does; on a busy machine its patience may end between two turns.
    let ended = await sync(dir);
    for (let runs = 1; ended.code === 5 && runs < 5; runs++) ended = await sync(dir);
    assert.equal(ended.code, 0, ended.stderr);
    for (const name of ["a", "b", "c"]) {
      assert.equal(await Deno.readTextFile(`${dir}/root/out/${name}`), name.repeat(1000));
    }
  }));

test("the only copy stays where a server leads to the target's own directory", () =>
  withServer({}, async (dir, server) => {
    await Deno.mkdir(`${dir}/root/logs`);
    await Deno.writeTextFile(`${dir}/root/logs/only.txt`, "the only copy");
    await job(dir, {
      source: device(server, "logs"),
      target: { driver: "local", args: { dir: "./root/logs" } },
      after: "delete",
    });
    for (let run = 1; run <= 2; run++) assert.equal((await sync(dir)).code, 0);
    assert.equal(await Deno.readTextFile(`${dir}/root/logs/only.txt`), "the only copy");
    assert.match((await filesync(dir, ["why", "only.txt"])).stdout, /source's copy: .*held it before it was sent/);
    // What we sent ourselves is a second copy.
    await Deno.mkdir(`${dir}/other`);
    await job(dir, {
      name: "apart",
      source: device(server, "logs"),
      target: { driver: "local", args: { dir: "./other" } },
      after: "delete",
    });
    assert.equal((await sync(dir)).code, 0);
    assert.deepEqual([...Deno.readDirSync(`${dir}/root/logs`)], []);
    assert.equal(await Deno.readTextFile(`${dir}/other/only.txt`), "the only copy");
  }));

test("files come to rest where a server shows the target inside the source", () =>
  withServer({}, async (dir, server) => {
    await Deno.writeTextFile(`${dir}/root/a.txt`, "round and round");
    // A copy that somebody made is no circle.
    await Deno.mkdir(`${dir}/root/copy`);
    await Deno.writeTextFile(`${dir}/root/copy/a.txt`, "round and round");
    await job(dir, { source: device(server, ""), target: { driver: "local", args: { dir: "./root/out" } } });
    for (const code of [0, 0, 4, 4]) {
      const ended = await sync(dir);
      assert.equal(ended.code, code, ended.stderr);
    }
    assert.deepEqual(files(`${dir}/root`), [
      "a.txt",
      "copy/a.txt",
      "out/a.txt",
      "out/copy/a.txt",
      "out/out/a.txt",
      "out/out/copy/a.txt",
    ]);
    assert.match((await filesync(dir, ["status"])).stdout, /Target of this job seems to lie in its source/);
  }));

/** Paths of all files below `dir`. */
function files(dir: string, below = ""): string[] {
  return [...Deno.readDirSync(`${dir}/${below}`)].flatMap(({ name, isDirectory }) =>
    isDirectory ? files(dir, `${below}${name}/`) : [below + name]
  ).sort();
}
