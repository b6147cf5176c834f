/** The machine: what the program runs on, and whether its clock can be believed. */
import { CLOCK_SANE_MS, formatWindows, isInWindow } from "../window.ts";
import type { Config } from "../../config/mod.ts";
import { type DoctorFinding, ok, problem, shellWord, warning } from "./finding.ts";
import { type Machine, userName } from "./machine.ts";
import { EXIT } from "../errors.ts";

const MIB = 1024 * 1024;
/** Of the program itself with thousands of files on their way, bytes. */
const HOST_BYTES = 100 * MIB;
/** Of one driver, bytes. */
const DRIVER_BYTES = 50 * MIB;
/** Later than this no clock of today is right. */
const CLOCK_LATEST_MS = Date.UTC(2090, 0, 1);

/** @param drivers how many driver processes the configuration comes to */
export async function platformFindings(machine: Machine, drivers: number): Promise<DoctorFinding[]> {
  return [await pageSize(machine), orphans(machine), memory(machine, drivers)].filter((finding) =>
    finding !== undefined
  );
}

/** Deno's aarch64 build crashes at start on the 16 KiB pages of a Pi 5's default kernel (denoland/deno#36282). */
async function pageSize(machine: Machine): Promise<DoctorFinding> {
  const bytes = Number(await machine.output("getconf", ["PAGESIZE"]) ?? NaN);
  const pages = Number.isInteger(bytes) && bytes > 0 ? `, memory pages of ${bytes / 1024} KiB` : "";
  const model = machine.text("/proc/device-tree/model")?.replaceAll("\0", "").trim();
  const detail = `${model === undefined || model === "" ? "" : `${model}, `}${machine.arch}, 64-bit${pages}`;
  if (machine.arch !== "aarch64" || !(bytes > 4096)) return ok("platform", detail);
  return warning(
    "platform",
    `${detail}: runs here, and other versions of it may crash at start with pages larger than 4 KiB`,
    "Use the 4 KiB kernel of a Pi 5: echo kernel=kernel8.img | sudo tee -a /boot/firmware/config.txt && sudo reboot",
  );
}

function orphans(machine: Machine): DoctorFinding {
  if (machine.killsOrphans()) return ok("child processes", "drivers end with filesync, also when that is killed");
  return warning(
    "child processes",
    "setpriv with --pdeathsig is not there: a driver that hangs can outlive a filesync that was killed",
    "sudo apt install util-linux",
  );
}

function memory(machine: Machine, drivers: number): DoctorFinding | undefined {
  const available = machine.availableBytes();
  if (available === undefined) return undefined;
  const needed = HOST_BYTES + drivers * DRIVER_BYTES;
  const detail = `${Math.floor(available / MIB)} MiB are free, about ${Math.ceil(needed / MIB)} MiB are needed at work`;
  if (available >= needed) return ok("memory", detail);
  return warning("memory", detail, "See what uses it: ps -eo rss,args --sort=-rss | head");
}

/** Whoever looks with other rights than those of the service sees other things. */
export function userFindings(machine: Machine, config: Config): DoctorFinding[] {
  if (machine.uid !== 0) return [];
  let uid: number | null;
  try {
    uid = Deno.statSync(config.statePath).uid;
  } catch (error) {
    // Nobody has run it yet: there is no other user to compare with.
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  if (uid === null || uid === 0) return [];
  const name = userName(machine, uid);
  const command = `sudo -u ${shellWord(name)} filesync doctor --config ${shellWord(config.file)}`;
  return [warning("user", `root looks, and the state store belongs to "${name}": permissions are not tested`, command)];
}

/** The clock, and where windows are set the time zone that they are read in. */
export async function clockFindings(machine: Machine, config: Config | undefined): Promise<DoctorFinding[]> {
  const now = new Date(machine.nowMs());
  const findings = [await clock(machine, now)];
  const isSane = now.getTime() >= CLOCK_SANE_MS;
  for (const job of config?.jobs ?? []) {
    if (job.windows.length === 0) continue;
    const state = !isSane
      ? "is ignored while the clock is wrong"
      : isInWindow(job.windows, now)
      ? "is open now"
      : "is closed now";
    const zone = machine.timeZone();
    const time = now.toTimeString().slice(0, 5);
    const detail = `${formatWindows(job.windows)} ${state}: it is ${time} in the time zone "${zone}"`;
    const about = { job: job.name };
    findings.push(
      /^(Etc\/)?(UTC|UCT|GMT|Zulu|Universal)$/.test(zone)
        ? warning("window", detail, "If that is not your time: sudo timedatectl set-timezone Europe/Berlin", about)
        : ok("window", detail, about),
    );
  }
  return findings;
}

async function clock(machine: Machine, now: Date): Promise<DoctorFinding> {
  const ms = now.getTime();
  const time = Number.isNaN(ms) ? "no time at all" : now.toISOString().slice(0, 16).replace("T", " ") + " UTC";
  const remedy = "sudo timedatectl set-ntp true, or fit a battery for the clock";
  if (Number.isNaN(ms)) return problem("clock", EXIT.failed, time, remedy);
  if (ms < CLOCK_SANE_MS || ms > CLOCK_LATEST_MS) {
    return warning("clock", `${time} cannot be right: windows are ignored, and {date} in "path" is wrong`, remedy);
  }
  const isSet = await isSynchronised(machine);
  if (isSet === undefined) return ok("clock", `${time}; whether it is set from the network cannot be told`);
  if (isSet) return ok("clock", `${time}, set from the network`);
  return warning("clock", `${time}, not set from the network yet`, remedy);
}

async function isSynchronised(machine: Machine): Promise<boolean | undefined> {
  if (machine.exists("/run/systemd/timesync/synchronized")) return true;
  const answer = await machine.output("timedatectl", ["show", "--property=NTPSynchronized", "--value"]);
  return answer === "yes" ? true : answer === "no" ? false : undefined;
}
