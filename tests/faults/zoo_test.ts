/**
 * The zoo: the real program with many hostile and odd drivers (`bad_drivers/zoo.py`) and one healthy job, in one run.
 * The healthy job delivers, every bad one comes to an end that names it, nothing is written outside, memory is bounded,
 * and nobody is left behind.
 */
import assert from "node:assert/strict";
import { type Ended, jsonLines, Running } from "../cli/support.ts";
import { testNeeding } from "../support/needs.ts";
import { isAlive } from "./bad_drivers/open.ts";

const DRIVER = new URL("bad_drivers/zoo.py", import.meta.url).pathname;

/** Most memory of the host with two dozen bad plugins, MiB: a line of 1 MiB that is nested deep costs the most. */
const HOST_MIB_MAX = 300;
/** Lines of the log in the minute that the daemon lives: most plugins are started again and again. */
const LOG_LINES_MAX = 500;

type Event = Record<string, unknown>;

/** How a bad job ends: what is told of it, and a part of the words. */
interface End {
  /** `delivered`: every file in spite of all; `left`: files wait, and nothing is parked. */
  event: "delivered" | "parked" | "device" | "left" | "listing";
  code?: string;
  words?: RegExp;
}

const SOURCES: Record<string, End> = {
  "init-null": { event: "device", code: "broken", words: /"zoo" breaks the contract in "initialize"/ },
  "init-fails": { event: "device", code: "broken", words: /Plugin "zoo" cannot start: Cannot today/ },
  "init-odd-types": { event: "delivered" },
  "flees": { event: "delivered" },
  "stuffs-state": { event: "delivered" },
  "list-opens-files": { event: "listing", words: /Opened (9\d\d|1[01]\d\d) files/ },
  "list-eats-memory": { event: "listing", words: /Ate (3[2-9]\d|4\d\d) MiB/ },
  "list-dies": { event: "device", code: "broken", words: /"zoo" ended with exit code 0 during "list"/ },
  "list-garbage": { event: "listing", words: /"zoo" breaks the contract in "list": it sent a line/ },
  "list-new-card": { event: "device", code: "unavailable", words: /was swapped while it was listed/ },
  "list-names": { event: "parked", code: "unsupported", words: /control character/ },
  "list-types": { event: "parked", code: "unsupported", words: /device reports size "12"/ },
  "list-late": { event: "delivered" },
  "download-dies": { event: "parked", code: "broken", words: /"zoo" ended with exit code 7 during "download"/ },
  "download-endless": { event: "parked", code: "changed", words: /has more than the \d+ bytes that were listed/ },
  "download-lies-of-size": { event: "parked", code: "corrupt", words: /Driver reports 101 bytes .*: spool holds 100/ },
  "download-lies-of-progress": { event: "delivered" },
  "download-links": { event: "parked", code: "corrupt", words: /was replaced while it was fetched/ },
  "download-hard-links": { event: "parked", code: "failed", words: /Linked/ },
  "download-makes-folder": { event: "parked", code: "corrupt", words: /was replaced while it was fetched/ },
  "download-moves-spool": { event: "parked", code: "corrupt", words: /was replaced while it was fetched/ },
  "download-finds-no-room": { event: "left" },
  "download-bad-error": { event: "parked", code: "failed", words: /"zoo" breaks the contract in "download"/ },
  "download-odd-error": { event: "parked", code: "failed", words: /^all is well$/ },
  "download-deep-resume": { event: "delivered" },
};

/** Plugins that never come to speak, by the name of their driver: what the folder holds beside the manifest. */
const SILENT: Record<string, { command: string[]; script?: { text: string; mode: number }; words: RegExp }> = {
  "no-right": {
    command: ["./run.sh"],
    script: { text: "#!/bin/sh\n", mode: 0o644 },
    words: /no-right\/run\.sh" may not be executed: chmod \+x \/.*\/run\.sh$/,
  },
  "no-interpreter": { command: ["filesync-no-such-interpreter", "run.py"], words: /interpreter" is not on PATH$/ },
  "no-shebang": {
    command: ["./run.sh"],
    script: { text: "#!/no/such/interpreter\n", mode: 0o755 },
    words: /run\.sh" needs "\/no\/such\/interpreter", which is not there$/,
  },
};

const TARGETS: Record<string, End> = {
  "upload-dies": { event: "parked", code: "broken", words: /"zoo" ended with exit code 3 during "upload"/ },
  "upload-writes-spool": { event: "parked", code: "corrupt", words: /spool's copy of .* is damaged/ },
  "upload-takes-and-spoils": { event: "parked", code: "corrupt", words: /spool's copy of .* is damaged/ },
  "upload-takes-and-fails": { event: "parked", code: "failed", words: /Spoilt what was taken/ },
  "upload-lies": { event: "parked", code: "uncertain", words: /"zoo" breaks the contract in "upload"/ },
};

/** The machine of one test: files, canaries, the plugin, and a configuration with these jobs. */
async function inZoo(
  jobs: (local: (dir: string) => unknown, zoo: (dir: string, fault: string) => unknown) => unknown[],
  work: (dir: string) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-zoo-" });
  try {
    for (const name of ["good", "in", "out", "canaries", "plugins/zoo"]) {
      await Deno.mkdir(`${dir}/${name}`, { recursive: true });
    }
    for (let n = 0; n < 12; n++) await Deno.writeFile(`${dir}/good/${n}.bin`, new Uint8Array(n * 20_000).fill(n));
    await Deno.writeFile(`${dir}/in/small.bin`, new Uint8Array(100).fill(1));
    await Deno.writeTextFile(`${dir}/canary`, "precious");
    await Deno.writeTextFile(`${dir}/canaries/one`, "precious");
    const manifest = {
      name: "zoo",
      version: "1",
      protocol: 1,
      roles: ["source", "target"],
      command: ["python3", DRIVER],
      args: {
        type: "object",
        properties: { dir: { type: "string", format: "path" }, fault: { type: "string" } },
        required: ["dir"],
      },
    };
    await Deno.writeTextFile(`${dir}/plugins/zoo/filesync-plugin.json`, JSON.stringify(manifest), { mode: 0o644 });
    for (const [name, { command, script }] of Object.entries(SILENT)) {
      const folder = `${dir}/plugins/${name}`;
      await Deno.mkdir(folder);
      const text = JSON.stringify({ ...manifest, name, command });
      await Deno.writeTextFile(`${folder}/filesync-plugin.json`, text, { mode: 0o644 });
      if (script !== undefined) await Deno.writeTextFile(`${folder}/run.sh`, script.text, { mode: script.mode });
    }
    const local = (name: string) => ({ driver: "local", args: { dir: `./${name}` } });
    const zoo = (name: string, fault: string) => ({ driver: "zoo", args: { dir: `./${name}`, fault } });
    const common = { path: "{job}/{path}", finder: { settle: "0s" }, attempts: 1 };
    await Deno.writeTextFile(
      `${dir}/config.json`,
      JSON.stringify({
        state: "./temp/fs.db",
        plugins: { dirs: ["./plugins"] },
        jobs: jobs(local, zoo).map((job) => ({ ...common, ...(job as object) })),
      }),
    );
    await work(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function mostMib(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/** Processes whose command line names `text`. */
function processesOf(text: string): string[] {
  return [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name)).flatMap(({ name }) => {
    try {
      const argv = Deno.readTextFileSync(`/proc/${name}/cmdline`).replaceAll("\0", " ");
      return argv.includes(text) && isAlive(Number(name)) ? [`${name} ${argv}`] : [];
    } catch {
      return [];
    }
  });
}

function assertUntouched(dir: string): void {
  assert.equal(Deno.readTextFileSync(`${dir}/canary`), "precious");
  assert.deepEqual([...Deno.readDirSync(`${dir}/canaries`)].map(({ name }) => name), ["one"]);
  assert.equal(Deno.readTextFileSync(`${dir}/canaries/one`), "precious");
  assert.deepEqual([...Deno.readDirSync(`${dir}/in`)].map(({ name }) => name), ["small.bin"]);
  const ours = ["canaries", "canary", "config.json", "fled", "good", "in", "out", "plugins", "temp", "zoo-out"];
  const strangers = [...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) =>
    !ours.includes(name) && !name.startsWith(".")
  );
  assert.deepEqual(strangers, []);
}

function assertGood(dir: string): void {
  for (let n = 0; n < 12; n++) {
    assert.deepEqual(Deno.readFileSync(`${dir}/out/good/${n}.bin`), Deno.readFileSync(`${dir}/good/${n}.bin`), `${n}`);
  }
}

function assertEnd(job: string, end: End, events: Event[], log: string): void {
  const said = events.filter((event) => event["job"] === job || String(event["device"] ?? "").startsWith(`${job}.`));
  const words = JSON.stringify(said, undefined, 1).slice(-3000);
  const isReason = (event: Event) => end.words === undefined || end.words.test(String(event["reason"]));
  switch (end.event) {
    case "listing":
      return assert.match(log, end.words!, job);
    case "left":
      return assert.ok(!said.some(({ event }) => event === "parked" || event === "delivered"), `${job}: ${words}`);
    case "delivered": {
      const delivered = said.find(({ event }) => event === "delivered");
      return assert.equal(delivered?.["path"], "small.bin", `${job}: ${words}`);
    }
    default:
      assert.ok(
        said.some((event) => event["event"] === end.event && event["code"] === end.code && isReason(event)),
        `${job}: ${words}`,
      );
  }
}

/** Every bad job and how it ends, as one table. */
const ENDS: Record<string, End> = {
  ...SOURCES,
  ...TARGETS,
  ...Object.fromEntries(
    Object.entries(SILENT).map((
      [name, { words }],
    ): [string, End] => [name, { event: "device", code: "broken", words }]),
  ),
};

function everyJob(local: (dir: string) => unknown, zoo: (dir: string, fault: string) => unknown): unknown[] {
  return [
    { name: "good", source: local("good"), target: local("out") },
    ...Object.keys(SOURCES).map((fault) => ({ name: fault, source: zoo("in", fault), target: local("out") })),
    ...Object.keys(TARGETS).map((fault) => ({ name: fault, source: local("in"), target: zoo("zoo-out", fault) })),
    ...Object.keys(SILENT).map((name) => ({
      name,
      source: { driver: name, args: { dir: "./in" } },
      target: local("out"),
    })),
  ];
}

/** What holds of the zoo however it was run. */
async function judge(dir: string, { stdout, stderr }: { stdout: string; stderr: string }, most: number): Promise<void> {
  const events = jsonLines(stdout);
  assertGood(dir);
  for (const [job, end] of Object.entries(ENDS)) assertEnd(job, end, events, stderr);
  assertUntouched(dir);
  assert.ok(most > 0 && most < HOST_MIB_MAX, `host took ${Math.round(most)} MiB`);
  assert.deepEqual(processesOf(dir), []);
  assert.equal(isAlive(Number(await Deno.readTextFile(`${dir}/fled`))), false, "what a plugin started ends with it");
  assert.ok(!stdout.includes("\x1b") && !stderr.includes("\x1b"), "no driver moves a cursor");
}

/** Runs `work`, and returns how much memory `program` took at most, MiB. */
async function mostOf(program: Running, work: () => Promise<void>): Promise<number> {
  let most = 0;
  const looking = setInterval(() => most = Math.max(most, mostMib(program.child.pid)), 50);
  await work().finally(() => clearInterval(looking));
  return most;
}

testNeeding(
  "python3",
  "sync --once: two dozen bad drivers come to their ends, and the healthy job delivers",
  async () => {
    await inZoo(everyJob, async (dir) => {
      await Deno.mkdir(`${dir}/zoo-out`);
      const program = new Running(dir, ["sync", "--once", "--json"]);
      let ended: Ended | undefined;
      const most = await mostOf(program, async () => void (ended = await program.ended()));
      const { code, stdout, stderr } = ended!;
      assert.equal(code, 8, stderr);
      assert.equal(jsonLines(stdout).at(-1)?.["exitCode"], 8);
      await judge(dir, { stdout, stderr }, most);
    });
  },
);

testNeeding(
  "python3",
  "sync: two dozen bad drivers do not end the daemon, which goes on delivering, and leave with it",
  async () => {
    await inZoo(everyJob, async (dir) => {
      await Deno.mkdir(`${dir}/zoo-out`);
      const program = new Running(dir, ["sync", "--json"]);
      const most = await mostOf(program, async () => {
        const lines = (job: string, event: string) => new RegExp(`^(?=.*"${job}[".])(?=.*"event":"${event}").*$`, "m");
        for (const [job, { event, words }] of Object.entries(ENDS)) {
          if (event === "listing") await program.stderrMatches(words!);
          else if (event !== "left") await program.stdoutMatches(lines(job, event));
        }
        for (let n = 0; n < 12; n++) await program.stdoutMatches(lines("good", "delivered"));
        // All have come to their ends; what comes now is delivered all the same.
        await Deno.writeFile(`${dir}/good/late.bin`, new Uint8Array(5000).fill(9));
        await program.stdoutMatches(/^(?=.*"delivered")(?=.*"late\.bin").*$/m);
      });
      assert.ok(isAlive(program.child.pid));
      program.child.kill("SIGTERM");
      const { code, stdout, stderr } = await program.ended();
      assert.equal(code, 143, stderr);
      await judge(dir, { stdout, stderr }, most);
      assert.ok(stderr.split("\n").length < LOG_LINES_MAX, `${stderr.split("\n").length} lines`);
    });
  },
);

testNeeding("python3", "sync refuses a plugin that others can write to before anything of it runs", async () => {
  for (const [name, mode] of [["filesync-plugin.json", 0o666], ["run.sh", 0o777]] as const) {
    await inZoo((local) => [
      { name: "good", source: local("good"), target: local("out") },
      { name: "open", source: { driver: "no-shebang", args: { dir: "./in" } }, target: local("out") },
    ], async (dir) => {
      const path = `${dir}/plugins/no-shebang/${name}`;
      await Deno.writeTextFile(`${dir}/plugins/no-shebang/run.sh`, `#!/bin/sh\ntouch ${dir}/ran\n`);
      await Deno.chmod(path, mode);
      const { code, stderr } = await new Running(dir, ["sync", "--once"]).ended();
      assert.equal(code, 3, stderr);
      assert.match(stderr, new RegExp(`Driver "no-shebang" cannot be used: Others can write to "${path}"`));
      assertUntouched(dir);
    });
  }
});
