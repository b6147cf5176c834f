/** The work that is measured. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hasCommand } from "../support/needs.ts";
import { Store } from "../../lib/state/mod.ts";
import { type FtpServer, startFtpServer } from "../support/ftp_servers.ts";
import { addKnown } from "./known_files.ts";
import { measure } from "./measure.ts";
import { UPLOADS } from "./uploads.ts";
import { WEBDAV } from "./webdav.ts";
import { filesync, makeFiles, putAside, STATE, type Workload } from "./work.ts";

function localConfig(dir: string, source = "in"): void {
  const config = {
    jobs: [{
      name: "bench",
      source: { driver: "local", args: { dir: source } },
      target: { driver: "local", args: { dir: "out" } },
      finder: { settle: "0s" },
    }],
  };
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "config.json"), JSON.stringify(config));
}

const smallLocal: Workload = {
  name: "small-local",
  what: "2,000 files of 50 KiB from one directory to another",
  files: 2000,
  prepare: (dir) => {
    makeFiles(join(dir, "in"), 40, 50, 50 * 1024);
    localConfig(dir);
  },
  reset: (dir) => putAside(dir, "out", ...STATE),
  contenders: (dir) => [
    { who: "rclone --transfers 4", argv: ["rclone", "copy", "in", "out", "--transfers", "4"], needs: "rclone" },
    { who: "rsync --fsync", argv: ["rsync", "-r", "--fsync", "in/", "out/"], needs: "rsync" },
    filesync(dir),
  ],
};

const bigLocal: Workload = {
  name: "big-local",
  what: "one file of 512 MiB from one directory to another",
  files: 1,
  prepare: (dir) => {
    makeFiles(join(dir, "in"), 1, 1, 512 * 1024 * 1024);
    localConfig(dir);
  },
  reset: (dir) => putAside(dir, "out", ...STATE),
  contenders: (dir) => [
    { who: "rclone", argv: ["rclone", "copy", "in", "out"], needs: "rclone" },
    { who: "rsync --fsync", argv: ["rsync", "-r", "--fsync", "in/", "out/"], needs: "rsync" },
    filesync(dir),
  ],
};

/** Work with an FTP server on this machine: whole files of either size, in one direction. */
function withFtp(
  work: { name: string; what: string; files: number; isSource: boolean; make: (dir: string) => void },
): Workload {
  const { name, what, files, isSource, make } = work;
  let server: FtpServer | undefined;
  return {
    name,
    what,
    files,
    prepare: async (dir) => {
      make(join(dir, isSource ? "served" : "in"));
      mkdirSync(join(dir, "served"), { recursive: true });
      server = await startFtpServer("pure-ftpd", { root: join(dir, "served") });
      const { host, port, user, passwd } = server;
      const served = { driver: "ftp", args: { host, port, user, passwd } };
      const ours = { driver: "local", args: { dir: isSource ? "out" : "in" } };
      const job = { name: "bench", source: isSource ? served : ours, target: isSource ? ours : served };
      writeFileSync(join(dir, "config.json"), JSON.stringify({ jobs: [{ ...job, finder: { settle: "0s" } }] }));
    },
    reset: async (dir) => {
      await putAside(dir, isSource ? "out" : "served", ...STATE);
      if (isSource) return;
      mkdirSync(join(dir, "served"));
      // The user of the server's accounts.
      Deno.chownSync(join(dir, "served"), 1, 1);
    },
    contenders: (dir) => {
      const { host, port, user, passwd } = server!;
      const pass = hasCommand("rclone") ? execFileSync("rclone", ["obscure", passwd]).toString().trim() : "";
      const remote = `:ftp,host=${host},port=${port},user=${user},pass=${pass}:`;
      const [from, to] = isSource ? [remote, "out"] : ["in", remote];
      const mirror = isSource ? "mirror --parallel=4 / out" : "mirror -R --parallel=4 in /";
      const lftp = ["-p", String(port), "-u", `${user},${passwd}`, "-e", `set ftp:ssl-allow no; ${mirror}; quit`, host];
      return [
        { who: "rclone --transfers 4", argv: ["rclone", "copy", from!, to!, "--transfers", "4"], needs: "rclone" },
        { who: "lftp --parallel=4", argv: ["lftp", ...lftp], needs: "lftp" },
        filesync(dir),
      ];
    },
    finish: async () => await server?.stop(),
  };
}

const FTP: readonly Workload[] = [true, false].flatMap((isSource) => {
  const way = isSource ? "from an FTP server" : "to an FTP server";
  const end = isSource ? "from-ftp" : "to-ftp";
  return [
    withFtp({
      name: `small-${end}`,
      what: `2,000 files of 50 KiB ${way} on this machine (pure-ftpd)`,
      files: 2000,
      isSource,
      make: (dir) => makeFiles(dir, 40, 50, 50 * 1024),
    }),
    withFtp({
      name: `big-${end}`,
      what: `one file of 512 MiB ${way} on this machine (pure-ftpd)`,
      files: 1,
      isSource,
      make: (dir) => makeFiles(dir, 1, 1, 512 * 1024 * 1024),
    }),
  ];
});

const FEW = 10;
const MANY = 200_000;

/** The same new files for a store that knows few others, and for one that knows many. */
const known: Workload = {
  name: "known",
  what: `1,000 new files of 4 KiB when ${FEW} others are known, and when ${MANY.toLocaleString("en")} are`,
  files: 1000,
  prepare: async (dir) => {
    makeFiles(join(dir, "in"), 10, 100, 4096);
    mkdirSync(join(dir, "nothing"));
    for (const count of [FEW, MANY]) {
      const place = join(dir, String(count));
      // A run without files makes the rows of the job and its devices.
      localConfig(place, "../nothing");
      await measure(filesync(place).argv, dir);
      localConfig(place, "../in");
      using store = new Store(join(place, "filesync.db"));
      addKnown(store, count);
      store.close();
      mkdirSync(join(place, "made"));
      await Deno.rename(join(place, "filesync.db"), join(place, "made", "filesync.db"));
    }
  },
  reset: async (dir) => {
    for (const count of [FEW, MANY]) {
      const place = join(dir, String(count));
      await putAside(place, "out", ...STATE);
      await Deno.copyFile(join(place, "made", "filesync.db"), join(place, "filesync.db"));
    }
  },
  contenders: (dir) =>
    [FEW, MANY].map((count) => ({
      ...filesync(join(dir, String(count))),
      who: `FileSync, ${count.toLocaleString("en")} known`,
    })),
};

/** All of it. */
export const WORKLOADS: readonly Workload[] = [smallLocal, bigLocal, ...FTP, ...UPLOADS, ...WEBDAV, known];
