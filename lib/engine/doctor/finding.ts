/** What `filesync doctor` finds, and the exit code that it comes to. */
import type { ErrorCode, Role } from "../../driver/mod.ts";
import { EXIT, exitOfCode, firstExit } from "../exit_codes.ts";

/** `warning`: it works, and somebody should know. `problem`: it does not work, or loses what it should keep. */
export type Level = "ok" | "warning" | "problem";

/** What a finding is about, when that is not the machine. */
export interface About {
  device?: string;
  /** The side on which the device was looked at. */
  role?: Role;
  job?: string;
}

/** One line of the report. */
export interface DoctorFinding extends About {
  /** What was looked at: `configuration`, `clock`, `write`. */
  name: string;
  level: Level;
  detail: string;
  /** What to do, as a command where possible. */
  remedy?: string;
  /** The exit code of the contract that a problem comes to. */
  exitCode?: number;
}

export function ok(name: string, detail: string, about: About = {}): DoctorFinding {
  return { name, level: "ok", detail, ...about };
}

export function warning(name: string, detail: string, remedy?: string, about: About = {}): DoctorFinding {
  return { name, level: "warning", detail, ...(remedy === undefined ? {} : { remedy }), ...about };
}

/** @param exitCode one of `EXIT` */
export function problem(
  name: string,
  exitCode: number,
  detail: string,
  remedy?: string,
  about: About = {},
): DoctorFinding {
  return { name, level: "problem", detail, ...(remedy === undefined ? {} : { remedy }), ...about, exitCode };
}

/** The exit code of what a device answered. Its root is what it was asked for: without it the device is away. */
export function exitOfAnswer(code: ErrorCode): number {
  return code === "not_found" ? EXIT.unavailable : exitOfCode(code);
}

/** What all findings come to. */
export interface Verdict {
  findings: number;
  warnings: number;
  problems: number;
  exitCode: number;
}

/** Counts findings as they come. */
export class Tally {
  readonly verdict: Verdict = { findings: 0, warnings: 0, problems: 0, exitCode: EXIT.ok };

  add(finding: DoctorFinding): void {
    this.verdict.findings++;
    if (finding.level === "warning") this.verdict.warnings++;
    if (finding.level !== "problem") return;
    this.verdict.problems++;
    this.verdict.exitCode = firstExit([this.verdict.exitCode, finding.exitCode ?? EXIT.failed]);
  }
}

/** `text` as one word of a shell command. */
export function shellWord(text: string): string {
  return /^[\w./:@%+,=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
