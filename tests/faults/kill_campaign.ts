/**
 * Kills the real program, or one of its drivers, at random instants while it moves files, again and again, and judges
 * what is on the target after each kill and at the end. The seed makes sizes, victims and waits repeatable; the
 * scheduler's part in it is not.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { filesBelow, type Verdict, Verifier } from "./verifier.ts";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

/** A configured device whose files also lie in a directory of ours. */
export interface CampaignDevice {
  dir: string;
  device: { driver: string; args: Record<string, unknown> };
}

export interface CampaignOptions {
  /** Folder for the configuration, state and spool. */
  workDir: string;
  source: CampaignDevice;
  target: CampaignDevice;
  seed: number;
  kills: number;
  victim: "host" | "driver";
  /** Called after each kill, for a person who waits. */
  onKill?: (done: number) => void;
}

export interface CampaignResult {
  kills: number;
  verdict: Verdict;
  /** Files that were wrong under a final name right after a kill. */
  wrongAtAnInstant: string[];
  /** Files that are in the spool although all is delivered. */
  spoolLeftovers: string[];
  exitCode: number;
  resentBytes: number;
  totalBytes: number;
  stderr: string;
}

/** Small, fast, repeatable random numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Files of all sorts: empty, tiny, many small ones, some that take a while at the campaign's limit. */
export function makeSource(dir: string, random: () => number): number {
  let totalBytes = 0;
  const put = (path: string, sizeBytes: number) => {
    const bytes = new Uint8Array(sizeBytes);
    for (let at = 0; at < sizeBytes; at += 65536) {
      crypto.getRandomValues(bytes.subarray(at, Math.min(sizeBytes, at + 65536)));
    }
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), bytes);
    totalBytes += sizeBytes;
  };
  put("empty.ulg", 0);
  put("one byte.bin", 1);
  for (let i = 0; i < 60; i++) put(`day ${i % 5}/log_${i}.ulg`, 1 + Math.floor(random() * 60_000));
  for (let i = 0; i < 4; i++) put(`big/video ${i}.mp4`, 3_000_000 + Math.floor(random() * 5_000_000));
  return totalBytes;
}

/** Runs a campaign to its end. */
export async function killCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const { workDir, source, target, victim } = options;
  const random = seededRandom(options.seed);
  const totalBytes = makeSource(source.dir, random);
  const verifier = new Verifier(source.dir);
  const config = join(workDir, "config.json");
  writeFileSync(
    config,
    JSON.stringify({
      jobs: [{
        name: "campaign",
        source: source.device,
        target: target.device,
        finder: { settle: "0s" },
        attempts: 50,
        // Slow enough that a kill meets a file in the middle.
        limits: { download: "12MiB/s", upload: "12MiB/s" },
      }],
    }),
  );
  const result: CampaignResult = {
    kills: 0,
    verdict: { missing: [], corrupt: [], duplicated: [], leftovers: [], strange: [] },
    wrongAtAnInstant: [],
    spoolLeftovers: [],
    exitCode: -1,
    resentBytes: 0,
    totalBytes,
    stderr: "",
  };
  const log = join(workDir, "stderr.log");
  while (result.kills < options.kills) {
    using run = startSync(config, log);
    const waitMs = victim === "host" ? 300 + random() * 1200 : 500 + random() * 700;
    while (result.kills < options.kills) {
      const ended = await Promise.race([run.exit, pause(waitMs)]);
      if (ended !== undefined) break;
      if (victim === "host") {
        run.kill();
        await run.exit;
      } else if (!killOneDriver(run.pid, random)) continue;
      result.kills++;
      options.onKill?.(result.kills);
      const { corrupt, duplicated, strange } = verifier.judge(target.dir);
      result.wrongAtAnInstant.push(...corrupt, ...duplicated, ...strange);
      if (victim === "host") break;
    }
    if (victim === "driver") {
      run.kill();
      await run.exit;
    }
    // All arrived before enough kills: begin anew with an empty target and state.
    if (verifier.judge(target.dir).missing.length === 0 && result.kills < options.kills) {
      await startAnew(workDir, target);
    }
  }
  using last = startSync(config, log);
  result.exitCode = await last.exit;
  result.verdict = verifier.judge(target.dir);
  result.spoolLeftovers = filesBelow(join(workDir, "filesync.db.spool")).filter((name) => name !== "store.id");
  result.resentBytes = await resentBytes(config);
  result.stderr = readFileSync(log, "utf8");
  return result;
}

interface Run extends Disposable {
  pid: number;
  exit: Promise<number>;
  kill(): void;
}

function startSync(config: string, log: string): Run {
  const file = Deno.openSync(log, { create: true, append: true });
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      'exec "$0" "$@" 2>>"$LOG"',
      Deno.execPath(),
      "run",
      "-A",
      MAIN,
      "sync",
      "--once",
      "--config",
      config,
      "-q",
    ],
    env: { LOG: log },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  file.close();
  const kill = () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };
  return { pid: child.pid, exit: child.status.then((status) => status.code), kill, [Symbol.dispose]: kill };
}

/** Kills one of the program's children; `false` when there is none just now. */
function killOneDriver(host: number, random: () => number): boolean {
  let children: number[];
  try {
    children = readFileSync(`/proc/${host}/task/${host}/children`, "utf8").trim().split(" ").filter(Boolean).map(
      Number,
    );
  } catch {
    return false;
  }
  const chosen = children[Math.floor(random() * children.length)];
  if (chosen === undefined) return false;
  try {
    Deno.kill(chosen, "SIGKILL");
    return true;
  } catch {
    return false;
  }
}

function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}

async function startAnew(workDir: string, target: CampaignDevice): Promise<void> {
  for (
    const name of ["filesync.db", "filesync.db-wal", "filesync.db-shm", "filesync.db.spool", "filesync.db.devices"]
  ) {
    await Deno.remove(join(workDir, name), { recursive: true }).catch(() => {});
  }
  for await (const entry of Deno.readDir(target.dir)) {
    await Deno.remove(join(target.dir, entry.name), { recursive: true });
  }
}

async function resentBytes(config: string): Promise<number> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, "status", "--json", "--config", config],
    stderr: "null",
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).resentBytes;
}
