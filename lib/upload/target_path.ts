/** The name that a file gets on a target, from the job's template. */
import { DriverError, pathProblem } from "../driver/mod.ts";

export interface PathFacts {
  path: string;
  job: string;
  /** Device id of the source: tells vehicles and cards apart. */
  device: string;
  host: string;
  /** Modification time, or when the file was found; milliseconds since 1970 UTC. */
  timeMs: number;
}

const PLACEHOLDER = /\{(path|job|device|host|date)\}/g;

/** What stands for each placeholder; made only where the template has it. */
const VALUES = {
  path: ({ path }: PathFacts) => path,
  job: ({ job }: PathFacts) => oneName(job),
  device: ({ device }: PathFacts) => oneName(device),
  host: ({ host }: PathFacts) => oneName(host),
  // Not the first ten characters: a card may say that it is the year 12345.
  date: ({ timeMs }: PathFacts) => new Date(timeMs).toISOString().split("T")[0]!,
};

/**
 * The path on the target.
 * @throws {DriverError} `rejected` when it cannot be represented
 */
export function targetPath(template: string, facts: PathFacts): string {
  const path = template.replace(PLACEHOLDER, (_, name: keyof typeof VALUES) => VALUES[name](facts));
  const problem = path === "" ? "name is empty" : pathProblem(path);
  if (problem !== undefined) throw new DriverError("rejected", `Name on the target cannot be used: ${problem}`);
  return path;
}

/** A value that stands for one name: no separators, no control characters, never `.` or `..`. */
function oneName(value: string): string {
  // deno-lint-ignore no-control-regex
  const name = value.replace(/[/\\\u0000-\u001f\u007f]/g, "_");
  return name === "." || name === ".." || name === "" ? "_" : name;
}
