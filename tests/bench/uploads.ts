/** One large file to a WebDAV server and to a form: what is held of it in memory counts as much as the time. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { hasCommand } from "../support/needs.ts";
import { startWebdavServer, type WebdavServer } from "../support/webdav_servers.ts";
import { type Contender, filesync, makeFiles, putAside, STATE, type Workload } from "./work.ts";

const SIZE_BYTES = 1024 * 1024 * 1024;

/** The configuration and the file. */
function prepare(dir: string, target: { driver: string; args: Record<string, unknown> }): void {
  makeFiles(join(dir, "in"), 1, 1, SIZE_BYTES);
  const source = { driver: "local", args: { dir: "in" } };
  writeFileSync(
    join(dir, "config.json"),
    JSON.stringify({ jobs: [{ name: "bench", source, target, finder: { settle: "0s" } }] }),
  );
}

/** The same way as FileSync's: kept whole on a disk of ours first, hashed, and only then sent. */
function byWayOfSpool(who: string, send: string, needs: string): Contender {
  const steps = ["mkdir -p spool", "cp in/d0/f0.bin spool/", "sync spool/f0.bin spool", "sha256sum spool/f0.bin", send];
  return { who: `${who}, by way of a spool`, argv: ["sh", "-c", steps.join(" && ")], needs };
}

function toWebdav(): Workload {
  let server: WebdavServer | undefined;
  return {
    name: "big-to-webdav",
    what:
      "one file of 1 GiB to a WebDAV server on this machine (Apache); by way of a spool: copied, synced, hashed, sent",
    files: 1,
    prepare: async (dir) => {
      mkdirSync(join(dir, "served"));
      // The server drops its rights.
      Deno.chmodSync(dir, 0o755);
      server = await startWebdavServer("apache", { root: join(dir, "served") });
      const { url, user, passwd } = server;
      prepare(dir, { driver: "webdav", args: { host: url, user, passwd } });
    },
    reset: async (dir) => {
      await putAside(dir, "served", "spool", ...STATE);
      mkdirSync(join(dir, "served"));
      Deno.chmodSync(join(dir, "served"), 0o777);
    },
    contenders: (dir) => {
      const { url, user, passwd } = server!;
      const pass = hasCommand("rclone") ? execFileSync("rclone", ["obscure", passwd]).toString().trim() : "";
      const remote = `:webdav,url='${url}',user=${user},pass=${pass}:`;
      return [
        { who: "rclone", argv: ["rclone", "copy", "in", remote], needs: "rclone" },
        byWayOfSpool("rclone", `rclone copy spool "${remote}"`, "rclone"),
        filesync(dir),
      ];
    },
    finish: async () => await server?.stop(),
  };
}

/** A form that reads what comes, keeps nothing, and answers with a link. */
async function startForm(): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    let bytes = 0;
    request.on("data", (chunk: Uint8Array) => bytes += chunk.length);
    request.on("end", () => response.end(JSON.stringify({ url: `/files/${bytes}` })));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/upload`, server };
}

function toForm(): Workload {
  let form: { url: string; server: Server } | undefined;
  return {
    name: "big-to-form",
    what: "one file of 1 GiB to an upload form on this machine that keeps nothing; rclone knows no forms",
    files: 1,
    prepare: async (dir) => {
      form = await startForm();
      prepare(dir, { driver: "post", args: { uploader_url: form.url, values: {} } });
    },
    reset: (dir) => putAside(dir, "spool", ...STATE),
    contenders: (dir) => {
      const send = (file: string) => `curl -sS -o /dev/null -F filearg=@${file} ${form!.url}`;
      return [
        { who: "curl", argv: ["sh", "-c", send("in/d0/f0.bin")], needs: "curl" },
        byWayOfSpool("curl", send("spool/f0.bin"), "curl"),
        filesync(dir),
      ];
    },
    finish: async () => {
      form?.server.closeAllConnections();
      await new Promise((resolve) => form === undefined ? resolve(undefined) : form.server.close(resolve));
    },
  };
}

/** Both. */
export const UPLOADS: readonly Workload[] = [toWebdav(), toForm()];
