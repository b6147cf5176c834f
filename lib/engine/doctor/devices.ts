/** Each device once in each role: its driver is started and asked, in a process of its own and in bounded time. */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asDriverError, type Capabilities, DriverError, type Finding, type Role } from "../../driver/mod.ts";
import type { DeviceConfig } from "../../config/mod.ts";
import { HostedDevice, type Plugin } from "../../host/mod.ts";
import { EXIT } from "../errors.ts";
import { abilityFindings, type Uses } from "./abilities.ts";
import { type About, type DoctorFinding, exitOfAnswer, ok, problem, warning } from "./finding.ts";

/** A device in one role, with all that is needed to ask it. */
export interface DeviceUse {
  device: DeviceConfig;
  role: Role;
  plugin: Plugin;
  /** With the secrets in them. */
  args: Record<string, unknown>;
  uses: Uses;
  /** What the driver remembers between its lives; `undefined` when it never ran. */
  stateDir: string | undefined;
}

/** How a device is asked. */
export interface AskOptions {
  signal: AbortSignal;
  /** Longest time for one device, milliseconds. */
  deviceMsMax: number;
  /** The process that moves files at the moment. */
  daemonPid: number | undefined;
}

/** Most bytes of one file of a driver's memory that are handed to its double. */
const MEMORY_BYTES_MAX = 1024 * 1024;

/**
 * Starts the driver, asks for its own findings, then whether the device is there (`stat` of the root).
 * @throws {DOMException} `AbortError` when `signal` is aborted
 */
export async function deviceFindings(use: DeviceUse, options: AskOptions): Promise<DoctorFinding[]> {
  const { device, role, plugin } = use;
  const about: About = { device: device.name, role };
  if (plugin.exclusive && options.daemonPid !== undefined) {
    const detail = `Not asked: the filesync that runs as process ${options.daemonPid} has it, and one alone may`;
    return [warning("device", detail, "filesync status tells how it is", about)];
  }
  const folder = mkdtempSync(join(tmpdir(), "filesync-doctor-"));
  const stateDir = join(folder, "state");
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), options.deviceMsMax);
  const hosted = new HostedDevice({
    plugin,
    name: device.name,
    role,
    args: use.args,
    spoolDir: folder,
    stateDir,
  });
  try {
    copyMemory(use.stateDir, stateDir);
    const findings = await ask(hosted, use, {
      about,
      isLate: () => late.signal.aborted,
      ms: options.deviceMsMax,
      daemonPid: options.daemonPid,
      signal: AbortSignal.any([options.signal, late.signal]),
    });
    options.signal.throwIfAborted();
    // Remedies that name the driver's memory mean the real one.
    return use.stateDir === undefined ? findings : findings.map((finding) => renamed(finding, stateDir, use.stateDir!));
  } finally {
    clearTimeout(timer);
    await hosted.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The double of a driver knows what the driver knows, such as that something used to be mounted; it changes nothing of it. */
function copyMemory(from: string | undefined, to: string): void {
  mkdirSync(to, { mode: 0o700 });
  if (from === undefined) return;
  try {
    for (const { name } of readdirSync(from, { withFileTypes: true }).filter((entry) => entry.isFile())) {
      if (statSync(join(from, name)).size <= MEMORY_BYTES_MAX) copyFileSync(join(from, name), join(to, name));
    }
  } catch (error) {
    // Another user's, or changed at this moment: the driver then looks as if for the first time.
    if (!["EACCES", "ENOENT"].includes((error as { code?: string }).code ?? "")) throw error;
  }
}

function renamed(finding: DoctorFinding, from: string, to: string): DoctorFinding {
  const { detail, remedy } = finding;
  return {
    ...finding,
    detail: detail.replaceAll(from, to),
    ...(remedy === undefined ? {} : { remedy: remedy.replaceAll(from, to) }),
  };
}

interface Asking {
  about: About;
  isLate: () => boolean;
  ms: number;
  daemonPid: number | undefined;
  signal: AbortSignal;
}

async function ask(hosted: HostedDevice, use: DeviceUse, asking: Asking): Promise<DoctorFinding[]> {
  const { about, signal } = asking;
  let capabilities: Capabilities;
  try {
    capabilities = await hosted.capabilities({ signal });
  } catch (error) {
    return [failure("driver", error, asking)];
  }
  const abilities = abilityFindings(capabilities, use.role, use.uses, about);
  let findings: DoctorFinding[] | undefined;
  try {
    // Before a look at the root: the driver knows better what is in the way, and a wrong password is tried once.
    findings = (await hosted.check({ signal })).map((finding) => fromDriver(finding, about));
    if (findings.some((finding) => finding.level === "problem")) return [...findings, ...abilities];
  } catch (error) {
    if (!isUnsupported(error)) return [failure("device", error, asking), ...abilities];
  }
  try {
    await hosted.stat("", { signal });
  } catch (error) {
    // A target need not be able to look at anything.
    if (!isUnsupported(error)) return [failure("device", error, asking), ...abilities];
    if (findings === undefined) {
      const detail = "The driver cannot look without moving a file: only its arguments are checked";
      return [warning("device", detail, undefined, about), ...abilities];
    }
  }
  if (findings === undefined) return [ok("device", "is there; the driver has no further checks", about), ...abilities];
  return [...(findings.length > 0 ? findings : [ok("device", "is there", about)]), ...abilities];
}

function isUnsupported(error: unknown): boolean {
  return error instanceof DriverError && error.code === "unsupported";
}

function failure(name: string, raw: unknown, { about, isLate, ms, daemonPid }: Asking): DoctorFinding {
  if (isLate()) {
    const detail = `Device did not answer in ${Math.ceil(ms / 1000)} s`;
    return problem(name, EXIT.unavailable, detail, "Look whether it is switched on and can be reached", about);
  }
  const error = asDriverError(raw);
  const busy = error.code === "unavailable" && daemonPid !== undefined
    ? `The filesync that runs as process ${daemonPid} may have its only connection: filesync status`
    : undefined;
  return problem(name, exitOfAnswer(error.code), error.message, error.details.hint ?? busy, about);
}

/** What the driver found: what is fine and could be better comes with a remedy. */
function fromDriver({ name, ok: isOk, detail, remedy, code }: Finding, about: About): DoctorFinding {
  if (!isOk) return problem(name, exitOfAnswer(code ?? "failed"), detail, remedy, about);
  return remedy === undefined ? ok(name, detail, about) : warning(name, detail, remedy, about);
}
