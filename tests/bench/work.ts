/** What a piece of work is, and what all of them need. */
import { V8_FLAGS } from "../../lib/host/launch.ts";
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
  /** The fastest of these is what the others are compared with; none: the first contender. */
  isYardstick?: boolean;
}

/** A piece of work, the same for every contender. */
export interface Workload {
  name: string;
  what: string;
  /** Files that are moved. */
  files: number;
  /** Its time goes into waiting for a link: there is nothing to warm up, and every round counts. */
  isWaiting?: boolean;
  prepare(dir: string): void | Promise<void>;
  /** Before each run. */
  reset(dir: string): Promise<void>;
  contenders(dir: string): Contender[];
  /** After the last run. */
  finish?(): Promise<void>;
}

/** The program from source, as `deno task filesync` runs it. */
export function program(...args: string[]): string[] {
  return [
    Deno.execPath(),
    "run",
    "-A",
    "--no-prompt",
    `--v8-flags=${V8_FLAGS}`,
    MAIN,
    ...args,
  ];
}

/** The program with `config.json` of `dir`. */
export function filesync(dir: string): Contender {
  return { who: "FileSync", argv: program("sync", "--once", "--quiet", "--config", join(dir, "config.json")) };
}

/** Files of random bytes, `folders` times `perFolder` of them. */
export function makeFiles(dir: string, folders: number, perFolder: number, sizeBytes: number): void {
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

/** What the program keeps beside its configuration. */
export const STATE = ["", "-wal", "-shm", ".lock", ".spool", ".devices"].map((ending) => `filesync.db${ending}`);

/**
 * What a run has left goes out of the way and is deleted at the end of the workload: for 5 seconds ext4 gives no inode
 * that was freed to anybody and looks at each of them, so a run after a large deletion would pay for it.
 */
export async function putAside(dir: string, ...names: string[]): Promise<void> {
  const aside = await Deno.makeTempDir({ dir, prefix: "aside-" });
  for (const name of names) await Deno.rename(join(dir, name), join(aside, name)).catch(() => {});
}
