/**
 * `deno task demo`: the main job on real files. Makes sample logs, starts an FTP server as a process of its own, runs
 * the program twice (directory to FTP, FTP to directory) and compares every byte. Ends with 1 when anything differs.
 */
import { createHash } from "node:crypto";
import { type Sample, writeSamples } from "./demo_samples.ts";
import { formatBytes } from "./output/format.ts";

const USER = "pilot";
/** A run that takes longer hangs, milliseconds. */
const RUN_MS = 60_000;

const here = (path: string) => new URL(path, import.meta.url).pathname;

interface Places {
  base: string;
  vehicle: string;
  server: string;
  archive: string;
}

async function makePlaces(): Promise<Places> {
  const base = await Deno.realPath(await Deno.makeTempDir({ prefix: "filesync-demo-" }));
  const places = { base, vehicle: `${base}/vehicle`, server: `${base}/server`, archive: `${base}/archive` };
  for (const dir of [places.vehicle, places.server, places.archive]) await Deno.mkdir(dir);
  const passwd = crypto.getRandomValues(new Uint8Array(16)).toHex();
  await Deno.writeTextFile(`${base}/passwd`, `${passwd}\n`, { mode: 0o600 });
  return places;
}

/** Starts the server and waits until it says its port. */
async function startServer(places: Places): Promise<{ port: number; stop: () => Promise<void> }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--allow-net=127.0.0.1",
      `--allow-read=${places.base}`,
      `--allow-write=${places.server}`,
      here("./demo_server.ts"),
      places.server,
      USER,
      `${places.base}/passwd`,
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await lines.read();
    if (done) throw new Error("Cannot start the FTP server: it ended before it said its port");
    text += value;
  }
  const { port } = JSON.parse(text) as { port: number };
  return {
    port,
    async stop() {
      await child.stdin.close();
      await lines.cancel();
      await child.status;
    },
  };
}

async function writeConfig(places: Places, name: string, source: unknown, target: unknown): Promise<string> {
  const file = `${places.base}/${name}.json`;
  const config = {
    state: `./${name}.db`,
    jobs: [{ name, source, target, finder: { settle: "0s" } }],
  };
  await Deno.writeTextFile(file, `${JSON.stringify(config, null, 2)}\n`);
  return file;
}

/** Runs the program as a user does and shows what it says. */
async function sync(config: string): Promise<void> {
  const started = performance.now();
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", here("./main.ts"), "sync", "--once", "--no-progress", "--config", config],
    stdin: "null",
    signal: AbortSignal.timeout(RUN_MS),
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  const words = (decoder.decode(stderr) + decoder.decode(stdout)).trimEnd();
  console.log(words.replace(/^/gm, "   "));
  if (code !== 0) throw new Error(`"sync --once" ended with exit code ${code}`);
  console.log(`   Done in ${((performance.now() - started) / 1000).toFixed(1)} s, starts of all processes included`);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const buffer = new Uint8Array(256 * 1024);
  for (let count = await file.read(buffer); count !== null; count = await file.read(buffer)) {
    hash.update(buffer.subarray(0, count));
  }
  return hash.digest("hex");
}

/** Every file below `dir`, relative to it, in order. */
function filesBelow(dir: string, prefix = ""): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(`${dir}/${name}`, `${prefix}${name}/`) : [prefix + name]
  ).sort();
}

/** What in `dir` is not what was made; each line says a file and what is wrong with it. */
async function differences(dir: string, samples: Sample[]): Promise<string[]> {
  const wrong: string[] = [];
  const found = new Set(filesBelow(dir));
  for (const { path, sha256: wanted } of samples) {
    if (!found.delete(path)) wrong.push(`"${path}" is missing in ${dir}`);
    else if (await sha256(`${dir}/${path}`) !== wanted) wrong.push(`"${path}" differs in ${dir}`);
  }
  return [...wrong, ...[...found].map((path) => `"${path}" is not expected in ${dir}`)];
}

async function run(places: Places): Promise<string[]> {
  const samples = await writeSamples(places.vehicle);
  console.log(`Sample logs in ${places.vehicle}`);
  for (const { path, sizeBytes } of samples) console.log(`   ${formatBytes(sizeBytes).padStart(9)}  ${path}`);
  const server = await startServer(places);
  try {
    console.log(`FTP server on 127.0.0.1 port ${server.port}, a process of its own, serves ${places.server}`);
    const local = (dir: string) => ({ driver: "local", args: { dir } });
    const ftp = {
      driver: "ftp",
      args: { host: "127.0.0.1", port: server.port, user: USER, passwd: { file: "./passwd" } },
    };
    console.log("\n1. Directory to FTP");
    await sync(await writeConfig(places, "dir-to-ftp", local("./vehicle"), ftp));
    console.log("\n2. FTP to directory");
    await sync(await writeConfig(places, "ftp-to-dir", ftp, local("./archive")));
  } finally {
    await server.stop();
  }
  console.log("\n3. Every byte compared by SHA-256");
  const wrong = (await Promise.all([places.server, places.archive].map((dir) => differences(dir, samples)))).flat();
  for (const { path, sizeBytes, sha256: hash } of samples) {
    if (wrong.some((line) => line.startsWith(`"${path}"`))) continue;
    console.log(`   same  ${hash.slice(0, 12)}  ${formatBytes(sizeBytes).padStart(9)}  ${path}`);
  }
  if (wrong.length === 0) {
    console.log(`   ${samples.length} of ${samples.length} files are the same in all three places`);
  }
  return wrong;
}

async function main(args: string[]): Promise<number> {
  const unknown = args.find((arg) => arg !== "--keep");
  if (unknown !== undefined) {
    console.error(`Unknown option "${unknown}": deno task demo [--keep]`);
    return 2;
  }
  const places = await makePlaces();
  let wrong: string[];
  try {
    wrong = await run(places);
  } catch (error) {
    wrong = [error instanceof Error ? error.message : String(error)];
  }
  for (const line of wrong) console.log(`   WRONG ${line}`);
  if (wrong.length > 0 || args.includes("--keep")) {
    console.log(`\nEverything is kept in ${places.base}: files, configs, states`);
  } else {
    await Deno.remove(places.base, { recursive: true });
    console.log("\nThe demo's directory is removed; deno task demo --keep leaves it for a look");
  }
  return wrong.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
