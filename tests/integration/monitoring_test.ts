/** What watches a fleet fits what the program tells: Prometheus's own tool takes the metrics and the rules. */
import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import { dashboard, DASHBOARD_PATH, dashboardText } from "../../cli/build/dashboard.ts";
import { PROJECT_ROOT, readProjectFile } from "../support/project_files.ts";
import { testNeeding } from "../support/needs.ts";
import { filesync, Running } from "../cli/support.ts";

const RULES = new URL("docs/monitoring/alerts.yml", PROJECT_ROOT).pathname;

async function promtool(args: string[], input = ""): Promise<{ code: number; words: string }> {
  const child = new Deno.Command("promtool", { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, words: decoder.decode(stdout) + decoder.decode(stderr) };
}

const SECRET = "s3cret-of-the-hangar";

/** The real program after it has moved a file, parked one, and not reached a server; `use` is given its address. */
async function withProgram<T>(use: (url: string) => Promise<T>): Promise<T> {
  const dir = Deno.makeTempDirSync({ prefix: "filesync-metrics-" });
  try {
    for (const name of ["in", "out"]) Deno.mkdirSync(`${dir}/${name}`);
    Deno.writeTextFileSync(`${dir}/in/a.ulg`, "a");
    Deno.writeTextFileSync(`${dir}/in/taken.ulg`, "mine");
    Deno.writeTextFileSync(`${dir}/out/taken.ulg`, "somebody's");
    Deno.writeTextFileSync(
      `${dir}/config.json`,
      JSON.stringify({
        spool: { min_free: 0 },
        jobs: [{
          name: "logs",
          source: { driver: "local", args: { dir: "in" } },
          targets: [
            { name: "nas", driver: "local", args: { dir: "out" } },
            { name: "hangar", driver: "ftp", args: { host: "127.0.0.1", port: 1, user: "pi", passwd: SECRET } },
          ],
          finder: { settle: "0s" },
          on_conflict: "park",
        }],
      }),
    );
    const running = new Running(dir, ["sync", "--http", "127.0.0.1:0", "--no-progress"]);
    try {
      await running.stderrMatches(/Parked "taken\.ulg"/);
      await running.stderrMatches(/Delivered "a\.ulg"/);
      await running.stderrMatches(/hangar.*not available/);
      const { url } = /Status page on (?<url>http:\S+\/)/.exec(running.stderr)!.groups!;
      return await use(url!);
    } finally {
      running.child.kill("SIGTERM");
      await running.ended();
    }
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

testNeeding(
  "promtool",
  "/metrics of the real program is taken by promtool, and has all that dashboard and rules ask for",
  async () => {
    const metrics = await withProgram(async (url) => await (await fetch(`${url}metrics`)).text());
    const { code, words } = await promtool(["check", "metrics"], metrics);
    assert.equal(code, 0, words);
    const asked = new Set(
      [...`${dashboardText()}${readProjectFile("docs/monitoring/alerts.yml")}`.matchAll(/\bfilesync_[a-z_]+/g)].map((
        [name],
      ) => name),
    );
    assert.ok(asked.size > 8);
    for (const name of asked) assert.match(metrics, new RegExp(`^# TYPE ${name} `, "m"));
    const told = new Set([...metrics.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
    const documented = readProjectFile("docs/monitoring/README.md");
    for (const name of told) {
      if (name === "process_start_time_seconds" || name === "filesync_info") continue;
      assert.ok(documented.includes(name.replace("filesync_transferred_bytes_total", "…_bytes_total")), name);
    }
  },
);

testNeeding("promtool", "the alert rules are valid, and alarm when they should and not before", async () => {
  const checked = await promtool(["check", "rules", RULES]);
  assert.equal(checked.code, 0, checked.words);
  const dir = Deno.makeTempDirSync();
  try {
    const test = {
      rule_files: [RULES],
      evaluation_interval: "1m",
      tests: [{
        interval: "1m",
        input_series: [
          { series: 'filesync_needs_person{instance="hexa"}', values: "0x10 2x30" },
          {
            series: 'filesync_oldest_waiting_seconds{instance="hexa",job="logs",target="nas"}',
            values: "80000+60x200",
          },
          { series: 'filesync_oldest_waiting_seconds{instance="hexa",job="logs"}', values: "900000x200" },
          { series: 'filesync_spool_used_bytes{instance="hexa"}', values: "50x200" },
          { series: 'filesync_spool_quota_bytes{instance="hexa"}', values: "100x200" },
          { series: 'filesync_info{instance="hexa",version="1"}', values: "1x200" },
        ],
        alert_rule_test: [
          { eval_time: "9m", alertname: "FileSyncNeedsPerson", exp_alerts: [] },
          {
            eval_time: "17m",
            alertname: "FileSyncNeedsPerson",
            exp_alerts: [{
              exp_labels: { severity: "warning", instance: "hexa" },
              exp_annotations: {
                summary: "hexa: 2 files are parked, uncertain or denied",
                description:
                  "filesync status on the machine tells the reasons and what to do; its page has a button to try again.",
              },
            }],
          },
          { eval_time: "60m", alertname: "FileSyncTargetBehind", exp_alerts: [] },
          {
            eval_time: "150m",
            alertname: "FileSyncTargetBehind",
            exp_alerts: [{
              exp_labels: { severity: "warning", instance: "hexa", job: "logs", target: "nas" },
              exp_annotations: {
                summary: "hexa: nas has not got a file of job logs for more than a day",
                description: "The target is away, held or too slow: filesync status tells which.",
              },
            }],
          },
          { eval_time: "150m", alertname: "FileSyncSpoolNearlyFull", exp_alerts: [] },
          { eval_time: "150m", alertname: "FileSyncGone", exp_alerts: [] },
        ],
      }],
    };
    Deno.writeTextFileSync(`${dir}/test.yml`, JSON.stringify(test));
    const { code, words } = await promtool(["test", "rules", `${dir}/test.yml`]);
    assert.equal(code, 0, words);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("the program's answers are what its OpenAPI document says, and hold no secret", async () => {
  interface Operation {
    responses: Record<string, { content: Record<string, { schema: object }> }>;
  }
  await withProgram(async (url) => {
    const text = await (await fetch(`${url}api/openapi.json`)).text();
    const { openapi, paths } = JSON.parse(text) as { openapi: string; paths: Record<string, { get?: Operation }> };
    assert.equal(openapi, "3.1.0");
    const queries: Record<string, string> = { "/api/why": "?path=taken.ulg", "/api/files": "?state=parked" };
    let checked = 0;
    for (const [path, { get }] of Object.entries(paths)) {
      const schema = get?.responses["200"]?.content["application/json"]?.schema;
      if (get === undefined || path === "/api/events" || path === "/api/preview") continue;
      const response = await fetch(`${url}${path.slice(1)}${queries[path] ?? ""}`);
      assert.equal(response.status, 200, path);
      const answer = await response.text();
      assert.ok(!answer.includes(SECRET), path);
      if (schema === undefined) continue;
      const validate = new Ajv2020({ strict: false, allErrors: true }).compile(schema);
      assert.ok(validate(JSON.parse(answer)), `${path}: ${JSON.stringify(validate.errors)} ${answer}`);
      checked++;
    }
    assert.ok(checked >= 6, `${checked} answers`);
    const { files } = await (await fetch(`${url}api/files?state=parked`)).json() as { files: { path: string }[] };
    assert.deepEqual(files.map(({ path }) => path), ["taken.ulg"]);
  });
});

Deno.test("the Grafana dashboard is the one that its typed source makes", () => {
  assert.equal(readProjectFile(DASHBOARD_PATH), dashboardText(), "stale: run deno run -A cli/build/dashboard.ts");
  const { panels = [] } = dashboard();
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
});

Deno.test("token makes a token, shows it once, and takes it back", async () => {
  const dir = Deno.makeTempDirSync({ prefix: "filesync-token-" });
  try {
    Deno.writeTextFileSync(`${dir}/config.json`, '{"jobs": []}');
    const first = await filesync(dir, ["token"]);
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /^[\w-]{43}\n$/);
    assert.match(first.stderr, /only time that it is shown/);
    for (const { name } of Deno.readDirSync(dir)) {
      if (name.startsWith("filesync.db")) {
        assert.ok(!Deno.readTextFileSync(`${dir}/${name}`).includes(first.stdout.trim()));
      }
    }
    const second = await filesync(dir, ["token"]);
    assert.match(second.stderr, /token before it is not taken any more/);
    assert.notEqual(second.stdout, first.stdout);
    assert.match((await filesync(dir, ["token", "--remove"])).stdout, /taken back/);
    assert.match((await filesync(dir, ["token", "--remove"])).stdout, /There was no token/);
    const refused = await filesync(dir, ["sync", "--once", "--http", "0.0.0.0:0"]);
    assert.equal(refused.code, 3, refused.stderr);
    assert.match(refused.stderr, /without a token[\s\S]*filesync token makes one/);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
