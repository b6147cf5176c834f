/** What Linux tells of a process. */
import { readFileSync } from "node:fs";

/** Clock ticks a second of Linux. */
const TICKS = 100;

/** User and system time of a process so far, seconds. */
export function cpuOf(pid: number): number {
  // The name in brackets may hold spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

export function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
}

/** The most memory that a process had resident, MiB. */
export function peakMibOf(pid: number): number {
  return mibOf(pid, "VmHWM");
}

/** A field of `/proc/<pid>/status`, MiB. */
export function mibOf(pid: number, field: "VmHWM" | "VmRSS" | "RssAnon"): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) /
    1024;
}

export const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
