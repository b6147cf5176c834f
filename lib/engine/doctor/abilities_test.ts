import assert from "node:assert/strict";
import type { JobConfig, TargetConfig } from "../../config/mod.ts";
import { abilityFindings } from "./abilities.ts";
import type { DoctorFinding } from "./finding.ts";

function job(other: Partial<JobConfig> = {}): JobConfig {
  return {
    name: "logs",
    after: "keep",
    deleteProof: "size",
    onConflict: "rename",
    onUncertain: "hold",
    limits: {},
    ...other,
  } as JobConfig;
}

const target = {} as TargetConfig;
const asSource = (other: Partial<JobConfig> = {}) => ({ sources: [job(other)], targets: [] });
const asTarget = (other: Partial<JobConfig> = {}) => ({ sources: [], targets: [{ job: job(other), target }] });
const about = { device: "camera" };
const named = (findings: DoctorFinding[], name: string) => findings.find((finding) => finding.name === name);

const ALL = {
  resumeDownload: true,
  resumeUpload: true,
  atomicReplace: true,
  confirm: true,
  remove: true,
  rateLimit: true,
  checksums: ["sha256"],
};

Deno.test("abilityFindings() put all that a driver can do into one line", () => {
  const source = abilityFindings(
    ALL,
    "source",
    asSource({ after: "delete", limits: { downloadBytesPerSecond: 1 } }),
    about,
  );
  assert.deepEqual(source.map(({ name, level }) => [name, level]), [["abilities", "ok"]]);
  const strict = asTarget({ after: "delete", deleteProof: "checksum", onConflict: "replace" });
  assert.deepEqual(abilityFindings(ALL, "target", strict, about).map(({ level }) => level), ["ok"]);
});

Deno.test("abilityFindings() warn of transfers that start again", () => {
  assert.match(named(abilityFindings({}, "source", asSource(), about), "resume")!.detail, /^A download that is cut/);
  assert.match(named(abilityFindings({}, "target", asTarget(), about), "resume")!.detail, /^An upload that is cut/);
});

Deno.test("abilityFindings() tell what becomes of an upload that nobody can ask about", () => {
  const hold = named(abilityFindings({}, "target", asTarget(), about), "confirm")!;
  assert.match(hold.detail, /the file is held until you decide$/);
  const retry = named(abilityFindings({}, "target", asTarget({ onUncertain: "retry" }), about), "confirm")!;
  assert.match(retry.detail, /may be there twice$/);
  assert.equal(named(abilityFindings({ repeatable: true }, "target", asTarget(), about), "confirm"), undefined);
});

Deno.test("abilityFindings() find it a problem when files can never be removed although they shall be", () => {
  const source = named(abilityFindings({}, "source", asSource({ after: "delete" }), about), "remove")!;
  assert.deepEqual([source.level, source.exitCode, source.job], ["problem", 3, "logs"]);
  const proof = asTarget({ after: "delete", deleteProof: "checksum" });
  assert.equal(named(abilityFindings({}, "target", proof, about), "remove")?.exitCode, 3);
  assert.equal(named(abilityFindings({}, "target", asTarget({ after: "delete" }), about), "remove"), undefined);
});

Deno.test("abilityFindings() warn of limits that are not kept, on the side that has them", () => {
  const limits = { uploadBytesPerSecond: 1000 };
  assert.match(named(abilityFindings({}, "target", asTarget({ limits }), about), "limits")!.detail, /"limits\.upload"/);
  assert.equal(named(abilityFindings({}, "source", asSource({ limits }), about), "limits"), undefined);
});

Deno.test("abilityFindings() warn of a moment without a file where files are replaced", () => {
  assert.equal(
    named(abilityFindings({}, "target", asTarget({ onChange: "replace" }), about), "replace")?.level,
    "warning",
  );
  assert.equal(named(abilityFindings({}, "target", asTarget(), about), "replace"), undefined);
});
