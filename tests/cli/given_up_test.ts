/** What is gathered on a target of a file that was given up: `retry` goes on from it, and `forget` has it taken away. */
import assert from "node:assert/strict";
import { hasFtpServer, startFtpServer } from "../support/ftp_servers.ts";
import { FtpWire } from "../support/ftp_wire.ts";
import { testNeeding } from "../support/needs.ts";
import { filesync, inTempDir, localJob, Running } from "./support.ts";

const FILE_BYTES = 1_000_000;
const CUT_BYTES = 400_000;

function names(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
}

testNeeding(
  "pyftpdlib",
  "of a parked upload the part stays on the target until retry goes on from it, or forget has it taken away",
  async () => {
    await inTempDir(async (dir) => {
      await Deno.chmod(dir, 0o755);
      await Deno.mkdir(`${dir}/served`);
      await Deno.chmod(`${dir}/served`, 0o777);
      const server = await startFtpServer("pyftpdlib", { root: `${dir}/served` });
      let isBroken = true;
      const wire = await FtpWire.start({
        serverPort: () => server.port,
        hooks: {
          onTransfer: ({ verb }) => isBroken && verb === "STOR" ? { atByte: CUT_BYTES, how: "cut" } : undefined,
          onReply: (verb, reply) =>
            isBroken && verb === "STOR" && !reply.startsWith("1") ? "554 Requested action not taken" : reply,
        },
      });
      const { host, user, passwd } = server;
      const target = { driver: "ftp", args: { host, port: wire.port, user, passwd } };
      await localJob(dir, { target, attempts: 1, finder: { settle: "0s", interval: "300ms" } });
      for (const name of ["kept.bin", "forgotten.bin", "later.bin"]) {
        await Deno.writeFile(`${dir}/in/${name}`, new Uint8Array(FILE_BYTES).fill(name.charCodeAt(0)));
      }
      const start = () => new Running(dir, ["sync", "--json", "--no-progress"]);
      let running = start();
      const parked = (name: string) => running.stdoutMatches(new RegExp(`"event":"parked".*"path":"${name}"`));
      try {
        await Promise.all([parked("kept.bin"), parked("forgotten.bin"), parked("later.bin")]);
        assert.equal(names(`${dir}/served`).filter((name) => name.endsWith(".part")).length, 3);
        // While sync runs, and when it does not.
        assert.equal((await filesync(dir, ["forget", "forgotten.bin"])).code, 0);
        while (names(`${dir}/served`).length > 2) await new Promise((resolve) => setTimeout(resolve, 50));
        running.child.kill("SIGTERM");
        await running.ended();
        assert.equal((await filesync(dir, ["forget", "later.bin"])).code, 0);
        assert.equal(names(`${dir}/served`).length, 2);
        isBroken = false;
        running = start();
        while (names(`${dir}/served`).length > 1) await new Promise((resolve) => setTimeout(resolve, 50));
        const before = wire.transfers.length;
        assert.equal((await filesync(dir, ["retry", "kept.bin"])).code, 0);
        await running.stdoutMatches(/"event":"delivered".*"path":"kept.bin"/);
        assert.deepEqual(names(`${dir}/served`), ["kept.bin"]);
        assert.equal((await Deno.readFile(`${dir}/served/kept.bin`)).length, FILE_BYTES);
        const sent = wire.transfers.slice(before).filter(({ verb }) => verb === "STOR" || verb === "APPE");
        assert.deepEqual(sent.map(({ bytes }) => bytes <= FILE_BYTES - CUT_BYTES / 2), [true]);
      } finally {
        running.child.kill("SIGTERM");
        await running.ended();
        await wire.stop();
        await server.stop();
      }
    });
  },
  hasFtpServer("pyftpdlib"),
);
