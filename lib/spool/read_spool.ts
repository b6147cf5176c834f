/** What lies in a spool, for whoever brings rows and files together or only looks. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { SpoolError } from "./errors.ts";
import { statSpoolFile } from "./spool_file.ts";

/** One file that lies in the spool. */
export interface SpoolFile {
  device: number;
  fileId: number;
  kind: "part" | "spool" | "loan";
  path: string;
  sizeBytes: number;
  /** Names of the file. */
  links: number;
}

/**
 * Everything in the spool that has a name of ours, and the paths of what has not.
 * @throws {SpoolError} `unwritable` when it cannot be looked into
 */
export function readSpool(dir: string): { files: SpoolFile[]; strangers: string[] } {
  try {
    return look(dir);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new SpoolError("unwritable", `Cannot look into the spool "${dir}": ${words}`, {
      hint: `Check that it and what is in it belong to the user that runs filesync: ls -ld "${dir}"`,
      cause: error,
    });
  }
}

function look(dir: string): { files: SpoolFile[]; strangers: string[] } {
  const files: SpoolFile[] = [];
  const strangers: string[] = [];
  for (const folder of readdirSync(dir, { withFileTypes: true })) {
    if (!folder.isDirectory() || !/^\d+$/.test(folder.name)) continue;
    for (const name of readdirSync(join(dir, folder.name))) {
      const path = join(dir, folder.name, name);
      const match = /^(\d+)\.(part|spool|loan)$/.exec(name);
      const stat = match === null ? undefined : statSpoolFile(path);
      if (match === null || stat === undefined) {
        strangers.push(path);
        continue;
      }
      files.push({
        device: Number(folder.name),
        fileId: Number(match[1]),
        kind: match[2] as SpoolFile["kind"],
        path,
        sizeBytes: stat.sizeBytes,
        links: stat.links,
      });
    }
  }
  return { files, strangers };
}
