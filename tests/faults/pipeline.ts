/**
 * The whole pipeline for one run: two ends, files, the real program between them, and everything that judges it. A
 * scenario opens one, starts the program, does its harm, waits until all has arrived, and takes the outcome.
 */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { temporaryPath } from "../../lib/driver/mod.ts";
import type { WireTransfer } from "../support/ftp_wire.ts";
import { type End, type EndOptions, ENDS, MAGIC } from "./ends.ts";
import { Program, type ProgramEvent, type Status, status } from "./program.ts";
import { emptyOutcome, type Outcome, seededRandom } from "./scenario.ts";
import { filesBelow, Verifier } from "./verifier.ts";
import { Watcher } from "./watcher.ts";

/** What an interruption may cost again: one moving file and direction, and all together. */
export const RESENT_FILE_BYTES = 256 * 1024;
export const RESENT_ALL_BYTES = 2 * 1024 * 1024;

/** A pipeline that tells nothing new for so long is asked how things stand, milliseconds. */
const STATUS_MS = 5_000;
/** Lines of the log in one run beyond which it counts as flooded, unless a scenario knows better. */
const LOG_LINES_MAX = 400;

export interface PipelineOptions {
  /** "local->ftp". */
  protocol: string;
  seed: number;
  signal: AbortSignal;
  /** Sizes by path. Contents come from the seed. */
  files: Record<string, number>;
  source?: Omit<EndOptions, "dir" | "role">;
  target?: Omit<EndOptions, "dir" | "role">;
  /** Added to the job's configuration. */
  job?: Record<string, unknown>;
  /** Added to the configuration. */
  config?: Record<string, unknown>;
}

export interface FinishOptions {
  /** Interruptions that hit transfers, and what each may cost; 0 when nothing can be counted. */
  resentLimitBytes: number | null;
  /** Faults that happened. */
  runs: number;
  /** Drivers may be told broken so often. */
  brokenMax?: number;
  /** Lines that one run of the program may write into its log. */
  logLinesMax?: number;
  notes?: string[];
}

/** Files of many sizes, some big enough to be met in the middle. */
export function mixedFiles(random: () => number, counts: { small: number; big: number }): Record<string, number> {
  const files: Record<string, number> = { "empty.ulg": 0, "one byte.bin": 1 };
  for (let i = 0; i < counts.small; i++) files[`day ${i % 5}/log_${i}.ulg`] = 1 + Math.floor(random() * 60_000);
  for (let i = 0; i < counts.big; i++) files[`big/video ${i}.mp4`] = 3_000_000 + Math.floor(random() * 5_000_000);
  return files;
}

/** How much smaller files are on an autopilot's card, behind its slow link. */
const CARD_SHARE = 16;

/** Those of `files` that the ends of `protocol` take, in sizes that fit to their links. */
export function filesFor(protocol: string, files: Record<string, number>): Record<string, number> {
  const [source, target] = protocol.split("->") as [string, string];
  const leastBytes = MAGIC[target]?.length ?? 0;
  const share = source === "mavftp" ? CARD_SHARE : 1;
  const sized = Object.entries(files).map(([path, bytes]): [string, number] => [path, Math.ceil(bytes / share)]);
  return Object.fromEntries(sized.filter(([, sizeBytes]) => sizeBytes >= leastBytes));
}

export class Pipeline implements AsyncDisposable {
  readonly dir: string;
  readonly config: string;
  readonly source: End;
  readonly target: End;
  readonly verifier: Verifier;
  readonly sizes: Record<string, number>;
  /** Paths that were told as delivered. */
  readonly delivered = new Set<string>();
  readonly events: ProgramEvent[] = [];
  readonly #watcher: Watcher;
  readonly #programs: Program[] = [];
  readonly #signal: AbortSignal;
  readonly #byTemporary = new Map<string, string>();
  #program: Program | undefined;
  #endedAlone = 0;

  private constructor(dir: string, ends: { source: End; target: End }, options: PipelineOptions) {
    this.dir = dir;
    this.source = ends.source;
    this.target = ends.target;
    this.sizes = options.files;
    this.#signal = options.signal;
    this.config = join(dir, "work/config.json");
    writeFileSync(
      this.config,
      JSON.stringify({
        ...options.config,
        jobs: [{
          name: "campaign",
          source: ends.source.device,
          target: ends.target.device,
          finder: { settle: "0s", interval: "1s" },
          ...options.job,
        }],
      }),
    );
    this.verifier = new Verifier(ends.source.dir);
    this.#watcher = new Watcher(ends.target.dir, this.verifier.expected);
  }

  static async open(options: PipelineOptions): Promise<Pipeline> {
    const dir = await Deno.makeTempDir({ prefix: "filesync-fault-" });
    const dirs = { work: join(dir, "work"), source: join(dir, "source"), target: join(dir, "target") };
    for (const path of Object.values(dirs)) mkdirSync(path);
    // A server drops its rights: it must be able to reach what it serves.
    Deno.chmodSync(dir, 0o755);
    for (const path of [dirs.source, dirs.target]) Deno.chmodSync(path, 0o777);
    const [from, to] = options.protocol.split("->") as [string, string];
    makeFiles(dirs.source, options.files, options.seed, MAGIC[to]);
    const source = await ENDS[from]!({ ...options.source, role: "source", dir: dirs.source });
    const target = await ENDS[to]!({ ...options.target, role: "target", dir: dirs.target });
    const pipeline = new Pipeline(dir, { source, target }, options);
    for (const [path, { sha256 }] of pipeline.verifier.expected) {
      target.form?.paths.set(sha256, path);
      pipeline.#byTemporary.set(basename(await temporaryPath(path, sha256)), path);
    }
    return pipeline;
  }

  /** The file that a name on a wire stands for, also a temporary one. */
  fileOf(wirePath: string): { path: string; sizeBytes: number } | undefined {
    // Some servers show their root as "/", others where it lies.
    const roots = [`${this.source.dir}/`, `${this.target.dir}/`, "/dav/", "/"];
    const root = roots.find((dir) => wirePath.startsWith(dir)) ?? "";
    const path = this.#byTemporary.get(basename(wirePath)) ?? wirePath.slice(root.length);
    const sizeBytes = this.sizes[path];
    return sizeBytes === undefined ? undefined : { path, sizeBytes };
  }

  get program(): Program {
    return this.#program!;
  }

  /** Starts the program; after a kill, again. */
  start(options: { once?: boolean; wrapper?: string[]; env?: Record<string, string> } = {}): Program {
    const program = new Program({
      config: this.config,
      ...options,
      onEvent: (event) => {
        if (event.event === "delivered") this.delivered.add(event.path!);
        if (event.event !== "progress") this.events.push(event);
      },
    });
    this.#programs.push(program);
    this.#program = program;
    return program;
  }

  /** Kills the program as a power switch does, without its drivers. */
  async kill(): Promise<void> {
    this.program.kill();
    await this.program.exit;
  }

  /** Resolves when `condition` holds; `false` when the time is over, or the program has ended. */
  async until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    const untilMs = performance.now() + timeoutMs;
    while (!condition()) {
      this.#signal.throwIfAborted();
      if (performance.now() > untilMs) return false;
      if (this.#program?.hasEnded) return condition();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return true;
  }

  /** Resolves when every file is delivered, as the program says. */
  async untilDelivered(timeoutMs = 180_000): Promise<boolean> {
    const untilMs = performance.now() + timeoutMs;
    const isTold = () => this.delivered.size >= Object.keys(this.sizes).length;
    while (performance.now() < untilMs) {
      const countBefore = this.delivered.size;
      if (await this.until(isTold, Math.min(STATUS_MS, untilMs - performance.now()))) return true;
      // A program that was killed may have committed what it had no time to tell.
      if (this.delivered.size === countBefore && await this.#isSaidToBeThere()) return true;
      if (this.program.hasEnded) return isTold();
    }
    return false;
  }

  async #isSaidToBeThere(): Promise<boolean> {
    const present = new Set(filesBelow(this.target.dir));
    if (Object.keys(this.sizes).some((path) => !present.has(path))) return false;
    return (await status(this.config)).word === "ok";
  }

  /** The program's spool. */
  get spoolDir(): string {
    return join(this.dir, "work", "filesync.db.spool");
  }

  /** Stops the program and judges everything. */
  async finish(options: FinishOptions): Promise<Outcome> {
    const outcome = emptyOutcome();
    outcome.runs = options.runs;
    outcome.notes.push(...options.notes ?? []);
    const program = this.program;
    if (program.hasEnded) {
      const code = await program.exit;
      if (code !== 0) this.#endedAlone++;
    } else {
      program.kill("SIGTERM");
      await program.exit;
    }
    await this.#watcher.stop();
    const verdict = this.verifier.judge(this.target.dir);
    const told: Status = await status(this.config);
    const spooled = filesBelow(this.spoolDir).filter((name) => name !== "store.id");
    outcome.lost = verdict.missing.length;
    outcome.corrupt = verdict.corrupt.length + verdict.strange.length;
    outcome.duplicated = verdict.duplicated.length;
    outcome.leftovers = verdict.leftovers.length + spooled.length;
    outcome.halfUnderFinalName = this.#watcher.seen.size;
    outcome.humanActions = told.parkedTotal;
    const broken = this.events.filter(({ event, code }) => event === "device" && code === "broken").length;
    const linesMax = options.logLinesMax ?? LOG_LINES_MAX;
    const isFlooded = this.#programs.some(({ stderr }) => stderr.split("\n").length > linesMax);
    outcome.unhealthy = this.#endedAlone + Math.max(0, broken - (options.brokenMax ?? 0)) + (isFlooded ? 1 : 0);
    const resent = this.resent();
    const { source, target } = this;
    const isCounted = [source.ftp, target.ftp, source.dav, target.dav, source.vehicle].some((counter) =>
      counter !== undefined
    );
    if (options.resentLimitBytes !== null && isCounted) {
      outcome.resentBytes = resent.allBytes;
      outcome.resentLimitBytes = options.resentLimitBytes;
    }
    const isWrong = outcome.lost + outcome.corrupt + outcome.duplicated + outcome.leftovers +
        outcome.halfUnderFinalName + outcome.humanActions + outcome.unhealthy > 0;
    if (isWrong || outcome.resentBytes > (outcome.resentLimitBytes ?? Infinity)) {
      console.log(
        "What went wrong:",
        JSON.stringify({ verdict, seen: [...this.#watcher.seen], spooled, parked: told.parked, resent }, null, 1),
      );
      console.log(this.#programs.map(({ stderr }) => stderr).join("--- started again\n").slice(-8000));
    }
    this.resentByProgram = told.resentBytes;
    return outcome;
  }

  /** What `status` said at the end. */
  resentByProgram = 0;

  /**
   * Bytes that crossed the wire beyond the files' sizes; what was read back from the target as proof; and what lay in the
   * wire when it broke: it had crossed the sender's link, never reached the server, and had to be sent again.
   */
  resent(): { allBytes: number; byFile: Record<string, number>; proofBytes: number; strandedBytes: number } {
    const byFile: Record<string, number> = {};
    const count = (
      transfers: readonly Pick<WireTransfer, "verb" | "path" | "bytes">[],
      verbs: RegExp,
      direction: string,
    ) => {
      const sums = new Map<string, number>();
      for (const { verb, path, bytes } of transfers) {
        const file = verbs.test(verb) ? this.fileOf(path) : undefined;
        if (file !== undefined) sums.set(file.path, (sums.get(file.path) ?? -file.sizeBytes) + bytes);
      }
      for (const [path, bytes] of sums) if (bytes > 0) byFile[`${path} ${direction}`] = bytes;
    };
    const ofTarget = this.target.ftp?.wire.transfers ?? [];
    count(this.source.ftp?.wire.transfers ?? [], /^RETR$/, "from the source");
    count(ofTarget, /^(STOR|APPE)$/, "to the target");
    count(this.source.dav?.transfers ?? [], /^GET$/, "from the source");
    count(this.target.dav?.transfers ?? [], /^(PUT|PATCH)$/, "to the target");
    const { vehicle } = this.source;
    if (vehicle !== undefined) {
      const sizesBytes = Object.values(this.sizes).reduce((sum, bytes) => sum + bytes, 0);
      const bytes = vehicle.stats.dataBytes - sizesBytes;
      if (bytes > 0) byFile["from the card"] = bytes;
    }
    const proofBytes = ofTarget.filter(({ verb }) => verb === "RETR").reduce((sum, { bytes }) => sum + bytes, 0);
    const strandedBytes = ofTarget.filter(({ verb }) => /^(STOR|APPE)$/.test(verb))
      .reduce((sum, { strandedBytes = 0 }) => sum + strandedBytes, 0);
    return { allBytes: Object.values(byFile).reduce((a, b) => a + b, 0), byFile, proofBytes, strandedBytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs) {
      program.kill();
      // What is wrong with what it said was thrown where it was waited for.
      await program.exit.catch(() => {});
    }
    await this.#watcher.stop().catch(() => {});
    await this.source.close();
    await this.target.close();
    // The drivers of a killed program end by themselves, and may still write.
    await Deno.remove(this.dir, { recursive: true }).catch(async () => {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      await Deno.remove(this.dir, { recursive: true });
    });
  }
}

function makeFiles(dir: string, files: Record<string, number>, seed: number, magic?: Uint8Array): void {
  const random = seededRandom(seed ^ 0x5f3759df);
  for (const [path, sizeBytes] of Object.entries(files)) {
    mkdirSync(join(dir, dirname(path)), { recursive: true });
    const bytes = seededBytes(sizeBytes, random() * 2 ** 32);
    if (magic !== undefined) bytes.set(magic.subarray(0, sizeBytes));
    writeFileSync(join(dir, path), bytes);
  }
}

/** Bytes that nothing compresses, from a seed. */
export function seededBytes(count: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(count / 4));
  let state = (seed >>> 0) || 1;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state >>> 0;
  }
  return new Uint8Array(words.buffer, 0, count);
}

/** SHA-256 in lower-case hex. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
