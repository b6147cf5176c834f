/** `why`, `retry`, `forget`, `manifest` with real files, beside a `sync` that runs and without one. */
import assert from "node:assert/strict";
import { filesync, HAS_DENO, inTempDir, jsonLines, localJob, Running } from "./support.ts";

/** Uploads fail at once where the target holds something else under that name. */
const PICKY = { on_conflict: "park" };

async function write(path: string, text: string): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await Deno.writeTextFile(path, text);
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Names of whole files in the spool. */
function spooled(dir: string): string[] {
  const spool = `${dir}/temp/filesync.db.spool`;
  return [...Deno.readDirSync(spool)].filter((entry) => entry.isDirectory).flatMap((folder) =>
    [...Deno.readDirSync(`${spool}/${folder.name}`)].map((entry) => entry.name)
  );
}

/** A parked file `a.txt`, whose name on the target is taken, and a delivered one. */
async function withParked(dir: string): Promise<void> {
  await localJob(dir, PICKY);
  await write(`${dir}/in/a.txt`, "ours");
  await write(`${dir}/in/day/b.txt`, "fine");
  await write(`${dir}/out/a.txt`, "theirs");
  assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 4);
}

/** A target that fails each upload as long as a file exists. */
async function moodyDriver(dir: string): Promise<void> {
  const manifest = {
    name: "moody",
    version: "1.0.0",
    protocol: 1,
    description: "A target with moods",
    roles: ["target"],
    command: [Deno.execPath(), "run", "-A", "--no-prompt", "./main.js"],
    args: { type: "object", properties: { sulks: { type: "string" } } },
  };
  await write(`${dir}/plugins/moody/filesync-plugin.json`, JSON.stringify(manifest));
  await write(
    `${dir}/plugins/moody/main.js`,
    `import { createInterface } from "node:readline";
import { existsSync } from "node:fs";
let sulks = "";
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) continue;
  const answer = {};
  if (method === "initialize") {
    sulks = params.args.sulks;
    answer.result = { name: "moody", version: "1.0.0", capabilities: {} };
  } else if (method === "upload" && existsSync(sulks)) {
    answer.error = { code: -32000, message: "not today", data: { code: "failed" } };
  } else if (method === "upload") {
    answer.result = { path: params.path, sizeBytes: params.sizeBytes, verified: "none" };
  } else {
    answer.result = { path: "", kind: "directory" };
  }
  process.stdout.write(JSON.stringify({ jsonrpc: "2.0", id, ...answer }) + "\\n");
}
`,
  );
}

async function stop(running: Running): Promise<string> {
  running.child.kill("SIGTERM");
  const { code, stderr } = await running.ended();
  assert.equal(code, 143, stderr);
  return stderr;
}

Deno.test("why tells what a file waits for, in the target's words, and where its receipt is", async () => {
  await inTempDir(async (dir) => {
    await withParked(dir);
    const parked = await filesync(dir, ["why", "./a.txt"]);
    assert.equal(parked.code, 0, parked.stderr);
    assert.match(parked.stdout, /^a\.txt {2}\(job "logs", source logs\.source\)$/m);
    assert.match(parked.stdout, /^ {2}Generation 1: 4 B, modified .*, found /m);
    assert.match(parked.stdout, /lies in the spool, since /);
    assert.match(parked.stdout, /in the spool: \S+\.spool \(whole, 4 B\)/);
    assert.match(
      parked.stdout,
      /→ local: parked as "a\.txt", since .*\n +1 failed attempt\n +last error: \w+: Cannot /,
    );
    assert.match(parked.stdout, /source's copy: kept/);
    const done = await filesync(dir, ["why", "day/b.txt", "--json"]);
    const [history] = jsonLines(done.stdout) as { generations: Record<string, unknown>[] }[];
    const [generation] = history!.generations;
    assert.equal(generation!["state"], "done");
    const [delivery] = generation!["deliveries"] as { state: string; receipt: Record<string, unknown> }[];
    assert.deepEqual([delivery!.state, delivery!.receipt["path"], delivery!.receipt["sizeBytes"]], [
      "delivered",
      "day/b.txt",
      4,
    ]);
  });
});

Deno.test("why of a path that is not known ends with 1, the nearest names and the reasons", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir, { rules: { exclude: ["*.tmp"] } });
    assert.match((await filesync(dir, ["why", "x"])).stderr, /Nothing has run yet/);
    await write(`${dir}/in/2026/log_7.ulg`, "x");
    await filesync(dir, ["sync", "--once", "-q"]);
    const near = await filesync(dir, ["why", "log_7"]);
    assert.equal(near.code, 1);
    assert.match(near.stderr, /Nothing is known of "log_7"[\s\S]*Like it: 2026\/log_7\.ulg \(job "logs"\)/);
    const wild = await filesync(dir, ["why", "%_%"]);
    assert.ok(!wild.stderr.includes("Like it"), wild.stderr);
    const excluded = await filesync(dir, ["why", "2026/x.tmp"]);
    assert.match(excluded.stderr, /Rules of job "logs" leave it out: .*"\*\.tmp"/);
    const json = jsonLines((await filesync(dir, ["why", "nope", "--json"])).stdout);
    assert.deepEqual(json.map(({ known }) => known), [false]);
  });
});

Deno.test("retry has a sync that runs deliver what was parked, at once", async () => {
  await inTempDir(async (dir) => {
    await withParked(dir);
    const running = new Running(dir, ["sync", "--json"]);
    try {
      await running.stdoutMatches(/"event":"start"/);
      await Deno.remove(`${dir}/out/a.txt`);
      const { code, stdout } = await filesync(dir, ["retry", "a.txt"]);
      assert.equal(code, 0);
      assert.equal(stdout, `1 delivery: tried again now, by process ${running.child.pid}\n`);
      await running.stdoutMatches(/"event":"delivered".*"path":"a\.txt"/);
      assert.equal(await Deno.readTextFile(`${dir}/out/a.txt`), "ours");
      const idle = await filesync(dir, ["retry", "a.txt", "nope"]);
      assert.equal(idle.code, 1);
      assert.match(idle.stderr, /Nothing to do for "a\.txt": it is done/);
      assert.match(idle.stderr, /Nothing is known of "nope"/);
    } finally {
      await stop(running);
    }
    assert.ok(!exists(`${dir}/temp/filesync.db.sock`), "the socket ends with the process");
  });
});

const NEXT_TRY = "why tells when the next try is by the clock of the sync that runs, and retry does not wait for it";

// Its target is a plugin that Deno runs.
Deno.test({ name: NEXT_TRY, ignore: !HAS_DENO }, async () => {
  await inTempDir(async (dir) => {
    const env = { FILESYNC_PLUGIN_PATH: `${dir}/plugins` };
    await moodyDriver(dir);
    await localJob(dir, { attempts: 50, target: { driver: "moody", args: { sulks: `${dir}/sulks` } } });
    await write(`${dir}/in/day/a.txt`, "ours");
    await write(`${dir}/sulks`, "");
    const running = new Running(dir, ["sync"], env);
    try {
      // Long enough for what is asked now.
      await running.stderrMatches(/not today; next try in ([89]|\d\d) s/);
      const why = await filesync(dir, ["why", "day/a.txt"], env);
      assert.match(
        why.stdout,
        /moody: waiting .*\n +\d failed attempts\n +last error: failed: not today\n +next try in \d/,
      );
      assert.match(why.stdout, new RegExp(`sync runs as process ${running.child.pid}`));
      const [json] = jsonLines((await filesync(dir, ["why", "day/a.txt", "--json"], env)).stdout);
      assert.match(JSON.stringify(json), /"inBackOff":true,"retryInMs":\d+/);
      await Deno.remove(`${dir}/sulks`);
      const retried = await filesync(dir, ["retry", "day/a.txt"], env);
      assert.equal(retried.code, 0, retried.stderr);
      await running.stderrMatches(/Delivered "day\/a\.txt"/);
    } finally {
      await stop(running);
    }
  });
});

Deno.test("retry without a sync prepares the next one, also after a sync that was killed", async () => {
  await inTempDir(async (dir) => {
    await withParked(dir);
    const killed = new Running(dir, ["sync", "--json"]);
    await killed.stdoutMatches(/"event":"start"/);
    killed.child.kill("SIGKILL");
    await killed.ended();
    assert.ok(exists(`${dir}/temp/filesync.db.sock`), "it could not clean up");
    await Deno.remove(`${dir}/out/a.txt`);
    const { code, stdout } = await filesync(dir, ["retry", "--parked", "--json"]);
    assert.equal(code, 0);
    const [told] = jsonLines(stdout);
    assert.deepEqual([told!["deliveries"], told!["files"], told!["pid"]], [1, 0, undefined]);
    const again = new Running(dir, ["sync", "--json"]);
    try {
      await again.stdoutMatches(/"event":"delivered".*"path":"a\.txt"/);
      assert.match((await filesync(dir, ["retry", "--all"])).stdout, /^Nothing to retry$/m);
    } finally {
      await stop(again);
    }
  });
});

Deno.test("retry --target --all gives a new target what was found before it was added", async () => {
  await inTempDir(async (dir) => {
    const targets = (...names: string[]) => ({
      target: undefined,
      targets: names.map((name) => ({ name, driver: "local", args: { dir: `./${name}` } })),
    });
    await Deno.mkdir(`${dir}/nas`);
    await Deno.mkdir(`${dir}/cloud`);
    await localJob(dir, targets("nas"));
    for (const name of ["a", "b"]) await write(`${dir}/in/${name}.txt`, name);
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
    await localJob(dir, targets("nas", "cloud"));
    await write(`${dir}/in/c.txt`, "c");
    const running = new Running(dir, ["sync", "--json"]);
    try {
      await running.stdoutMatches(/"event":"delivered".*"path":"c\.txt".*"target":"cloud"/);
      assert.ok(!exists(`${dir}/cloud/a.txt`));
      const { stdout } = await filesync(dir, ["retry", "--target", "cloud", "--all"]);
      assert.match(stdout, /^2 older files: tried again now/);
      await running.stdoutMatches(/"event":"delivered".*"path":"a\.txt".*"target":"cloud"/);
      await running.stdoutMatches(/"event":"delivered".*"path":"b\.txt".*"target":"cloud"/);
    } finally {
      await stop(running);
    }
    assert.equal((await filesync(dir, ["sync", "--once"])).code, 0);
    const several = await filesync(dir, ["manifest"]);
    assert.equal(several.code, 2);
    assert.match(several.stderr, /Choose one: --job "logs" --target "nas", or --job "logs" --target "cloud"/);
    assert.equal((await filesync(dir, ["manifest", "--target", "cloud"])).stdout.split("\n").length, 4);
    assert.equal(jsonLines((await filesync(dir, ["manifest", "--json"])).stdout).length, 6);
    const unknown = await filesync(dir, ["retry", "--target", "tape"]);
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /Targets are "nas", "cloud"/);
  });
});

for (const beside of [true, false]) {
  Deno.test(`forget gives up what is parked ${beside ? "beside a sync that runs" : "without a sync"}`, async () => {
    await inTempDir(async (dir) => {
      await withParked(dir);
      assert.equal(spooled(dir).length, 1);
      const running = beside ? new Running(dir, ["sync", "--json"]) : undefined;
      try {
        await running?.stdoutMatches(/"event":"start"/);
        const { code, stdout } = await filesync(dir, ["forget", "a.txt"]);
        assert.deepEqual([code, stdout], [0, "1 delivery: given up\n"]);
        assert.deepEqual(spooled(dir), [], "its room is free");
        assert.match((await filesync(dir, ["why", "a.txt"])).stdout, /is forgotten: it is not tried again/);
        assert.match((await filesync(dir, ["forget", "day/b.txt"])).stderr, /"day\/b\.txt": it is done/);
      } finally {
        if (running !== undefined) await stop(running);
      }
      const after = await filesync(dir, ["sync", "--once", "--json"]);
      assert.equal(after.code, 0, after.stdout);
      assert.ok(!after.stdout.includes("a.txt"), "that content is never found again");
      await Deno.remove(`${dir}/out/a.txt`);
      await write(`${dir}/in/a.txt`, "ours, another one");
      assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
      assert.equal(await Deno.readTextFile(`${dir}/out/a.txt`), "ours, another one");
    });
  });
}

Deno.test("forget takes a name as status shows it, and retry has it looked at again", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await write(`${dir}/in/evil\x1b.txt`, "x");
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 4);
    const shown = "evil\\x1b.txt";
    assert.equal((await filesync(dir, ["retry", shown])).code, 0);
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 4, "it still cannot be fetched");
    const why = await filesync(dir, ["why", shown]);
    assert.match(why.stdout, /^evil\\x1b\.txt .*[\s\S]*last error: unsupported: name holds a control character/);
    const { code, stdout } = await filesync(dir, ["forget", shown]);
    assert.deepEqual([code, stdout], [0, "1 file: given up\n"]);
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
  });
});

Deno.test("forget --job ends a job that left the configuration, and config check names it until then", async () => {
  await inTempDir(async (dir) => {
    await withParked(dir);
    const refused = await filesync(dir, ["forget", "--job", "logs"]);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /Job "logs" is in .*config\.json: /);
    await localJob(dir, { ...PICKY, name: "renamed" });
    const warned = await filesync(dir, ["config", "check"]);
    assert.equal(warned.code, 0);
    assert.match(
      warned.stderr,
      /Job "logs" is in the state store but not in the configuration: filesync forget --job logs ends it/,
    );
    const running = new Running(dir, ["sync", "--json"]);
    try {
      await running.stdoutMatches(/"event":"parked".*"path":"a\.txt"/);
      await running.stdoutMatches(/"event":"delivered".*"path":"day\/b\.txt"/);
      assert.equal(spooled(dir).length, 2);
      const busy = await filesync(dir, ["forget", "--job", "renamed", "--yes"]);
      assert.equal(busy.code, 7);
      assert.match(busy.stderr, new RegExp(`Job "renamed" runs in process ${running.child.pid}`));
      const { code, stdout } = await filesync(dir, ["forget", "--job", "logs"]);
      assert.deepEqual([code, stdout], [0, 'Job "logs" is ended: nothing of it is known any more\n']);
      assert.equal(spooled(dir).length, 1);
    } finally {
      await stop(running);
    }
    assert.equal((await filesync(dir, ["config", "check"])).stderr, "");
    assert.equal((await filesync(dir, ["status", "--json"])).stdout.includes('"logs"'), false);
    assert.equal((await filesync(dir, ["forget", "--job", "renamed", "--yes"])).code, 0);
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 4, "all is found and tried anew");
  });
});

Deno.test("forget --target ends a target that left the configuration", async () => {
  await inTempDir(async (dir) => {
    await withParked(dir);
    await localJob(dir, {
      ...PICKY,
      target: undefined,
      targets: [{ name: "nas", driver: "local", args: { dir: "./nas" } }],
    });
    const check = await filesync(dir, ["config", "check", "--json"]);
    assert.match(
      check.stdout,
      /Target \\"local\\" of job \\"logs\\" is in the state store but not in the configuration/,
    );
    assert.equal((await filesync(dir, ["forget", "--job", "logs", "--target", "local"])).code, 0);
    assert.ok(!(await filesync(dir, ["config", "check", "--json"])).stdout.includes("state store"));
  });
});

Deno.test("manifest is verified by sha256sum in the target's directory, whatever the names", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    assert.deepEqual((await filesync(dir, ["manifest"])).stdout, "");
    const names = ["plain.txt", "back\\slash.txt", " lead", "trail ", "日本/ü.txt", "-", "*star", "$(id)", "same.txt"];
    for (const name of names) await write(`${dir}/in/${name}`, `content of ${name}`);
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
    await write(`${dir}/in/same.txt`, "a later generation");
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
    const { code, stdout } = await filesync(dir, ["manifest"]);
    assert.equal(code, 0);
    await Deno.writeTextFile(`${dir}/SHA256SUMS`, stdout);
    const sum = async (...args: string[]) =>
      await new Deno.Command("sha256sum", { args, cwd: `${dir}/out`, stdin: "null" }).output();
    const checked = await sum("--check", "--strict", "../SHA256SUMS");
    const told = new TextDecoder().decode(checked.stdout);
    assert.equal(checked.code, 0, told + new TextDecoder().decode(checked.stderr));
    assert.equal(told.match(/: OK$/gm)?.length, names.length);
    const own = new TextDecoder().decode((await sum("--", "back\\slash.txt", "plain.txt", " lead")).stdout);
    for (const line of own.trimEnd().split("\n")) assert.ok(stdout.split("\n").includes(line), line);
    await write(`${dir}/out/plain.txt`, "damaged");
    assert.equal((await sum("--check", "../SHA256SUMS")).code, 1);
    const entries = jsonLines((await filesync(dir, ["manifest", "--json", "--job", "logs"])).stdout);
    const same = entries.find(({ name }) => name === "same.txt")!;
    assert.deepEqual([same["job"], same["target"], same["sizeBytes"]], ["logs", "local", 18]);
  });
});

Deno.test("manifest fits the tree of each of several targets, also where a name was taken there", async () => {
  await inTempDir(async (dir) => {
    const local = (path: string) => ({ driver: "local", args: { dir: path } });
    const targets = ["one", "two"].map((name) => ({ name, ...local(`./${name}`) }));
    for (const name of ["in", "in2", "one", "two"]) await Deno.mkdir(`${dir}/${name}`);
    const job = (name: string, source: string) => ({ name, source: local(source), targets, finder: { settle: "0s" } });
    await write(
      `${dir}/config.json`,
      JSON.stringify({ state: "./temp/filesync.db", jobs: [job("first", "./in"), job("second", "./in2")] }),
    );
    await write(`${dir}/two/-log 1.ulg`, "somebody's own");
    await write(`${dir}/in/-log 1.ulg`, "of the first job");
    await write(`${dir}/in2/-log 1.ulg`, "of the second job");
    await write(`${dir}/in2/sub dir/ü.ulg`, "deep");
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
    for (const target of ["one", "two"]) {
      const { stdout } = await filesync(dir, ["manifest", "--target", target]);
      await write(`${dir}/SHA256SUMS`, stdout);
      const checked = await new Deno.Command("sha256sum", {
        args: ["--check", "--strict", "../SHA256SUMS"],
        cwd: `${dir}/${target}`,
        stdin: "null",
      }).output();
      const told = new TextDecoder().decode(checked.stdout);
      assert.equal(checked.code, 0, told + new TextDecoder().decode(checked.stderr));
      assert.equal(told.match(/: OK$/gm)?.length, 3, told);
      assert.equal(told.includes("~3"), target === "two", told);
    }
  });
});

Deno.test("retry and forget without anything named end with 2 and say what to name", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    for (
      const [args, words] of [
        [["retry"], /Cannot tell what to retry[\s\S]*--all/],
        [["retry", "--all", "a.txt"], /Cannot narrow "--all"/],
        [["forget"], /Cannot tell what to forget[\s\S]*--parked/],
        [["why"], /Expected argument for PATH/],
      ] as const
    ) {
      const { code, stderr } = await filesync(dir, [...args]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, words);
    }
    assert.match((await filesync(dir, ["retry", "--parked"])).stdout, /^Nothing to retry$/m);
    assert.equal((await filesync(dir, ["retry", "a.txt"])).code, 1);
    const job = await filesync(dir, ["forget", "--parked", "--job", "nope"]);
    assert.equal(job.code, 0, "nothing has run yet");
  });
});
