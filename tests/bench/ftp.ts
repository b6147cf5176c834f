/** Whole files from, to and between FTP servers, beside each other or at the end of a link that takes its time. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DelayingLink, startDelayingLink } from "../support/delaying_link.ts";
import { type FtpServer, startFtpServer } from "../support/ftp_servers.ts";
import { hasCommand } from "../support/needs.ts";
import { type Contender, filesync, makeFiles, putAside, STATE, type Workload } from "./work.ts";

/** Which way the files go. */
type Way = "from" | "to" | "between";

const WORDS: Record<Way, string> = {
  from: "from an FTP server",
  to: "to an FTP server",
  between: "from one FTP server to another",
};

/** What moves. */
interface Load {
  name: string;
  what: string;
  files: number;
  make(dir: string): void;
}

const MIB = 1024 * 1024;

function ftpWorkload(load: Load, way: Way, roundTripMs = 0): Workload {
  const { make, files } = load;
  const where = roundTripMs === 0 ? "on this machine" : `${roundTripMs} ms away, there and back`;
  const serversCount = way === "between" ? 2 : 1;
  let link: DelayingLink | undefined;
  let servers: FtpServer[] = [];
  return {
    name: `${load.name}-${way === "between" ? "ftp-to" : way}-ftp${roundTripMs === 0 ? "" : `-${roundTripMs}ms`}`,
    what: `${load.what} ${WORDS[way]} ${where} (pure-ftpd)`,
    files,
    ...(roundTripMs === 0 ? {} : { isWaiting: true }),
    prepare: async (dir) => {
      make(join(dir, "in"));
      // The server drops its rights.
      Deno.chmodSync(dir, 0o755);
      if (roundTripMs > 0) link = await startDelayingLink({ roundTripMs });
      const roots = way === "from" ? ["in"] : way === "to" ? ["out"] : ["in", "out"];
      for (const root of roots) {
        mkdirSync(join(dir, root), { recursive: true });
        servers.push(
          await startFtpServer("pure-ftpd", { root: join(dir, root), ...(link === undefined ? {} : { link }) }),
        );
      }
      const [first, second] = servers.map(({ host, port, user, passwd }) => ({
        driver: "ftp",
        args: { host, port, user, passwd },
      }));
      const local = (dir: string) => ({ driver: "local", args: { dir } });
      const source = way === "to" ? local("in") : first;
      const target = way === "from" ? local("out") : way === "to" ? first : second;
      const job = { name: "bench", source, target, finder: { settle: "0s" } };
      writeFileSync(join(dir, "config.json"), JSON.stringify({ jobs: [job] }));
    },
    reset: async (dir) => {
      await putAside(dir, "out", ...STATE);
      if (way === "from") return;
      mkdirSync(join(dir, "out"));
      // The user of the server's accounts.
      Deno.chownSync(join(dir, "out"), 1, 1);
    },
    contenders: (dir) => {
      const [from, to] = [
        way === "to" ? "in" : remoteOf(servers[0]!),
        way === "from" ? "out" : remoteOf(servers[serversCount - 1]!),
      ];
      const rclone = (transfers: number): Contender => ({
        who: `rclone --transfers ${transfers}`,
        argv: ["rclone", "copy", from, to, "--transfers", String(transfers)],
        needs: "rclone",
        isYardstick: true,
      });
      return [rclone(4), rclone(8), lftp(way, servers), filesync(dir)];
    },
    finish: async () => {
      for (const server of servers) await server.stop();
      servers = [];
      await link?.stop();
      link = undefined;
    },
  };
}

function remoteOf({ host, port, user, passwd }: FtpServer): string {
  const pass = hasCommand("rclone") ? execFileSync("rclone", ["obscure", passwd]).toString().trim() : "";
  return `:ftp,host=${host},port=${port},user=${user},pass=${pass}:`;
}

function lftp(way: Way, servers: FtpServer[]): Contender {
  const [from, to] = servers.map(({ host, port, user, passwd }) => `ftp://${user}:${passwd}@${host}:${port}/`);
  const mirror = {
    from: `open ${from}; mirror --parallel=8 / out`,
    to: `open ${from}; mirror -R --parallel=8 in /`,
    // Servers that connect to each other are refused by most.
    between: `set ftp:use-fxp no; mirror --parallel=8 ${from} ${to}`,
  }[way];
  return {
    who: "lftp --parallel=8",
    argv: ["lftp", "-c", `set ftp:ssl-allow no; ${mirror}`],
    needs: "lftp",
  };
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
    make: (dir) => makeFiles(dir, 1, 1, sizeMib * MIB),
  };
}

function mixed(files: number, sizeMib: number): Load {
  return {
    name: "mixed",
    what: `${files} files of 50 KiB and two of ${sizeMib} MiB`,
    files: files + 2,
    make: (dir) => {
      makeFiles(join(dir, "small"), files / 50, 50, 50 * 1024);
      makeFiles(join(dir, "big"), 1, 2, sizeMib * MIB);
    },
  };
}

/** With no way between, there is nothing to wait for; 20 and 100 ms have loads that take rclone less than a minute. */
export const FTP: readonly Workload[] = (["from", "to", "between"] as const).flatMap((way) => [
  ...[small(2000), big(512)].map((load) => ftpWorkload(load, way)),
  ...[small(800), big(256), mixed(300, 64)].map((load) => ftpWorkload(load, way, 20)),
  ...[small(200), big(64), mixed(100, 16)].map((load) => ftpWorkload(load, way, 100)),
]);
