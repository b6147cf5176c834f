/**
 * `deno task demo`: the main jobs on real files. Makes sample logs, starts an FTP server and a simulated autopilot as
 * processes of their own, runs the program three times (directory to FTP, FTP to directory, autopilot to FTP) and compares
 * every byte. Ends with 1 when anything differs.
 */
import { createHash } from "node:crypto";
import { DemoChild } from "./demo_child.ts";
import { type Sample, writeSamples } from "./demo_samples.ts";
import { type DemoVehicle, startVehicle } from "./demo_vehicle.ts";
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
  // All rights: it reaches what it serves through descriptors below `/proc`, for which Deno wants them.
  const child = new DemoChild("The FTP server", [
    "run",
    "-A",
    "--no-prompt",
    here("./demo_server.ts"),
    places.server,
    USER,
    `${places.base}/passwd`,
  ]);
  const { port } = await child.read<{ port: number }>();
  return { port, stop: () => child.stop() };
}

async function writeConfig(places: Places, name: string, source: unknown, target: unknown): Promise<string> {
  const file = `${places.base}/${name}.json`;
  const config = {
    state: `./${name}.db`,
    jobs: [{ name, source, target, finder: { settle: "0s", interval: "1s" } }],
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

/** The program as a service runs it, while the vehicle flies: until all its logs are delivered. */
async function syncInFlight(config: string, vehicle: DemoVehicle): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", here("./main.ts"), "sync", "--json", "--config", config],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  const words = child.stderr.pipeThrough(new TextDecoderStream());
  const showing = (async () => {
    for await (const part of words) console.log(part.trimEnd().replace(/^/gm, "   "));
  })();
  const hangs = setTimeout(() => child.kill("SIGKILL"), RUN_MS);
  let isRunning = true;
  child.status.then(() => isRunning = false);
  const delivered = new Set<string>();
  const flight = vehicle.fly(() => isRunning);
  // Its failure is thrown below, when the program has ended.
  flight.catch(() => child.kill("SIGTERM"));
  let text = "";
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (text + part).split("\n");
    text = lines.pop()!;
    for (const line of lines) {
      const event = JSON.parse(line);
      if (event.event !== "delivered" || delivered.has(event.path)) continue;
      delivered.add(event.path);
      console.log(`   Delivered "${event.path}" (${formatBytes(event.sizeBytes)})`);
      if (delivered.size === vehicle.logs.length) child.kill("SIGTERM");
    }
  }
  await child.status;
  await showing;
  clearTimeout(hangs);
  await flight;
  if (delivered.size < vehicle.logs.length) throw new Error(`"sync" ended with ${delivered.size} logs delivered`);
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
  let logs: Sample[] = [];
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
    const vehicle = await startVehicle();
    try {
      logs = vehicle.logs;
      console.log(
        `\n3. Pixracer to FTP: ${logs.length} logs by MAVLink, simulated on ${vehicle.url}, 1 % of packets lost`,
      );
      const mavftp = { driver: "mavftp", args: { url: vehicle.url, settle_after_disarm: "1s" } };
      const pixracer = { ...ftp, args: { ...ftp.args, dir: "pixracer" } };
      await syncInFlight(await writeConfig(places, "pixracer-to-ftp", mavftp, pixracer), vehicle);
    } finally {
      await vehicle.stop();
    }
  } finally {
    await server.stop();
  }
  console.log("\n4. Every byte compared by SHA-256");
  const onServer = [...samples, ...logs.map((log) => ({ ...log, path: `pixracer/${log.path}` }))];
  const wrong = [...await differences(places.server, onServer), ...await differences(places.archive, samples)];
  for (const { path, sizeBytes, sha256: hash } of onServer) {
    if (wrong.some((line) => line.startsWith(`"${path}"`))) continue;
    console.log(`   same  ${hash.slice(0, 12)}  ${formatBytes(sizeBytes).padStart(9)}  ${path}`);
  }
  if (wrong.length === 0) {
    console.log(`   ${samples.length} of ${samples.length} files are the same in all three places`);
    console.log(`   ${logs.length} of ${logs.length} logs on the server are the autopilot's`);
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
