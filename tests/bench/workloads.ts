/** The work that is measured. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Store } from "../../lib/state/mod.ts";
import { FTP } from "./ftp.ts";
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
