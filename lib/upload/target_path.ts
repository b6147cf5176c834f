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

/**
 * The path on the target.
 * @throws {DriverError} `rejected` when it cannot be represented
 */
export function targetPath(template: string, facts: PathFacts): string {
  const values: Record<string, string> = {
    path: facts.path,
    job: oneName(facts.job),
    device: oneName(facts.device),
    host: oneName(facts.host),
    // Not the first ten characters: a card may say that it is the year 12345.
    date: new Date(facts.timeMs).toISOString().split("T")[0]!,
  };
  const path = template.replace(/\{(path|job|device|host|date)\}/g, (_, name: string) => values[name] ?? "");
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
