/**
 * The zoo: the real program with many hostile and odd drivers (`bad_drivers/zoo.py`) and one healthy job, in one run.
 * The healthy job delivers, every bad one comes to an end that names it, nothing is written outside, memory is bounded,
 * and nobody is left behind.
 */
import assert from "node:assert/strict";
import { jsonLines, Running } from "../cli/support.ts";
import { testNeeding } from "../support/needs.ts";
import { isAlive } from "./bad_drivers/open.ts";

const DRIVER = new URL("bad_drivers/zoo.py", import.meta.url).pathname;

/** Most memory of the host with two dozen bad plugins, MiB: a line of 1 MiB that is nested deep costs the most. */
const HOST_MIB_MAX = 300;

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

const TARGETS: Record<string, End> = {
  "upload-dies": { event: "parked", code: "broken", words: /"zoo" ended with exit code 3 during "upload"/ },
  "upload-writes-spool": { event: "parked", code: "corrupt", words: /spool's copy of .* is damaged/ },
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

testNeeding(
  "python3",
  "sync --once: two dozen bad drivers come to their ends, and the healthy job delivers",
  async () => {
    await inZoo((local, zoo) => [
      { name: "good", source: local("good"), target: local("out") },
      ...Object.keys(SOURCES).map((fault) => ({ name: fault, source: zoo("in", fault), target: local("out") })),
      ...Object.keys(TARGETS).map((fault) => ({ name: fault, source: local("in"), target: zoo("zoo-out", fault) })),
    ], async (dir) => {
      await Deno.mkdir(`${dir}/zoo-out`);
      const program = new Running(dir, ["sync", "--once", "--json"]);
      let most = 0;
      const looking = setInterval(() => most = Math.max(most, mostMib(program.child.pid)), 50);
      const { code, stdout, stderr } = await program.ended().finally(() => clearInterval(looking));
      const events = jsonLines(stdout);
      assert.equal(code, 8, stderr);
      assert.equal(events.at(-1)?.["exitCode"], 8);
      assertGood(dir);
      for (const [job, end] of [...Object.entries(SOURCES), ...Object.entries(TARGETS)]) {
        assertEnd(job, end, events, stderr);
      }
      assertUntouched(dir);
      assert.ok(most > 0 && most < HOST_MIB_MAX, `host took ${Math.round(most)} MiB`);
      assert.deepEqual(processesOf(dir), []);
      assert.equal(
        isAlive(Number(await Deno.readTextFile(`${dir}/fled`))),
        false,
        "what a plugin started ends with it",
      );
      assert.ok(!stdout.includes("\x1b") && !stderr.includes("\x1b"), "no driver moves a cursor");
    });
  },
);
