/**
 * The original Python program's configuration, in each form that it had, as the form of today.
 */
import { extname } from "node:path";
import { didYouMean, type Path } from "./explain.ts";
import { formatDuration } from "./units.ts";

type Raw = Record<string, unknown>;

/** A value of the original's form, converted. */
export interface Converted {
  value: Raw;
  /** From where in the file each part came, for messages. */
  moved: Moved[];
  notices: string[];
}

/** What stands at `to` in the new form stood at `from` in the file. */
export interface Moved {
  to: Path;
  from: Path;
}

const NEW_KEYS = ["jobs", "devices", "spool", "state", "log", "plugins", "http", "hooks"];
const WORKER_KEYS = ["name", "enable", "mover_count", "logger", "finder", "db_backup", "rules", "source", "target"];
/** Keys of the original, and of its older forms, that mean nothing here. */
const IGNORED_KEYS = ["gui", "db"];
const OLDER_KEYS = ["count", "disable"];
/** Where mavros, which the original asked, looks for an autopilot when it is told nothing. */
const AUTOPILOT_URL = "serial:///dev/ttyACM0";

/** What the parts of a file add to. */
interface Found {
  moved: Moved[];
  unknown: Set<string>;
  notices: Set<string>;
}

/** Whether a parsed file is one of the original's: one worker, or a list of `workers`. */
export function isLegacy(value: unknown): value is Raw {
  if (!isObject(value) || NEW_KEYS.some((key) => key in value)) return false;
  return "workers" in value || [...WORKER_KEYS.slice(1), ...IGNORED_KEYS].some((key) => key in value);
}

/** The original's form as today's. Values of a wrong type are handed on, so that the check of today's form tells them. */
export function fromLegacy(file: Raw): Converted {
  const moved: Moved[] = [{ to: [], from: [] }];
  const ignored = new Set<string>();
  const unknown = new Set<string>();
  const told = new Set<string>();
  const workers: [Raw, Path][] = Array.isArray(file.workers)
    ? file.workers.map((worker, index) => [isObject(worker) ? worker : {}, ["workers", index]])
    : [[file, []]];
  if (Array.isArray(file.workers)) collectIgnored(file, ["workers"], ["deprecated"], ignored, unknown);

  const value: Raw = {};
  const log: Raw = {};
  const jobs = workers.map(([worker, from], index) => {
    collectIgnored(worker, [...WORKER_KEYS, ...OLDER_KEYS], IGNORED_KEYS, ignored, unknown);
    takeState(worker, from, value, moved);
    takeLogger(worker, from, log, moved);
    return jobOf(worker, { from, index, moved, unknown, notices: told });
  });
  if (Object.keys(log).length > 0) value.log = log;
  value.jobs = jobs;

  const notices: string[] = [...told];
  if (ignored.size > 0) {
    notices.push(`Keys of the original program that have no meaning here are ignored: ${quoted(ignored)}`);
  }
  if (unknown.size > 0) notices.push(`Unknown keys are ignored, as the original did: ${[...unknown].join(", ")}`);
  notices.push(
    'Files stay on the source; the original deleted them after the move. For that, write the new form with "filesync ' +
      'config convert" and set "after": "delete"',
  );
  return { value, moved, notices };
}

/** Where in the original's file a path of the new form came from. */
export function legacyPath(path: Path, moved: readonly Moved[]): Path {
  let best: Moved = { to: [], from: [] };
  for (const candidate of moved) {
    const fits = candidate.to.every((part, index) => path[index] === part);
    if (fits && candidate.to.length >= best.to.length) best = candidate;
  }
  return [...best.from, ...path.slice(best.to.length)];
}

function jobOf(worker: Raw, at: Found & { from: Path; index: number }): Raw {
  const { from, index, moved } = at;
  const to = ["jobs", index];
  moved.push({ to, from });
  const job: Raw = { name: worker.name ?? `worker_${index + 1}` };
  if (worker.enable === false || worker.disable === true) job.enable = false;
  else if (worker.enable !== undefined && worker.enable !== true) job.enable = worker.enable;
  for (const role of ["source", "target"]) {
    if (worker[role] !== undefined) {
      job[role] = deviceOf(worker[role], { ...at, from: [...from, role], to: [...to, role] });
    }
  }
  const { rules, finder } = worker;
  if (isObject(rules) ? Object.keys(rules).length > 0 : rules !== undefined) job.rules = rules;
  if (isObject(finder)) {
    for (const key of ["search_interval", "finder_interval"]) {
      const interval = finder[key];
      if (interval === undefined) continue;
      const seconds = typeof interval === "number" && interval >= 0 && Number.isFinite(interval);
      job.finder = { interval: seconds ? formatDuration(Math.round(interval * 1000)) : interval };
      moved.push({ to: [...to, "finder", "interval"], from: [...from, "finder", key] });
    }
    // An older form listed extensions instead of rules.
    if (Array.isArray(finder.extensions) && job.rules === undefined) {
      job.rules = { include: finder.extensions.map((extension) => `*.${extension}`) };
    }
  } else if (finder !== undefined) job.finder = finder;
  for (const key of ["count", "mover_count"]) {
    if (worker[key] === undefined) continue;
    job.movers = worker[key];
    moved.push({ to: [...to, "movers"], from: [...from, key] });
  }
  return job;
}

function deviceOf(spec: unknown, at: Found & { from: Path; to: Path }): unknown {
  if (!isObject(spec)) return spec;
  collectIgnored(spec, ["device", "device_class", "module_path", "args"], [], new Set(), at.unknown);
  const key = ["device", "device_class", "module_path"].find((key) => spec[key] !== undefined);
  const device: Raw = {};
  if (key !== undefined) {
    const name = spec[key];
    device.driver = typeof name === "string" ? name.toLowerCase().replace(/^device_/, "") : name;
    at.moved.push({ to: [...at.to, "driver"], from: [...at.from, key] });
  }
  if (!isObject(spec.args) && spec.args !== undefined) return { ...device, args: spec.args };
  const { logger: _logger, ...args } = spec.args ?? {};
  if (device.driver === "mavftp" && args.url === undefined) {
    args.url = AUTOPILOT_URL;
    at.notices.add(
      `The original reached the autopilot through ROS: it is looked for at "${AUTOPILOT_URL}" now; "url" in the args of ` +
        "the device names another place",
    );
  }
  if (spec.args === undefined && Object.keys(args).length === 0) return device;
  if (device.driver === "local" && args.mount_point !== undefined && args.dir === undefined) {
    args.dir = args.mount_point;
    delete args.mount_point;
    at.moved.push({ to: [...at.to, "args", "dir"], from: [...at.from, "args", "mount_point"] });
  }
  if (device.driver === "post") {
    if (isObject(args.values)) args.values = formFields(args.values);
    // device_post.py knew no other form than that of a PX4 Flight Review, wherever that is.
    args.preset ??= "px4";
  }
  return { ...device, args };
}

/** The fields of the upload form under the names that logs.px4.io gives them; device_post.py renamed them so. */
function formFields(values: Raw): Raw {
  const names: Record<string, string> = { additional_feedback: "feedback", allow_for_analysis: "allowForAnalysis" };
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      names[name] ?? name,
      typeof value === "boolean" ? String(value) : value,
    ]),
  );
}

function takeState(worker: Raw, from: Path, value: Raw, moved: Moved[]): void {
  for (const key of ["db_backup", "db"]) {
    const backup = worker[key];
    if (value.state !== undefined || !isObject(backup) || backup.db_path === undefined) continue;
    const path = backup.db_path;
    value.state = typeof path === "string" && path !== "" ? databasePath(path) : path;
    moved.push({ to: ["state"], from: [...from, key, "db_path"] });
  }
}

function databasePath(path: string): string {
  const extension = extname(path);
  if (extension === ".db") return path;
  return extension === ".json" ? `${path.slice(0, -extension.length)}.db` : `${path}.db`;
}

function takeLogger(worker: Raw, from: Path, log: Raw, moved: Moved[]): void {
  if (!isObject(worker.logger) || Object.keys(log).length > 0) return;
  const { log_path, log_level, console_output } = worker.logger;
  const take = (key: string, value: unknown, old: string) => {
    log[key] = value;
    moved.push({ to: ["log", key], from: [...from, "logger", old] });
  };
  if (log_level !== undefined) take("level", levelOf(log_level), "log_level");
  if (log_path !== undefined && log_path !== "") take("file", log_path, "log_path");
  if (console_output !== undefined && console_output !== true) take("console", console_output, "console_output");
}

function levelOf(level: unknown): unknown {
  if (typeof level !== "string") return level;
  const name = level.toLowerCase();
  const others: Record<string, string> = { critical: "error", fatal: "error", warn: "warning", notset: "debug" };
  return others[name] ?? name;
}

function collectIgnored(
  value: Raw,
  known: readonly string[],
  meaningless: readonly string[],
  ignored: Set<string>,
  unknown: Set<string>,
): void {
  for (const key of Object.keys(value)) {
    // Its authors kept what they did not use under such names.
    if (known.includes(key) || key.startsWith("_") || key.startsWith("dontused")) continue;
    if (meaningless.includes(key)) ignored.add(key);
    else unknown.add(`"${key}"${didYouMean(key, known).replace("; did", " (did").replace(/\?$/, "?)")}`);
  }
}

function quoted(names: Iterable<string>): string {
  return [...names].map((name) => `"${name}"`).join(", ");
}

function isObject(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
