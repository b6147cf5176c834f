/** The state store: where it lies, who holds it, whether it is sound. Looks only. */
import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Config } from "../../config/mod.ts";
import { DAMAGED_HINT, lockHolder, StateError, Store } from "../../state/mod.ts";
import { EXIT } from "../errors.ts";
import { filesystemOf, type Kind, writeRefusal } from "./filesystems.ts";
import { type DoctorFinding, ok, problem, shellWord, warning } from "./finding.ts";
import type { Machine } from "./machine.ts";

const NAME = "state store";
const MIB = 1024 * 1024;

/** What looking at the store came to. */
export interface StateLook {
  findings: DoctorFinding[];
  /** The process that works on it. */
  daemonPid?: number;
  /** The store's identity, when it could be read. */
  storeId?: string;
  /** Whether the store could be read, or there is none yet. */
  isReadable: boolean;
  /** Rows of devices, which name their private folders: `<name>/<role>` to id. */
  deviceRows: Map<string, number>;
}

/**
 * Larger ones are not read through, bytes. Half a million delivered files are 124 MiB, and reading them through takes
 * 0.7 s from memory and some seconds from a slow card.
 */
const READ_BYTES_MAX = 256 * MIB;

/** Looks at the store that the configuration names; reads it through when `thorough`. */
export function lookAtState(machine: Machine, config: Config, thorough = true): StateLook {
  const path = config.statePath;
  const look: StateLook = { findings: [], isReadable: false, deviceRows: new Map() };
  const filesystem = filesystemOf(machine, path);
  const unfit = filesystem === undefined ? undefined : unfitFilesystem(path, filesystem.type, filesystem.kind);
  if (unfit !== undefined) look.findings.push(unfit);
  const refused = refusal(machine, path);
  if (refused !== undefined) look.findings.push(refused);
  if (unfit?.level === "problem" || refused !== undefined) return look;
  const on = filesystem === undefined ? "" : ` on ${filesystem.type}`;
  if (!existsSync(path)) {
    look.isReadable = true;
    look.findings.push(ok(NAME, `"${path}"${on} will be made by the first filesync sync`));
    return look;
  }
  const pid = lockHolder(path);
  if (pid !== undefined) look.daemonPid = pid;
  try {
    using store = new Store(path, { readOnly: true });
    const unsound = thorough ? damage(store, path) : undefined;
    look.findings.push(unsound ?? ok(NAME, `"${path}"${on} is ${soundness(path)}${holder(pid)}`));
    if (unsound?.level === "problem") return look;
    const id = store.meta("store_id");
    if (id !== undefined) look.storeId = id;
    look.isReadable = true;
    for (const row of store.all<{ id: number; name: string; role: string }>("SELECT id, name, role FROM device")) {
      look.deviceRows.set(`${row.name}/${row.role}`, row.id);
    }
  } catch (error) {
    look.findings.push(stateProblem(error));
  }
  return look;
}

/** SQLite's log needs memory that processes share, and an fsync that means it. */
function unfitFilesystem(path: string, type: string, kind: Kind): DoctorFinding | undefined {
  const elsewhere = 'Set "state" to a path on a disk of this machine with ext4, such as /var/lib/filesync/filesync.db';
  switch (kind) {
    case "network":
      return problem(NAME, EXIT.state, `"${path}" lies on the network (${type}), where SQLite loses data`, elsewhere);
    case "fat":
      return problem(NAME, EXIT.state, `"${path}" lies on ${type}, which a loss of power damages`, elsewhere);
    case "memory":
      return warning(
        NAME,
        `"${path}" lies in memory (${type}): after a loss of power nothing is known, and every file is sent again`,
        type === "overlay"
          ? "sudo raspi-config nonint disable_overlayfs, or keep the state on another disk"
          : elsewhere,
      );
    case "disk":
      return undefined;
  }
}

function refusal(machine: Machine, path: string): DoctorFinding | undefined {
  // SQLite gives its log the store's own mode, which stays when that of the store is mended.
  const logs = [`${path}-wal`, `${path}-shm`].filter((log) => existsSync(log));
  const places: ["directory" | "file", string][] = [["directory", dirname(path)], ["file", path]];
  for (const log of logs) places.push(["file", log]);
  for (const [kind, what] of places) {
    const refused = writeRefusal(machine, what, kind);
    if (refused === undefined) continue;
    const exitCode = refused.isDenied ? EXIT.denied : EXIT.failed;
    return problem(NAME, exitCode, `Cannot write to "${what}": ${refused.why}`, refused.remedy);
  }
  return undefined;
}

function soundness(path: string): string {
  return statSync(path).size > READ_BYTES_MAX ? "there" : "sound";
}

function holder(pid: number | undefined): string {
  return pid === undefined ? "" : `, in use by the filesync that runs as process ${pid}`;
}

function damage(store: Store, path: string): DoctorFinding | undefined {
  const { size } = statSync(path);
  if (size > READ_BYTES_MAX) {
    return warning(
      NAME,
      `"${path}" was not read through: with ${Math.round(size / MIB)} MiB that takes long`,
      `sqlite3 ${shellWord(path)} 'PRAGMA quick_check'`,
    );
  }
  const [first] = store.all<{ quick_check: string }>("PRAGMA quick_check(1)");
  if (first === undefined || first.quick_check === "ok") return undefined;
  const words = first.quick_check.replaceAll("\n", " ").replaceAll("*", "").trim();
  return problem(NAME, EXIT.state, `"${path}" is damaged: ${words}`, DAMAGED_HINT);
}

function stateProblem(error: unknown): DoctorFinding {
  if (!(error instanceof StateError)) throw error;
  // A newer filesync brings an older schema up to date by itself.
  if (/^Run filesync sync once/.test(error.hint ?? "")) return warning(NAME, error.message, error.hint);
  if (error.code === "no_space") return problem(NAME, EXIT.failed, error.message, "Make room: df -h");
  return problem(NAME, EXIT.state, error.message, error.hint);
}
