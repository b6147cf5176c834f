/**
 * A disk that is really full, or read-only, while the program runs: a small filesystem in memory under one of its places.
 * When the disk is well again the same process goes on by itself.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, realpathSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { mkdtempSync } from "node:fs";
import { seededBytes } from "../pipeline.ts";
import { Program, status } from "../program.ts";
import { addOutcome, emptyOutcome, type Outcome, type RunOptions, type Scenario } from "../scenario.ts";
import { filesBelow, Verifier } from "../verifier.ts";
import { Watcher } from "../watcher.ts";

type Place = "spool" | "target" | "state" | "log" | "everything";

const DISK_BYTES = 24 * 1024 * 1024;
const FILE_BYTES = 100_000;
const FILES_COUNT = 40;
/** What a full disk still has. */
const LEFT_BYTES = 20_000;
const READ_ONLY_TRIES_MAX = 2000;
/** How long the disk is ill, milliseconds: past the first retries of every station. */
const ILL_MS = { ci: 4_000, full: 25_000 };
/** Lines of one run beyond which the log is flooded. */
const LOG_LINES_MAX = 60;

class DiskBed implements AsyncDisposable {
  readonly #dir = realpathSync(mkdtempSync(join(tmpdir(), "filesync-disk-")));
  readonly disk = join(this.#dir, "disk");
  readonly config = join(this.#dir, "config.json");
  readonly delivered = new Set<string>();
  readonly #places: Record<"source" | "spool" | "target" | "state" | "log", string>;
  readonly #verifier: Verifier;
  readonly #watcher: Watcher;
  #program: Program | undefined;
  #endings: number[] = [];
  #lines = 0;

  constructor(place: Place, seed: number) {
    mkdirSync(this.disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "filesync-disk", this.disk]);
    const below = (name: Place | "source") =>
      join(place === name || (place === "everything" && name !== "source") ? this.disk : this.#dir, name);
    this.#places = {
      source: below("source"),
      spool: below("spool"),
      target: below("target"),
      state: below("state"),
      log: below("log"),
    };
    for (const dir of Object.values(this.#places)) mkdirSync(dir);
    for (let n = 0; n < FILES_COUNT; n++) {
      const file = join(this.#places.source, `day ${n % 3}/log ${n}.ulg`);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, seededBytes(FILE_BYTES, seed + n));
    }
    const device = (dir: string) => ({ driver: "local", args: { dir } });
    writeFileSync(
      this.config,
      JSON.stringify({
        state: join(this.#places.state, "filesync.db"),
        spool: { dir: this.#places.spool, min_free: "0B" },
        log: { file: join(this.#places.log, "filesync.log") },
        jobs: [{
          name: "disk",
          source: device(this.#places.source),
          target: device(this.#places.target),
          finder: { settle: "0s", interval: "1s" },
          // Slow enough that the disk falls ill in the middle, and with moments in which nobody writes to it.
          limits: { download: "600KiB/s" },
          movers: 1,
        }],
      }),
    );
    this.#verifier = new Verifier(this.#places.source);
    this.#watcher = new Watcher(this.#places.target, this.#verifier.expected);
  }

  start(): void {
    this.#program = new Program({
      config: this.config,
      onEvent: ({ event, path }) => {
        if (event === "delivered") this.delivered.add(path!);
      },
    });
  }

  /** Waits, and starts a program that has ended again, as the service's supervisor does. */
  async until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    for (const endMs = performance.now() + timeoutMs; !condition();) {
      if (performance.now() > endMs) return false;
      if (this.#program!.hasEnded) {
        this.#endings.push(await this.#program!.exit);
        this.#lines += this.#program!.stderr.split("\n").length;
        this.start();
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return true;
  }

  get hasAll(): boolean {
    return this.delivered.size === FILES_COUNT;
  }

  /** Takes all the room that there is, and what is given back meanwhile. */
  fill(): void {
    const { bavail, bsize } = statfsSync(this.disk);
    const bytes = Number(bavail) * Number(bsize) - LEFT_BYTES;
    if (bytes <= 0) return;
    try {
      writeFileSync(join(this.disk, "filler"), new Uint8Array(bytes), { flag: "a" });
    } catch (error) {
      // The program was faster.
      if ((error as { code?: string }).code !== "ENOSPC") throw error;
    }
  }

  empty(): void {
    rmSync(join(this.disk, "filler"), { force: true });
  }

  /** Makes the disk read-only, as soon as nothing is being written to it. */
  async readOnly(): Promise<void> {
    for (let tries = 0;; tries++) {
      try {
        return void execFileSync("mount", ["-o", "remount,ro", this.disk], { stdio: "ignore" });
      } catch (error) {
        if (tries === READ_ONLY_TRIES_MAX) throw error;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  }

  writable(): void {
    execFileSync("mount", ["-o", "remount,rw", this.disk]);
  }

  /** @param endingsMax how often the program may have ended by itself with exit code 7 */
  async finish(endingsMax: number): Promise<Outcome> {
    const outcome = emptyOutcome();
    outcome.runs = 1;
    const program = this.#program!;
    const stderr = () => program.stderr;
    if (!program.hasEnded) program.kill("SIGTERM");
    await program.exit;
    this.#lines += stderr().split("\n").length;
    await this.#watcher.stop();
    const verdict = this.#verifier.judge(this.#places.target);
    const spooled = filesBelow(this.#places.spool).filter((name) => name !== "store.id");
    outcome.lost = verdict.missing.length;
    outcome.corrupt = verdict.corrupt.length + verdict.strange.length;
    outcome.duplicated = verdict.duplicated.length;
    outcome.leftovers = verdict.leftovers.length + spooled.length;
    outcome.halfUnderFinalName = this.#watcher.seen.size;
    outcome.humanActions = (await status(this.config)).parkedTotal;
    const isUnhealthy = this.#endings.length > endingsMax || this.#endings.some((code) => code !== 7);
    outcome.unhealthy = (isUnhealthy ? 1 : 0) + (this.#lines > LOG_LINES_MAX ? 1 : 0);
    outcome.notes = [];
    if (outcome.lost + outcome.leftovers + outcome.humanActions + outcome.unhealthy > 0) {
      console.log("What went wrong:", JSON.stringify({ verdict, spooled, endings: this.#endings, lines: this.#lines }));
    }
    if (outcome.lost + outcome.unhealthy > 0 || Deno.env.has("FILESYNC_TELL")) console.log(stderr().slice(-4000));
    return outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#program?.kill();
    await this.#program?.exit;
    await this.#watcher.stop().catch(() => {});
    // Its drivers end by themselves.
    for (let tries = 0;; tries++) {
      try {
        execFileSync("umount", [this.disk], { stdio: "ignore" });
        break;
      } catch (error) {
        if (tries === 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    rmSync(this.#dir, { recursive: true });
  }
}

/** One place, ill in the middle of a run. */
async function ill(place: Place, illness: "full" | "read-only", options: RunOptions): Promise<Outcome> {
  await using bed = new DiskBed(place, options.seed);
  bed.start();
  await bed.until(() => bed.delivered.size > 0, 60_000);
  if (illness === "read-only") await bed.readOnly();
  const before = bed.delivered.size;
  const untilMs = performance.now() + ILL_MS[options.scale];
  await bed.until(() => {
    if (illness === "full") bed.fill();
    return performance.now() > untilMs;
  }, ILL_MS[options.scale] + 1000);
  if (illness === "full") bed.empty();
  else bed.writable();
  options.tell(`${place} ${illness}: ${before} files before, ${bed.delivered.size} after`);
  // The log alone holds up nothing.
  const hasStruck = place === "log" ? bed.delivered.size > before : !bed.hasAll;
  await bed.until(() => bed.hasAll, 120_000);
  const outcome = await bed.finish(place === "state" || place === "everything" ? 20 : 0);
  if (!hasStruck) outcome.runs = 0;
  outcome.notes.push(place);
  return outcome;
}

function row(name: string, fault: string, illness: "full" | "read-only", places: readonly Place[]): Scenario {
  return {
    fault,
    name,
    protocols: ["local->local"],
    needs: ["root", "mount"],
    patient: true,
    async run(_protocol, options) {
      const sum = emptyOutcome();
      // Each to its end, so that one that fails leaves no program and no mount of the others behind.
      for (const result of await Promise.allSettled(places.map((place) => ill(place, illness, options)))) {
        if (result.status === "rejected") throw result.reason;
        addOutcome(sum, result.value);
        if (result.value.runs === 0) sum.unhealthy++;
      }
      return sum;
    },
  };
}

export const DISKS: readonly Scenario[] = [
  row("disk-full", "disk full of spool, target, state, log, or all, and room again", "full", [
    "spool",
    "target",
    "state",
    "log",
    "everything",
  ]),
  row("disk-read-only", "disk of spool or target read-only, and writable again", "read-only", ["spool", "target"]),
];
