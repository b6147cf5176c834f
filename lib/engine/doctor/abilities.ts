/** What a driver can and cannot do, in the words of whoever depends on it. */
import type { JobConfig, TargetConfig } from "../../config/mod.ts";
import type { Capabilities, Role } from "../../driver/mod.ts";
import { EXIT } from "../errors.ts";
import { type About, type DoctorFinding, ok, problem, warning } from "./finding.ts";

/** The jobs that use a device in one role; of a target with its name in the job. */
export interface Uses {
  sources: JobConfig[];
  targets: { job: JobConfig; target: TargetConfig }[];
}

/** One line of what works, and one for each thing that the jobs ask for and the driver cannot do. */
export function abilityFindings(
  capabilities: Capabilities,
  role: Role,
  uses: Uses,
  about: About,
): DoctorFinding[] {
  const able: string[] = [];
  const findings = role === "source"
    ? sourceFindings(capabilities, uses, about, able)
    : targetFindings(capabilities, uses, about, able);
  const limited = jobsOf(role, uses).filter(({ limits }) =>
    (role === "source" ? limits.downloadBytesPerSecond : limits.uploadBytesPerSecond) !== undefined
  );
  if (capabilities.rateLimit === true) able.push("keeps bandwidth limits");
  else {
    for (const job of limited) {
      const key = role === "source" ? "limits.download" : "limits.upload";
      const detail = `Driver cannot keep a bandwidth limit: "${key}" has no effect`;
      findings.push(
        warning("limits", detail, "Limit it at the other end, or in the network", { ...about, job: job.name }),
      );
    }
  }
  return able.length === 0 ? findings : [ok("abilities", able.join("; "), about), ...findings];
}

function jobsOf(role: Role, { sources, targets }: Uses): JobConfig[] {
  return role === "source" ? sources : targets.map(({ job }) => job);
}

function sourceFindings(capabilities: Capabilities, uses: Uses, about: About, able: string[]): DoctorFinding[] {
  const findings: DoctorFinding[] = [];
  if (capabilities.resumeDownload === true) able.push("cut downloads go on where they stopped");
  else findings.push(warning("resume", "A download that is cut starts again from the first byte", undefined, about));
  if (capabilities.remove === true) able.push("delivered files can be removed");
  for (const job of uses.sources) {
    if (job.after !== "delete" || capabilities.remove === true) continue;
    const detail = 'Driver cannot remove files: with "after": "delete" every file stays there';
    findings.push(problem("remove", EXIT.config, detail, 'Set "after": "keep"', { ...about, job: job.name }));
  }
  return findings;
}

function targetFindings(capabilities: Capabilities, uses: Uses, about: About, able: string[]): DoctorFinding[] {
  const { resumeUpload, confirm, repeatable, atomicReplace, checksums = [] } = capabilities;
  const findings: DoctorFinding[] = [];
  if (resumeUpload === true) able.push("cut uploads go on where they stopped");
  else findings.push(warning("resume", "An upload that is cut starts again from the first byte", undefined, about));
  if (confirm === true) able.push("it is asked whether an upload landed before that is repeated");
  else if (repeatable === true) able.push("an upload that is repeated leaves one file");
  for (const { job } of uses.targets) {
    const here = { ...about, job: job.name };
    if (confirm !== true && repeatable !== true) findings.push(unanswered(job, here));
    if (atomicReplace !== true && (job.onConflict === "replace" || job.onChange === "replace")) {
      const detail = "While a file is replaced there is a moment in which neither the old nor the new one is there";
      findings.push(
        warning("replace", detail, 'Where that hurts: "on_conflict": "rename", "on_change": "rename"', here),
      );
    }
    if (job.after === "delete" && job.deleteProof === "checksum" && checksums.length === 0) {
      const detail =
        'Target gives no checksums: with "delete_proof": "checksum" no file is ever removed from the source';
      findings.push(problem("remove", EXIT.config, detail, 'Set "delete_proof": "size", or "after": "keep"', here));
    }
  }
  return findings;
}

function unanswered(job: JobConfig, about: About): DoctorFinding {
  const lost = "When the answer to an upload is lost, nobody can ask whether it landed";
  if (job.onUncertain === "retry") {
    const detail = `${lost}: it is sent again, and may be there twice`;
    return warning("confirm", detail, 'To decide for each file: "on_uncertain": "hold"', about);
  }
  const detail = `${lost}: the file is held until you decide`;
  return warning("confirm", detail, 'If twice is better than late: "on_uncertain": "retry"', about);
}
