/** The work that is measured. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

/** One program that does the work. */
export interface Contender {
  who: string;
  argv: string[];
  /** The command that must be there; absent: always. */
  needs?: string;
}

/** A piece of work, the same for every contender. */
export interface Workload {
  name: string;
  what: string;
  prepare(dir: string): void | Promise<void>;
  /** Before each run. */
  reset(dir: string): Promise<void>;
  /** The first one is what the others are compared with. */
  contenders(dir: string): Contender[];
}

/** The program from source, as `deno task filesync` runs it. */
function filesync(dir: string): Contender {
  const flags = "--v8-flags=--max-semi-space-size=1,--max-lazy";
  const sync = ["sync", "--once", "--quiet", "--config", join(dir, "config.json")];
  return { who: "FileSync", argv: [Deno.execPath(), "run", "-A", "--no-prompt", flags, MAIN, ...sync] };
}

function makeFiles(dir: string, folders: number, perFolder: number, sizeBytes: number): void {
  const bytes = new Uint8Array(sizeBytes);
  for (let folder = 0; folder < folders; folder++) {
    mkdirSync(join(dir, `d${folder}`), { recursive: true });
    for (let file = 0; file < perFolder; file++) {
      for (let at = 0; at < sizeBytes; at += 65536) {
        crypto.getRandomValues(bytes.subarray(at, Math.min(sizeBytes, at + 65536)));
      }
      writeFileSync(join(dir, `d${folder}`, `f${file}.bin`), bytes);
    }
  }
}

function localConfig(dir: string): void {
  const config = {
    jobs: [{
      name: "bench",
      source: { driver: "local", args: { dir: "in" } },
      target: { driver: "local", args: { dir: "out" } },
      finder: { settle: "0s" },
    }],
  };
  writeFileSync(join(dir, "config.json"), JSON.stringify(config));
}

async function forgetState(dir: string, ...more: string[]): Promise<void> {
  const state = ["", "-wal", "-shm", ".lock", ".spool", ".devices"].map((ending) => `filesync.db${ending}`);
  for (const name of [...state, ...more]) await Deno.remove(join(dir, name), { recursive: true }).catch(() => {});
}

const smallLocal: Workload = {
  name: "small-local",
  what: "2,000 files of 50 KiB from one directory to another",
  prepare: (dir) => {
    makeFiles(join(dir, "in"), 40, 50, 50 * 1024);
    localConfig(dir);
  },
  reset: (dir) => forgetState(dir, "out"),
  contenders: (dir) => [
    { who: "rclone --transfers 4", argv: ["rclone", "copy", "in", "out", "--transfers", "4"], needs: "rclone" },
    { who: "rsync --fsync", argv: ["rsync", "-r", "--fsync", "in/", "out/"], needs: "rsync" },
    filesync(dir),
  ],
};

const bigLocal: Workload = {
  name: "big-local",
  what: "one file of 512 MiB from one directory to another",
  prepare: (dir) => {
    makeFiles(join(dir, "in"), 1, 1, 512 * 1024 * 1024);
    localConfig(dir);
  },
  reset: (dir) => forgetState(dir, "out"),
  contenders: (dir) => [
    { who: "rclone", argv: ["rclone", "copy", "in", "out"], needs: "rclone" },
    filesync(dir),
  ],
};

/** All of it. */
export const WORKLOADS: readonly Workload[] = [smallLocal, bigLocal];
