/**
 * Names on the target that are taken: `on_conflict` for bytes of somebody else, `on_change` for a newer generation of our
 * own, each value, with real servers. Different bytes are never silently overwritten.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { hasFtpServer, startFtpServer } from "../support/ftp_servers.ts";
import { testNeeding } from "../support/needs.ts";
import { hasWebdavServer, startWebdavServer } from "../support/webdav_servers.ts";
import { filesync, inTempDir, localJob } from "./support.ts";

interface Target {
  device: { driver: string; args: Record<string, unknown> };
  /** Somebody changed files behind the server's back. */
  forget: () => Promise<void>;
  stop: () => Promise<void>;
}

const nothing = () => Promise.resolve();

/** A target on the directory `root`. */
const TARGETS: [name: string, needs: string, isThere: boolean, open: (root: string) => Promise<Target>][] = [
  [
    "local",
    "sh",
    true,
    (root) => Promise.resolve({ device: { driver: "local", args: { dir: root } }, forget: nothing, stop: nothing }),
  ],
  ["ftp", "pyftpdlib", hasFtpServer("pyftpdlib"), async (root) => {
    const { host, port, user, passwd, stop } = await startFtpServer("pyftpdlib", { root });
    return { device: { driver: "ftp", args: { host, port, user, passwd } }, forget: nothing, stop };
  }],
  ["webdav", "rclone", hasWebdavServer("rclone"), async (root) => {
    const server = await startWebdavServer("rclone", { root });
    const { url, user, passwd } = server;
    return {
      device: { driver: "webdav", args: { host: url, user, passwd } },
      forget: () => server.forget(),
      stop: () => server.stop(),
    };
  }],
];

function contents(dir: string): Record<string, string> {
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
  return Object.fromEntries(names.map((name) => [name, Deno.readTextFileSync(`${dir}/${name}`)]));
}

/** What becomes of `theirs.txt`, which somebody has put there, and of `ours.txt`, which was delivered and changed since. */
const CASES: { on_conflict: string; on_change: string; code: number; then: Record<string, string> }[] = [
  {
    on_conflict: "rename",
    on_change: "replace",
    code: 0,
    then: { "theirs.txt": "somebody's", "theirs~2.txt": "from the source", "ours.txt": "second" },
  },
  {
    on_conflict: "replace",
    on_change: "rename",
    code: 0,
    then: { "theirs.txt": "from the source", "ours.txt": "first", "ours~2.txt": "second" },
  },
  {
    on_conflict: "park",
    on_change: "replace",
    code: 4,
    then: { "theirs.txt": "somebody's", "ours.txt": "second" },
  },
];

for (const [name, needs, isThere, open] of TARGETS) {
  for (const { on_conflict, on_change, code, then } of CASES) {
    testNeeding(
      needs,
      `${name}: on_conflict "${on_conflict}" and on_change "${on_change}" do what they say`,
      async () => {
        await inTempDir(async (dir) => {
          await Deno.chmod(dir, 0o755);
          await Deno.mkdir(`${dir}/served`);
          await Deno.chmod(`${dir}/served`, 0o777);
          const { device, forget, stop } = await open(`${dir}/served`);
          const once = async () => (await filesync(dir, ["sync", "--once", "-q"])).code;
          try {
            await localJob(dir, { target: device, on_conflict, on_change });
            await Deno.writeTextFile(`${dir}/in/ours.txt`, "first");
            assert.equal(await once(), 0);
            await Deno.writeTextFile(`${dir}/served/theirs.txt`, "somebody's");
            await Deno.chmod(`${dir}/served/theirs.txt`, 0o666);
            await forget();
            await Deno.writeTextFile(`${dir}/in/theirs.txt`, "from the source");
            await Deno.writeTextFile(`${dir}/in/ours.txt`, "second");
            assert.equal(await once(), code);
            assert.deepEqual(contents(`${dir}/served`), then);
            if (on_change === "rename") return;
            // What somebody has changed is theirs now: on_conflict decides, whatever on_change says.
            await Deno.writeTextFile(`${dir}/served/ours.txt`, "edited");
            await forget();
            await Deno.writeTextFile(`${dir}/in/ours.txt`, "third, longer");
            assert.equal(await once(), code);
            const { "ours.txt": edited, ...others } = contents(`${dir}/served`);
            assert.equal(edited, "edited");
            assert.equal(others["ours~2.txt"], on_conflict === "rename" ? "third, longer" : undefined);
          } finally {
            await stop();
          }
        });
      },
      isThere,
    );
  }
}

/** More than is read back whole. */
const LARGE_BYTES = 9 * 1024 * 1024;

for (const [name, needs, isThere, open] of TARGETS.filter(([name]) => name !== "local")) {
  testNeeding(
    needs,
    `${name}: of a large file without a checksum the grown one replaces the older, and a rewritten one stands beside it, which is told`,
    async () => {
      await inTempDir(async (dir) => {
        await Deno.chmod(dir, 0o755);
        await Deno.mkdir(`${dir}/served`);
        await Deno.chmod(`${dir}/served`, 0o777);
        const { device, stop } = await open(`${dir}/served`);
        const once = async (bytes: Uint8Array) => {
          await Deno.writeFile(`${dir}/in/log.bin`, bytes);
          const { code, stderr } = await filesync(dir, ["sync", "--once", "--no-progress"]);
          assert.equal(code, 0, stderr);
          return stderr;
        };
        const served = async (file: string) => (await Deno.readFile(`${dir}/served/${file}`)).toHex().slice(0, 64);
        try {
          await localJob(dir, { target: device });
          const first = randomBytes(LARGE_BYTES);
          const grown = Buffer.concat([first, randomBytes(1000)]);
          const rewritten = randomBytes(LARGE_BYTES);
          await once(first);
          assert.doesNotMatch(await once(grown), /not replaced/);
          assert.deepEqual([...Deno.readDirSync(`${dir}/served`)].map((entry) => entry.name), ["log.bin"]);
          assert.equal((await Deno.stat(`${dir}/served/log.bin`)).size, grown.length);
          assert.match(await once(rewritten), /as "log~2\.bin": "log\.bin" was not replaced, since nothing proves/);
          assert.equal(await served("log.bin"), grown.toString("hex").slice(0, 64));
          assert.equal(await served("log~2.bin"), rewritten.toString("hex").slice(0, 64));
          const { stdout } = await filesync(dir, ["why", "log.bin"]);
          assert.match(stdout, /asked for "log\.bin", which an older generation has/);
        } finally {
          await stop();
        }
      });
    },
    isThere,
  );
}
