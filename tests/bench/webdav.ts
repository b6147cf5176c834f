/** Files to, from and by way of a WebDAV server (Apache), beside us or at the end of a link that takes its time. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DelayingLink, startDelayingLink } from "../support/delaying_link.ts";
import { type FtpServer, startFtpServer } from "../support/ftp_servers.ts";
import { hasCommand } from "../support/needs.ts";
import { startWebdavServer, type WebdavServer } from "../support/webdav_servers.ts";
import { type Contender, filesync, makeFiles, putAside, STATE, type Workload } from "./work.ts";

/** Which way the files go. */
type Way = "to" | "from" | "ftp-to";

const WORDS: Record<Way, string> = {
  to: "to a WebDAV server",
  from: "from a WebDAV server",
  "ftp-to": "from an FTP server (pure-ftpd) to a WebDAV server",
};

/** What moves. */
interface Load {
  name: string;
  what: string;
  files: number;
  make(dir: string): void;
}

function webdavWorkload(load: Load, way: Way, roundTripMs = 0): Workload {
  const where = roundTripMs === 0 ? "on this machine" : `${roundTripMs} ms away, there and back`;
  let link: DelayingLink | undefined;
  let server: WebdavServer | undefined;
  let ftp: FtpServer | undefined;
  const local = (dir: string) => ({ driver: "local", args: { dir } });
  return {
    name: `${load.name === "small" && way === "ftp-to" ? "" : `${load.name}-`}${way}-webdav${
      roundTripMs === 0 ? "" : `-${roundTripMs}ms`
    }`,
    what: `${load.what} ${WORDS[way]} ${where} (Apache)`,
    files: load.files,
    prepare: async (dir) => {
      load.make(join(dir, "in"));
      mkdirSync(join(dir, "out"));
      // The servers drop their rights.
      Deno.chmodSync(dir, 0o755);
      if (roundTripMs > 0) link = await startDelayingLink({ roundTripMs });
      const over = link === undefined ? {} : { link };
      server = await startWebdavServer("apache", { root: join(dir, way === "from" ? "in" : "out"), ...over });
      if (way === "ftp-to") ftp = await startFtpServer("pure-ftpd", { root: join(dir, "in"), ...over });
      const { url, user, passwd } = server;
      const webdav = { driver: "webdav", args: { host: url, user, passwd } };
      const source = way === "from" ? webdav : way === "to" ? local("in") : {
        driver: "ftp",
        args: { host: ftp!.host, port: ftp!.port, user: ftp!.user, passwd: ftp!.passwd },
      };
      const job = { name: "bench", source, target: way === "from" ? local("out") : webdav, finder: { settle: "0s" } };
      writeFileSync(join(dir, "config.json"), JSON.stringify({ jobs: [job] }));
    },
    reset: async (dir) => {
      await putAside(dir, "out", ...STATE);
      if (way === "from") return;
      mkdirSync(join(dir, "out"));
      Deno.chmodSync(join(dir, "out"), 0o777);
    },
    contenders: (dir) => {
      const remote = remoteOf(server!);
      const [from, to] = way === "from"
        ? [remote, "out"]
        : way === "to"
        ? ["in", remote]
        : [`:ftp,host=${ftp!.host},port=${ftp!.port},user=${ftp!.user},pass=${obscured(ftp!.passwd)}:`, remote];
      const rclone = (transfers: number): Contender => ({
        who: `rclone --transfers ${transfers}`,
        argv: ["rclone", "copy", from, to, "--transfers", String(transfers)],
        needs: "rclone",
      });
      return [rclone(4), rclone(8), filesync(dir)];
    },
    finish: async () => {
      await ftp?.stop();
      await server?.stop();
      await link?.stop();
      ftp = server = link = undefined;
    },
  };
}

function remoteOf({ url, user, passwd }: WebdavServer): string {
  return `:webdav,url='${url}',user=${user},pass=${obscured(passwd)}:`;
}

function obscured(passwd: string): string {
  return hasCommand("rclone") ? execFileSync("rclone", ["obscure", passwd]).toString().trim() : "";
}

/** Small files in folders of 50. */
function small(files: number): Load {
  return {
    name: "small",
    what: `${files.toLocaleString("en")} files of 50 KiB`,
    files,
    make: (dir) => makeFiles(dir, files / 50, 50, 50 * 1024),
  };
}

function big(sizeMib: number): Load {
  return {
    name: "big",
    what: `one file of ${sizeMib} MiB`,
    files: 1,
    make: (dir) => makeFiles(dir, 1, 1, sizeMib * 1024 * 1024),
  };
}

/** With a link the loads are such that rclone takes less than a minute. */
export const WEBDAV: readonly Workload[] = (["to", "from", "ftp-to"] as const).flatMap((way) => [
  webdavWorkload(small(2000), way),
  ...(way === "from" ? [webdavWorkload(big(1024), way)] : []),
  ...[small(400), big(256)].map((load) => webdavWorkload(load, way, 20)),
  ...[small(100), big(64)].map((load) => webdavWorkload(load, way, 100)),
]);
