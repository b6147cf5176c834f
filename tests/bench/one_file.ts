/**
 * `deno task figures`: what the program as one file costs, on this machine: size, start, memory. Writes the table of
 * README.md. Times are the least of several, since whatever else runs only adds to them.
 */
import { basename, join } from "node:path";
import { startFtpServer } from "../../lib/ftpd/mod.ts";
import { hasCommand } from "../support/needs.ts";
import { arm64Libraries, emulate } from "../support/one_file.ts";
import { memoryOfTree, type TreeMemory } from "../support/process_memory.ts";
import { programOf, sharedRelease } from "../support/release.ts";

const README = new URL("../../README.md", import.meta.url);
const RUNS = 9;

/** A line of the table. */
type Row = [what: string, figure: string];

/** Runs `program version`; @returns ms to its end */
async function versionMs(program: string, env: Record<string, string>): Promise<number> {
  const started = performance.now();
  const { code, stderr } = await new Deno.Command(program, { args: ["version"], env, stdin: "null" }).output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  return performance.now() - started;
}

async function least(runs: number, measure: () => Promise<number>): Promise<number> {
  let best = Infinity;
  for (let n = 0; n < runs; n++) best = Math.min(best, await measure());
  return best;
}

async function starts(program: string, dir: string): Promise<Row[]> {
  let n = 0;
  const first = await least(3, () => versionMs(program, { FILESYNC_CACHE_DIR: join(dir, `first-${n++}`) }));
  const env = { FILESYNC_CACHE_DIR: join(dir, "first-0") };
  const again = await least(RUNS, () => versionMs(program, env));
  return [
    ["First start, which unpacks (`version`)", seconds(first)],
    ["Each further start (`version`)", seconds(again)],
  ];
}

/** Runs `sync` with a `local` source and an `ftp` target until a file is delivered, and looks at the processes. */
async function running(program: string, dir: string): Promise<Row[]> {
  for (const name of ["in", "served"]) Deno.mkdirSync(join(dir, name));
  const server = await startFtpServer({ root: join(dir, "served"), user: "pi", passwd: "pi" });
  const job = {
    name: "j",
    source: { driver: "local", args: { dir: "./in" } },
    target: { driver: "ftp", args: { host: "127.0.0.1", port: server.port, user: "pi", passwd: "pi" } },
    finder: { settle: "0s", interval: "1s" },
  };
  Deno.writeTextFileSync(join(dir, "config.json"), JSON.stringify({ jobs: [job] }));
  Deno.writeFileSync(join(dir, "in/a.log"), crypto.getRandomValues(new Uint8Array(65_536)));
  try {
    const readyMs = await least(RUNS, async () => (await session(program, dir, "start")).ms);
    const { rssKb, pssKb, processes } = await session(program, dir, "delivered");
    return [
      ["From the start of `sync` to ready", seconds(readyMs)],
      [
        `Memory of \`sync\` with two drivers (${processes} processes) at rest, RSS, shared pages counted in each`,
        megabytes(rssKb),
      ],
      ["The same, shared pages counted once (PSS)", megabytes(pssKb)],
    ];
  } finally {
    await server.stop();
  }
}

/** @returns When the event came, and what the processes held 2 s later */
async function session(program: string, dir: string, event: string) {
  const started = performance.now();
  const child = new Deno.Command(program, {
    args: ["sync", "--json"],
    cwd: dir,
    env: { FILESYNC_CACHE_DIR: join(dir, "first-0") },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let text = "";
  let ms = 0;
  let memory: TreeMemory = { rssKb: 0, pssKb: 0, processes: 0 };
  for await (
    const part of child.stdout.pipeThrough(
      new TextDecoderStream() as unknown as ReadableWritablePair<string, Uint8Array<ArrayBuffer>>,
    )
  ) {
    text += part;
    if (ms > 0 || !text.includes(`"event":"${event}"`)) continue;
    ms = performance.now() - started;
    if (event === "delivered") {
      await new Promise((resolve) => setTimeout(resolve, 2000));
      memory = memoryOfTree(child.pid);
    }
    child.kill("SIGTERM");
  }
  await child.status;
  if (ms === 0) throw new Error(`There was no event "${event}": ${text}`);
  return { ms, ...memory };
}

async function emulated(program: string, dir: string): Promise<Row[]> {
  if (!hasCommand("qemu-aarch64-static") || arm64Libraries() === undefined) return [];
  const bin = join(dir, "bin");
  Deno.mkdirSync(bin);
  Deno.writeTextFileSync(join(bin, "uname"), "#!/bin/sh\necho aarch64\n", { mode: 0o755 });
  const env = { FILESYNC_CACHE_DIR: join(dir, "arm64"), PATH: `${bin}:/usr/sbin:/usr/bin:/sbin:/bin` };
  // Its processor is another: it unpacks, and then cannot be run.
  await new Deno.Command(program, { args: ["version"], env, stdin: "null", stderr: "null" }).output();
  emulate(env.FILESYNC_CACHE_DIR);
  return [[
    "Each further start of the program for aarch64, emulated by qemu",
    seconds(await least(3, () => versionMs(program, env))),
  ]];
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
const megabytes = (kilobytes: number) => `${(kilobytes / 1000).toFixed(0)} MB`;

async function main(): Promise<void> {
  const release = await sharedRelease();
  const dir = await Deno.makeTempDir({ prefix: "filesync-figures-" });
  try {
    const rows: Row[] = ["x86_64", "aarch64"].map((arch): Row => {
      const path = programOf(release, arch);
      return [`Size of \`${basename(path)}\``, `${(Deno.statSync(path).size / 1e6).toFixed(1)} MB`];
    });
    const program = programOf(release, Deno.build.arch);
    rows.push(...await starts(program, dir), ...await running(program, dir));
    rows.push(...await emulated(programOf(release, "aarch64"), dir));
    const table = [
      "| figure | self-extracting form |",
      "| --- | --- |",
      ...rows.map((row) => `| ${row.join(" | ")} |`),
    ];
    const text = Deno.readTextFileSync(README);
    const made = text.replace(
      /(<!-- measured: one file -->\n)[\s\S]*?(\n<!-- end -->)/,
      (_, before: string, after: string) => `${before}\n${table.join("\n")}\n${after}`,
    );
    if (made === text && !text.includes("<!-- measured: one file -->")) {
      throw new Error("README.md has no place for them");
    }
    Deno.writeTextFileSync(README, made);
    console.log(table.join("\n"));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) await main();
