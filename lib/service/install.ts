/** Puts a service into a system, and takes it out again: each step only where it is needed. */
import { lstatSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type KnownDevice, type ServiceFacts, serviceFiles, STATE_DIR } from "./unit.ts";

/** One thing that was done, or was right already. */
export interface Step {
  what: string;
  done: boolean;
}

/** What a program of the system said when it failed. */
export class ServiceError extends Error {
  override readonly name = "ServiceError";
  /** What to do. */
  readonly hint?: string;

  /** @param hint what to do */
  constructor(message: string, hint?: string) {
    super(message);
    if (hint !== undefined) this.hint = hint;
  }
}

/** The system that a service is put into. */
export interface System {
  /** `/`, or the root of another system: an image that is being made. */
  root: string;
  /** Whether it runs: only then can its service manager and its users be asked. */
  live: boolean;
  /**
   * Runs a command; the answer is what it printed.
   * @throws {ServiceError} With its words, if it fails
   */
  run(command: string, args: string[]): string;
}

/**
 * The system below a folder.
 * @param root `/` for the system that runs
 */
export function systemOf(root: string): System {
  return { root, live: root === "/", run };
}

function run(command: string, args: string[]): string {
  let output;
  try {
    output = new Deno.Command(command, { args, stdin: "null" }).outputSync();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new ServiceError(`Cannot run ${command}: it is not on PATH`);
  }
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (!output.success) {
    const said = text(output.stderr) || `exit code ${output.code}`;
    throw new ServiceError(`Cannot run "${[command, ...args].join(" ")}": ${said}`);
  }
  return text(output.stdout);
}

/**
 * Makes the user, writes the files, and has the service start now and at each boot. Said twice, nothing changes.
 * @param check called when the user is there and nothing is written yet; may throw
 * @throws {ServiceError} If a step fails
 */
export function applyService(facts: ServiceFacts, system: System, check: () => void = () => {}): Step[] {
  const steps: Step[] = [];
  const at = (path: string) => join(system.root, path);
  if (!isUser(facts.user, system)) {
    system.run("useradd", [
      ...(system.live ? [] : ["--root", system.root]),
      ...[
        "--system",
        "--user-group",
        "--home-dir",
        facts.stateDirectory === undefined ? STATE_DIR : `/var/lib/${facts.stateDirectory}`,
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
        facts.user,
      ],
    ]);
    steps.push({ what: `user ${facts.user}`, done: true });
  } else steps.push({ what: `user ${facts.user}`, done: false });
  check();
  for (const { path, text, mode } of facts.kept) {
    const done = !isThere(at(path));
    if (done) writeText(at(path), text, mode);
    steps.push({ what: path, done });
  }
  let hasChanged = false;
  for (const { path, text } of serviceFiles(facts)) {
    const done = readText(at(path)) !== text;
    if (done) writeText(at(path), text);
    hasChanged ||= done;
    steps.push({ what: path, done });
  }
  if (system.live && facts.known.length > 0 && hasChanged) applyRules(system);
  const unit = `${facts.name}.service`;
  if (!system.live) {
    system.run("systemctl", ["--root", system.root, "enable", unit]);
    return [...steps, { what: `${unit} starts at boot`, done: true }];
  }
  if (hasChanged) system.run("systemctl", ["daemon-reload"]);
  const wasEnabled = isTrue(() => system.run("systemctl", ["is-enabled", unit]));
  if (!wasEnabled) system.run("systemctl", ["enable", unit]);
  steps.push({ what: `${unit} starts at boot`, done: !wasEnabled });
  const isRunning = isTrue(() => system.run("systemctl", ["is-active", unit]));
  if (!isRunning || hasChanged) system.run("systemctl", [isRunning ? "restart" : "start", unit]);
  steps.push({ what: `${unit} runs`, done: !isRunning || hasChanged });
  return steps;
}

/**
 * Stops the service and removes its files. State, configuration and user stay: they are what a person made, or would
 * miss.
 * @throws {ServiceError} If a step fails
 */
export function removeService(facts: Pick<ServiceFacts, "name">, system: System): Step[] {
  const unit = `${facts.name}.service`;
  const anyDevice: KnownDevice = { subsystem: "tty", match: "KERNEL", value: "any" };
  const files = serviceFiles({ ...NOTHING, ...facts, mounts: true, known: [anyDevice] }).map(({ path }) => ({
    path,
    there: readText(join(system.root, path)) !== undefined,
  }));
  const isInstalled = files[0]!.there;
  if (isInstalled) {
    system.run("systemctl", system.live ? ["disable", "--now", unit] : ["--root", system.root, "disable", unit]);
  }
  const steps = [{ what: `${unit} is stopped and does not start at boot`, done: isInstalled }];
  for (const { path, there } of files.filter((file) => file.there)) {
    Deno.removeSync(join(system.root, path));
    steps.push({ what: `${path} is removed`, done: there });
  }
  if (isInstalled && system.live) system.run("systemctl", ["daemon-reload"]);
  return steps;
}

const NOTHING: ServiceFacts = {
  name: "",
  description: "",
  program: "",
  args: [],
  user: "",
  hopeless: [],
  writable: [],
  readable: [],
  credentials: [],
  listens: false,
  kept: [],
  serial: false,
  drives: false,
  mounts: false,
  mountPoints: [],
  known: [],
};

/** Where there is no udev, as in a container, nothing is lost: a device keeps the rights that it has. */
function applyRules(system: System): void {
  isTrue(() => system.run("udevadm", ["control", "--reload"]));
  isTrue(() => system.run("udevadm", ["trigger", "--subsystem-match=tty", "--subsystem-match=block"]));
}

function isUser(user: string, system: System): boolean {
  const passwd = readText(join(system.root, "etc/passwd")) ?? "";
  if (passwd.split("\n").some((line) => line.startsWith(`${user}:`))) return true;
  return system.live && isTrue(() => system.run("id", ["--", user]));
}

function isTrue(ask: () => unknown): boolean {
  try {
    ask();
    return true;
  } catch {
    return false;
  }
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Whole or not at all: a power cut leaves no half unit. */
function writeText(path: string, text: string, mode = 0o644): void {
  // Who may not read the file need not see its folder either.
  Deno.mkdirSync(dirname(path), { recursive: true, mode: mode === 0o644 ? 0o755 : 0o700 });
  const temporary = `${path}.filesync-new`;
  writeFileSync(temporary, text, { mode, flush: true });
  renameSync(temporary, path);
}
