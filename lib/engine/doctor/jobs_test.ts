import assert from "node:assert/strict";
import { loadConfig } from "../../config/mod.ts";
import { discoverPlugins } from "../../host/mod.ts";
import { fakeMachine } from "./_fake_machine.ts";
import type { DoctorFinding } from "./finding.ts";
import { jobFindings } from "./jobs.ts";

const plugins = discoverPlugins({ env: () => undefined });

interface Job {
  name?: string;
  from?: string | object;
  to?: string | object;
  [key: string]: unknown;
}

/** Findings about jobs between directories below one of their own; `links` are made first. */
async function findingsOf(
  jobs: Job[],
  options: { links?: [to: string, name: string][]; config?: object; dirs?: string[] } = {},
): Promise<DoctorFinding[]> {
  const dir = await Deno.realPath(await Deno.makeTempDir());
  try {
    for (const name of options.dirs ?? []) await Deno.mkdir(`${dir}/${name}`, { recursive: true });
    for (const [to, name] of options.links ?? []) await Deno.symlink(`${dir}/${to}`, `${dir}/${name}`);
    const device = (spec: string | object) =>
      typeof spec === "string" ? { driver: "local", args: { dir: spec } } : spec;
    const config = {
      state: "./state/filesync.db",
      jobs: jobs.map(({ name, from = "in", to = "out", ...rest }, index) => ({
        name: name ?? `job${index}`,
        source: device(from),
        target: device(to),
        ...rest,
      })),
      ...options.config,
    };
    await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify(config));
    const findings = jobFindings(fakeMachine(), loadConfig(`${dir}/config.json`, { plugins }), plugins);
    return findings.map((finding) => ({ ...finding, detail: finding.detail.replaceAll(dir, "") }));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const ftp = (dir: string, more: object = {}) => ({
  driver: "ftp",
  args: { host: "nas", user: "a", passwd: "b", dir, ...more },
});
const brief = (findings: DoctorFinding[]) => findings.map(({ name, level }) => `${level} ${name}`);

Deno.test("jobFindings() have nothing to say of jobs that are well", async () => {
  assert.deepEqual(await findingsOf([{}, { from: "in2", path: "{job}/{path}" }, { to: ftp("/logs") }]), []);
  // One after another is no circle.
  assert.deepEqual(await findingsOf([{ from: "a", to: "b" }, { from: "b", to: "c" }]), []);
  // Another directory whose name begins like that of the source.
  assert.deepEqual(await findingsOf([{ from: "in", to: "in2" }]), []);
});

Deno.test("jobFindings() see that source and target are one directory, also through a link and on a server", async () => {
  const [same, ...more] = await findingsOf([{ from: "a", to: "./x/../a" }]);
  assert.deepEqual([same?.level, same?.exitCode, more.length], ["problem", 3, 0]);
  assert.equal(same?.detail, 'Source and target "local" are the same directory: "/a"');
  assert.deepEqual(brief(await findingsOf([{ from: "a", to: "link" }], { dirs: ["a"], links: [["a", "link"]] })), [
    "problem circle",
  ]);
  assert.deepEqual(brief(await findingsOf([{ from: ftp("/logs"), to: ftp("/logs/", { connections: 1 }) }])), [
    "problem circle",
  ]);
  assert.deepEqual(await findingsOf([{ from: ftp("/logs"), to: ftp("/logs", { host: "other" }) }]), []);
});

Deno.test("jobFindings() see a target inside the source, unless the rules leave it out", async () => {
  const [inside] = await findingsOf([{ from: "a", to: "a/done" }]);
  assert.equal(inside?.level, "problem");
  assert.equal(inside?.remedy, 'Give the target another directory, or leave it out: "exclude": ["done/*"]');
  assert.deepEqual(await findingsOf([{ from: "a", to: "a/done", rules: { exclude: ["done/*"] } }]), []);
  assert.deepEqual(brief(await findingsOf([{ from: ftp(""), to: ftp("done") }])), ["problem circle"]);
  assert.deepEqual(brief(await findingsOf([{ from: "a", to: "a", path: "done/{path}" }])), ["problem circle"]);
});

Deno.test("jobFindings() see a source inside the target when files are delivered into it", async () => {
  assert.deepEqual(brief(await findingsOf([{ from: "a/new", to: "a", path: "new/{path}" }])), ["problem circle"]);
  assert.deepEqual(brief(await findingsOf([{ from: "a/new", to: "a" }])), ["warning circle"]);
});

Deno.test("jobFindings() see files that go round through several jobs", async () => {
  const findings = await findingsOf([
    { name: "one", from: "a", to: "b" },
    { name: "two", from: "b", to: "c" },
    { name: "three", from: "c", to: "a/back" },
  ]);
  assert.deepEqual(brief(findings), ["warning circle"]);
  assert.equal(findings[0]?.detail, 'Files go round, from job "one" to "two" to "three" to "one"');
  const cut = await findingsOf([
    { from: "a", to: "b", rules: { exclude: ["back/*"] } },
    { from: "b", to: "a/back" },
  ]);
  assert.deepEqual(cut, []);
});

Deno.test("jobFindings() see filesync's own files in a source, and a target in the spool", async () => {
  const own = await findingsOf([{ from: ".", to: ftp("/") }], { config: { log: { file: "./filesync.log" } } });
  assert.deepEqual(brief(own), ["problem circle", "problem circle", "problem circle"]);
  assert.match(own[0]!.remedy!, /"exclude": \["state\/filesync\.db\*"\]$/);
  const rules = { exclude: ["state/filesync.db*", "filesync.log*"] };
  assert.deepEqual(await findingsOf([{ from: ".", to: ftp("/"), rules }]), []);
  assert.deepEqual(await findingsOf([{ from: ".", to: ftp("/"), rules: { include: ["*.ulg"] } }]), []);
  assert.deepEqual(brief(await findingsOf([{ to: "state/filesync.db.spool/out" }])), ["problem circle"]);
});

Deno.test("jobFindings() see rules that take nothing", async () => {
  const [finding] = await findingsOf([{ rules: { include: ["*.ulg"], exclude: ["*.ulg"] } }]);
  assert.deepEqual([finding?.name, finding?.exitCode, finding?.job], ["rules", 3, "job0"]);
  assert.equal(finding?.remedy, 'Remove or narrow the pattern "*.ulg"');
});

Deno.test("jobFindings() see two sources whose files get the same names", async () => {
  const [meet] = await findingsOf([{ from: "a" }, { from: "b" }]);
  assert.equal(meet?.level, "warning");
  assert.equal(
    meet?.detail,
    'Files of jobs "job0" and "job1" get the same names in "/out": the second one of a name is renamed or parked',
  );
  assert.equal(meet?.remedy, 'Set in both jobs "path": "{job}/{path}"');
  assert.deepEqual(brief(await findingsOf([{ from: "a" }, { from: "b", on_conflict: "replace" }])), ["problem names"]);
  assert.deepEqual(brief(await findingsOf([{ from: "a", to: "out/x" }, { from: "b", path: "x/{path}" }])), [
    "warning names",
  ]);
});

Deno.test("jobFindings() tell of forty vehicles that get the same names in one line", async () => {
  const findings = await findingsOf(Array.from({ length: 40 }, (_, n) => ({ from: `in${n}` })));
  assert.deepEqual(findings.map(({ detail, remedy }) => [detail, remedy]), [[
    'Files of jobs "job0", "job1", "job2" and 37 others get the same names in "/out": the second one of a name is ' +
    "renamed or parked",
    'Set in each of them "path": "{job}/{path}"',
  ]]);
});

Deno.test("jobFindings() say nothing of jobs whose names differ, or that share their source", async () => {
  assert.deepEqual(await findingsOf([{ from: "a", path: "{job}/{path}" }, { from: "b", path: "{job}/{path}" }]), []);
  assert.deepEqual(
    await findingsOf([{ from: "a", path: "{device}/{path}" }, { from: "b", path: "{device}/{path}" }]),
    [],
  );
  assert.deepEqual(await findingsOf([{ from: "a" }, { from: "b", path: "b/{path}" }]), []);
  assert.deepEqual(await findingsOf([{ from: "a" }, { from: "a" }]), []);
  const apart = [{ from: "a", rules: { include: ["*.ulg"] } }, { from: "b", rules: { include: ["*.jpg"] } }];
  assert.deepEqual(await findingsOf(apart), []);
});
