/** What a configuration means for its files, though every key of it is right: circles, collisions, nothing taken. */
import { join } from "node:path";
import type { Config, DeviceConfig, JobConfig, TargetConfig } from "../../config/mod.ts";
import { compileRules } from "../../finder/rules.ts";
import type { PluginSet } from "../../host/mod.ts";
import { targetPath } from "../../upload/target_path.ts";
import { EXIT } from "../errors.ts";
import { realPath } from "./filesystems.ts";
import { type DoctorFinding, problem, warning } from "./finding.ts";
import type { Machine } from "./machine.ts";
import { HERE, inside, type Place, placeOf } from "./places.ts";
import { samplesOf, takesNothing } from "./samples.ts";

/** A job with what is found out about it once. */
interface Studied {
  job: JobConfig;
  source: Place;
  targets: { target: TargetConfig; place: Place }[];
  /** Paths that its rules are about. */
  samples: string[];
  takes: (path: string) => boolean;
}

/** Findings about jobs; none when all is well. */
export function jobFindings(machine: Machine, config: Config, plugins: PluginSet): DoctorFinding[] {
  const placeOfDevice = (device: DeviceConfig) => placeOf(device, plugins.get(device.driver));
  const jobs = config.jobs.map((job): Studied => ({
    job,
    source: placeOfDevice(job.source),
    targets: job.targets.map((target) => ({ target, place: placeOfDevice(target.device) })),
    samples: samplesOf(job.rules),
    takes: compileRules(job.rules),
  }));
  return [
    ...jobs.flatMap((job) => [...rules(job), ...ownCircle(machine, job), ...ownFiles(job, config)]),
    ...longCircles(machine, jobs),
    ...collisions(machine, jobs),
  ];
}

function rules({ job }: Studied): DoctorFinding[] {
  if (!takesNothing(job.rules)) return [];
  const [first] = job.rules.exclude;
  const detail = `No file is taken: what "rules.include" takes in, "rules.exclude" leaves out`;
  return [problem("rules", EXIT.config, detail, `Remove or narrow the pattern "${first}"`, { job: job.name })];
}

/** The path on a target that a file of the job gets. */
function nameOn(machine: Machine, { job }: Studied, path: string): string {
  const facts = { path, job: job.name, device: job.source.name, host: machine.host, timeMs: machine.nowMs() };
  return targetPath(job.path, facts);
}

/** Whether what `from` delivers to `place` is found by `to` as a file of its source. */
function feeds(machine: Machine, from: Studied, place: Place, to: Studied): boolean {
  const below = inside(to.source, place);
  const above = inside(place, to.source);
  return from.samples.some((sample) => {
    const name = nameOn(machine, from, sample);
    if (below !== undefined) return to.takes(join(below, name));
    return above !== undefined && name.startsWith(`${above}/`) && to.takes(name.slice(above.length + 1));
  });
}

function ownCircle(machine: Machine, studied: Studied): DoctorFinding[] {
  const { job, source } = studied;
  return studied.targets.flatMap(({ target, place }) => {
    const about = { job: job.name };
    const below = inside(source, place);
    const above = inside(place, source);
    if (below === undefined && above === undefined) return [];
    const name = target.name;
    if (feeds(machine, studied, place, studied)) {
      if (below === "") {
        const detail = `Source and target "${name}" are the same directory: "${place.dir}"`;
        return [problem("circle", EXIT.config, detail, "Give the target another directory", about)];
      }
      const remedy = below === undefined
        ? 'Give the target another directory, or "path" another start'
        : `Give the target another directory, or leave it out: "exclude": ["${below}/*"]`;
      const detail =
        `Target "${name}" delivers into the job's own source "${source.dir}": what is delivered is found ` +
        "again, without end";
      return [problem("circle", EXIT.config, detail, remedy, about)];
    }
    if (above === undefined || above === "") return [];
    const detail =
      `The source lies inside the target "${name}", as "${above}": a file of that name cannot be delivered`;
    return [warning("circle", detail, "Give the target another directory", about)];
  });
}

/** State, spool and log change all the time, and would be delivered all the time. */
function ownFiles({ job, source, targets, takes }: Studied, config: Config): DoctorFinding[] {
  const findings: DoctorFinding[] = [];
  const about = { job: job.name };
  const own: [what: string, path: string, sample: string][] = [
    ["the state store", config.statePath, ""],
    ["the spool", config.spool.dir, "1/1.part"],
    ...(config.log.file === undefined ? [] : [["the log file", config.log.file, ""] as [string, string, string]]),
  ];
  for (const [what, path, sample] of own) {
    const dir = realPath(path);
    const below = inside(source, { space: HERE, dir });
    if (below !== undefined && takes(join(below, sample))) {
      const detail = `The source holds ${what} of filesync itself, which would be delivered at every change: "${path}"`;
      const remedy = below === ""
        ? "Give the source another directory"
        : `Put it elsewhere, or leave it out: "exclude": ["${below}*"]`;
      findings.push(problem("circle", EXIT.config, detail, remedy, about));
    }
  }
  const spool = { space: HERE, dir: realPath(config.spool.dir) };
  for (const { target, place } of targets) {
    if (inside(spool, place) === undefined) continue;
    const detail = `Target "${target.name}" lies in the spool "${config.spool.dir}", which filesync cleans up`;
    findings.push(problem("circle", EXIT.config, detail, "Give the target another directory", about));
  }
  return findings;
}

/** Circles of two jobs and more: A delivers what B finds, and B what A finds. */
function longCircles(machine: Machine, jobs: Studied[]): DoctorFinding[] {
  const next = new Map(jobs.map((from) => [
    from,
    jobs.filter((to) => to !== from && from.targets.some(({ place }) => feeds(machine, from, place, to))),
  ]));
  const findings: DoctorFinding[] = [];
  const done = new Set<Studied>();
  const walk = (job: Studied, path: Studied[]): void => {
    const at = path.indexOf(job);
    if (at >= 0) {
      const names = [...path.slice(at), job].map(({ job }) => `"${job.name}"`).join(" to ");
      const remedy = "Leave out in one of them what the others deliver, or give their targets other directories";
      findings.push(warning("circle", `Files go round, from job ${names}`, remedy));
      return;
    }
    if (done.has(job)) return;
    for (const follower of next.get(job) ?? []) walk(follower, [...path, job]);
    done.add(job);
  };
  for (const job of jobs) walk(job, []);
  return findings;
}

/** Names of jobs that one finding tells. */
const NAMES_MAX = 4;

/** Sources whose files get the same names in the same directory; one finding for each directory. */
function collisions(machine: Machine, jobs: Studied[]): DoctorFinding[] {
  const crowds: { place: Place; jobs: Set<Studied> }[] = [];
  for (const [index, a] of jobs.entries()) {
    for (const b of jobs.slice(index + 1)) {
      if (inside(a.source, b.source) === "" || !(isShared(a, b) || isShared(b, a))) continue;
      const meeting = a.targets.find((one) => b.targets.some((other) => isSameName(machine, [a, one], [b, other])));
      if (meeting === undefined) continue;
      const { place } = meeting;
      const crowd = crowds.find((known) =>
        known.place.space === place.space && known.place.dir === place.dir && (known.jobs.has(a) || known.jobs.has(b))
      );
      if (crowd === undefined) crowds.push({ place, jobs: new Set([a, b]) });
      else crowd.jobs.add(a).add(b);
    }
  }
  return crowds.map(({ place, jobs }) => {
    const meeting = [...jobs].map(({ job }) => job);
    const where = `Files of jobs ${enumerate(meeting.map(({ name }) => name))} get the same names in "${place.dir}"`;
    const remedy = `Set in ${meeting.length === 2 ? "both jobs" : "each of them"} "path": "{job}/${meeting[0]!.path}"`;
    return meeting.some(({ onConflict }) => onConflict === "replace")
      ? problem("names", EXIT.config, `${where}, and "on_conflict": "replace" overwrites them`, remedy)
      : warning("names", `${where}: the second one of a name is renamed or parked`, remedy);
  });
}

function enumerate(names: string[]): string {
  const shown = names.length > NAMES_MAX ? names.slice(0, NAMES_MAX - 1) : names.slice(0, -1);
  const last = names.length > NAMES_MAX ? `${names.length - shown.length} others` : `"${names.at(-1)}"`;
  return `${shown.map((name) => `"${name}"`).join(", ")} and ${last}`;
}

function isShared(a: Studied, b: Studied): boolean {
  return a.samples.some((path) => b.takes(path));
}

type End = [job: Studied, target: Studied["targets"][number]];

function isSameName(machine: Machine, [a, one]: End, [b, other]: End): boolean {
  if (one.place.space !== other.place.space) return false;
  const path = "\ue000";
  return join(one.place.dir, nameOn(machine, a, path)) === join(other.place.dir, nameOn(machine, b, path));
}
