/** The spool and the log file: can they be written, is there room, are they ours. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type Config, formatSize } from "../../config/mod.ts";
import { readSpool } from "../../spool/mod.ts";
import { EXIT } from "../errors.ts";
import {
  type Filesystem,
  filesystemOf,
  freeBytes,
  nearestExisting,
  type Refusal,
  refusalFor,
  writeRefusal,
} from "./filesystems.ts";
import { type DoctorFinding, ok, problem, shellWord, warning } from "./finding.ts";
import type { Machine } from "./machine.ts";

const NAME = "spool";

/**
 * What is found about the spool.
 * @param storeId identity of the state store; `undefined` when there is none yet, or it cannot be read
 */
export function spoolFindings(
  machine: Machine,
  config: Config,
  store: { id: string | undefined; isReadable: boolean },
): DoctorFinding[] {
  const { dir } = config.spool;
  const refused = writeRefusal(machine, dir, "directory");
  if (refused !== undefined) return [unwritable(dir, refused)];
  const isThere = existsSync(dir);
  const findings = isThere
    ? [owner(dir, store), probe(machine, dir), ...strangers(dir)].filter((finding) => finding !== undefined)
    : [];
  if (findings.some(({ level }) => level === "problem")) return findings;
  const filesystem = filesystemOf(machine, dir);
  findings.push(...unfit(dir, filesystem), ...room(config, isThere, filesystem?.point ?? "/"));
  if (findings.length === 0) {
    const free = rounded(freeBytes(nearestExisting(dir)));
    const what = isThere ? "can be written" : "will be made by the first filesync sync";
    findings.push(ok(NAME, `"${dir}" ${what}, ${free} are free, quota ${formatSize(config.spool.quotaBytes)}`));
  }
  return findings;
}

function unwritable(dir: string, { why, isDenied, remedy }: Refusal): DoctorFinding {
  return problem(NAME, isDenied ? EXIT.denied : EXIT.failed, `Cannot write to "${dir}": ${why}`, remedy);
}

function owner(dir: string, store: { id: string | undefined; isReadable: boolean }): DoctorFinding | undefined {
  const idFile = join(dir, "store.id");
  if (!existsSync(idFile) || !store.isReadable) return undefined;
  if (readFileSync(idFile, "utf8").trim() === store.id) return undefined;
  return problem(
    NAME,
    EXIT.state,
    `"${dir}" belongs to another state store`,
    'Give each state store its own "spool.dir", or if its store is gone for good: ' +
      `mv ${shellWord(dir)} ${shellWord(`${dir}.old`)}`,
  );
}

/** Writes, syncs, renames and removes a file of one byte: quotas and bad cards show only so. */
function probe(machine: Machine, dir: string): DoctorFinding | undefined {
  const path = join(dir, `doctor-${crypto.randomUUID()}`);
  try {
    const file = openSync(path, "wx", 0o600);
    try {
      writeSync(file, new Uint8Array(1));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(path, `${path}.new`);
    return undefined;
  } catch (error) {
    return unwritable(dir, refusalFor(machine, error, dir));
  } finally {
    rmSync(path, { force: true });
    rmSync(`${path}.new`, { force: true });
  }
}

function strangers(dir: string): DoctorFinding[] {
  const findings: DoctorFinding[] = [];
  const { strangers } = readSpool(dir);
  if (strangers.length > 0) {
    const count = strangers.length === 1 ? "1 file" : `${strangers.length} files`;
    findings.push(warning(NAME, `${count} in "${dir}" are not filesync's: "${strangers[0]}"`, "Move them elsewhere"));
  }
  const kept = join(dir, "kept");
  if (existsSync(kept) && readdirSync(kept).length > 0) {
    const detail = `"${kept}" holds whole files of a damaged state store, whose names nobody knows`;
    findings.push(warning(NAME, detail, `Look at them, then remove them: ls -l ${shellWord(kept)}`));
  }
  const { dev } = statSync(dir);
  const mounted = readdirSync(dir).find((name) => /^\d+$/.test(name) && statSync(join(dir, name)).dev !== dev);
  if (mounted !== undefined) {
    const folder = join(dir, mounted);
    findings.push(problem(
      NAME,
      EXIT.failed,
      `"${folder}" is on another filesystem than the spool, whose room is what counts`,
      `sudo umount ${shellWord(folder)}; to have the spool on another disk set "spool.dir"`,
    ));
  }
  return findings;
}

function unfit(dir: string, found: Filesystem | undefined): DoctorFinding[] {
  const elsewhere = 'Set "spool.dir" to a directory on a disk of this machine';
  switch (found?.kind) {
    case "memory": {
      const lost =
        `"${dir}" lies in memory (${found.type}): a loss of power loses what it holds, and it is fetched again`;
      return [warning(NAME, `${lost}; what left the source meanwhile is lost`, elsewhere)];
    }
    case "network":
      return [
        warning(NAME, `"${dir}" lies on the network (${found.type}): slow, and away when the network is`, elsewhere),
      ];
    case "fat":
      return [
        warning(NAME, `"${dir}" lies on ${found.type}: a loss of power may damage it, files end at 4 GiB`, elsewhere),
      ];
    default:
      return [];
  }
}

function room(config: Config, isThere: boolean, mountPoint: string): DoctorFinding[] {
  const { dir, quotaBytes, minFreeBytes } = config.spool;
  const free = freeBytes(nearestExisting(dir));
  const used = isThere
    ? readSpool(dir).files.reduce((sum, file) => sum + (file.kind === "loan" ? 0 : file.sizeBytes), 0)
    : 0;
  const biggest = `See what fills the disk: sudo du -xh ${shellWord(mountPoint)} | sort -h | tail`;
  if (free < minFreeBytes) {
    return [problem(
      NAME,
      EXIT.failed,
      `${rounded(free)} are free, less than spool.min_free of ${formatSize(minFreeBytes)}: nothing is fetched`,
      biggest,
    )];
  }
  if (used > quotaBytes) {
    const detail = `${rounded(used)} lie in it, more than the quota of ${formatSize(quotaBytes)}: nothing is fetched`;
    return [warning(NAME, detail, "Files leave it when they are delivered: filesync status")];
  }
  const usable = used + free - minFreeBytes;
  if (usable >= quotaBytes) return [];
  return [warning(
    NAME,
    `Only ${rounded(usable)} of the quota of ${formatSize(quotaBytes)} can be used: ${rounded(free)} are free, and ` +
      `spool.min_free keeps ${formatSize(minFreeBytes)}`,
    `Make room, or set "spool.quota" to what there is. ${biggest}`,
  )];
}

function rounded(bytes: number): string {
  const mib = bytes / (1024 * 1024);
  return mib >= 1024 ? `${(mib / 1024).toFixed(1)} GiB` : `${Math.floor(mib)} MiB`;
}

/** Whether the log file can be written. */
export function logFindings(machine: Machine, config: Config): DoctorFinding[] {
  const { file } = config.log;
  if (file === undefined) return [];
  const refused = writeRefusal(machine, file, "file");
  if (refused === undefined) return [ok("log file", `"${file}" can be written`)];
  // The program goes on without it.
  return [warning("log file", `Cannot write "${file}": ${refused.why}`, refused.remedy)];
}
