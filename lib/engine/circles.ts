/**
 * What makes a configuration unusable though every key of it is right: files that go round. A source that is its own
 * target would lose its files to `after: "delete"`, one that holds its target or the state store never comes to an end.
 */
import { type Config, ConfigError, locateProblems } from "../config/mod.ts";
import type { PluginSet } from "../host/mod.ts";
import type { DoctorFinding } from "./doctor/finding.ts";
import { jobFindings } from "./doctor/jobs.ts";
import { THIS_MACHINE } from "./doctor/machine.ts";

/**
 * Refuses a configuration whose files go round.
 * @returns what a person should know of its jobs, though they can run
 * @throws {ConfigError} with each circle at its place in the file
 */
export function checkCircles(config: Config, plugins: PluginSet): string[] {
  const findings = jobFindings(THIS_MACHINE, config, plugins);
  const circles = findings.filter(({ level, name }) => level === "problem" && name === "circle");
  if (circles.length > 0) {
    throw new ConfigError(locateProblems(
      config.file,
      circles.map(({ job, detail, remedy }) => ({
        key: config.jobs.find(({ name }) => name === job)?.source.place ?? "jobs",
        message: detail,
        ...(remedy === undefined ? {} : { hint: remedy }),
      })),
    ));
  }
  return findings.map(({ job, detail, remedy }: DoctorFinding) =>
    `${job === undefined ? "" : `Job "${job}": `}${detail}${remedy === undefined ? "" : `. ${remedy}`}`
  );
}
