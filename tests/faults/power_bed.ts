/**
 * One run of the real program, recorded, and every state that a power cut could have left of it: built again at the same
 * paths, judged as it lies there, recovered by the engine, and judged again.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadConfig } from "../../lib/config/mod.ts";
import { runSync } from "../../lib/engine/mod.ts";
import type { PluginSet } from "../../lib/host/mod.ts";
import { closeLog, configureLog, EventBus, setConsoleWriter } from "../../lib/observe/mod.ts";
import { type FtpServer, startFtpServer } from "../support/ftp_servers.ts";
import { seededBytes } from "./pipeline.ts";
import { type Chance, EVERYTHING, type InitialFile, type LeftEntry, PowerDisk } from "./power_disk.ts";
import { faultsLeft, faultsRecovered, type PowerFault, type Wanted } from "./power_judge.ts";
import { type DiskCall, readTrace, straceCommand } from "./power_trace.ts";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

/** Handles of a second recording start here. */
const LATER_HANDLES = 1_000_000;

export interface PowerBedOptions {
  /** "local->ftp": with one FTP server at most, whose power is not cut. */
  protocol: string;
  seed: number;
  /** Files of the source: size in bytes by path. */
  files: Record<string, number>;
  targets?: string[];
  /** More of the job's configuration. */
  job?: Record<string, unknown>;
}

export class PowerBed implements AsyncDisposable {
  /** Everything whose power is cut: source, state with its spool, targets. */
  readonly disk: string;
  readonly targets: string[];
  recorded: PowerDisk | undefined;
  calls = 0;
  /** Fsyncs that failed while it was recorded. */
  failures = 0;
  /** How programs ended that faults were injected into. */
  readonly words: string[] = [];
  readonly #dir: string;
  readonly #config: string;
  readonly #deletes: boolean;
  /** By path of the source: what it may be, the newest last. */
  readonly #wanted: Wanted = new Map();
  /** Contents whose digest is known: states share them. */
  readonly #kept = new Map<string, { bytes: Uint8Array; at: string }>();

  #server: FtpServer | undefined;
  readonly #served: string | undefined;
  #puts = 0;
  readonly #seed: number;

  private constructor(options: PowerBedOptions) {
    this.#seed = options.seed;
    this.#dir = realpathSync(mkdtempSync(join(tmpdir(), "filesync-power-")));
    // In memory: thousands of states are built, and nothing here depends on a real disk.
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1g,mode=700", "filesync-power", this.#dir]);
    this.disk = join(this.#dir, "disk");
    this.targets = options.targets ?? ["out"];
    for (const name of ["source", "state", ...this.targets]) mkdirSync(join(this.disk, name), { recursive: true });
    this.#config = join(this.#dir, "config.json");
    this.#deletes = options.job?.["after"] === "delete";
    const [from, to] = options.protocol.split("->");
    this.#served = from === "ftp" ? "source" : to === "ftp" ? this.targets[0] : undefined;
    for (const [path, sizeBytes] of Object.entries(options.files)) this.put(path, sizeBytes);
  }

  static async open(options: PowerBedOptions): Promise<PowerBed> {
    const bed = new PowerBed(options);
    await bed.#serve();
    const device = (name: string) => {
      if (name !== bed.#served) return { driver: "local", args: { dir: join(bed.disk, name) } };
      const { host, port, user, passwd } = bed.#server!;
      return { driver: "ftp", args: { host, port, user, passwd } };
    };
    const job = {
      name: "power",
      source: device("source"),
      targets: bed.targets.map((name) => ({ name, ...device(name) })),
      finder: { settle: "0s" },
      ...options.job,
    };
    writeFileSync(bed.#config, JSON.stringify({ state: join(bed.disk, "state/new/filesync.db"), jobs: [job] }));
    return bed;
  }

  /** Starts the server, or starts it anew on its port. */
  async #serve(): Promise<void> {
    if (this.#served === undefined) return;
    const port = this.#server === undefined ? {} : { port: this.#server.port };
    await this.#server?.stop();
    this.#server = await startFtpServer("pyftpdlib", { root: join(this.disk, this.#served), ...port });
  }

  /** Writes a file of the source, with a hole in the larger ones. */
  put(path: string, sizeBytes: number): void {
    const bytes = seededBytes(sizeBytes, this.#seed + this.#puts++);
    if (sizeBytes > 3_000_000) bytes.fill(0, 1_000_000, 2_000_000);
    const file = join(this.disk, "source", path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
    const versions = this.#wanted.get(path) ?? [];
    this.#wanted.set(path, [...versions, { sizeBytes, sha256: digestOf(bytes) }]);
  }

  /** Runs the real program to its end. */
  async run(): Promise<void> {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), { args: this.#program(), stdout: "null" })
      .output();
    if (code !== 0) throw new Error(`Program ended with ${code}: ${new TextDecoder().decode(stderr)}`);
  }

  /**
   * Runs the real program to its end and records what it does, on a machine whose boot has another name than ours.
   * @param faults in strace's words; the program may fail by them, and is started once more without
   */
  async record(faults: readonly string[] = []): Promise<void> {
    const initial = this.#snapshot();
    const calls = await this.#trace(faults);
    if (faults.length > 0) {
      const began = calls.length;
      for (const call of await this.#trace([])) calls.push(later(call, began));
    }
    this.calls = calls.length;
    this.failures = calls.filter((call) => call.call === "fsync" && call.failed).length;
    this.recorded = new PowerDisk(initial, calls, {
      safe: this.#served === undefined ? [] : [join(this.disk, this.#served)],
    });
    await this.#serve();
    this.#checkReplay(this.recorded.left(calls.length, EVERYTHING));
  }

  async #trace(faults: readonly string[]): Promise<DiskCall[]> {
    const bootId = join(this.#dir, "boot_id");
    writeFileSync(bootId, "00000000-0000-4000-8000-000000000000\n");
    const log = join(this.#dir, "trace.log");
    const server = this.#server?.pid;
    const inside = ["sh", "-c", 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"', bootId];
    const program = [Deno.execPath(), ...this.#program()];
    const last = ["sh", "-c", '"$@"; code=$?; kill -KILL "$0"; exit "$code"', String(server)];
    const traced = straceCommand(log, server === undefined ? program : [...last, ...program], {
      beside: server,
      inject: faults,
    });
    const { code, stderr } = await new Deno.Command("unshare", {
      args: ["--mount", ...inside, ...traced],
      stdout: "null",
    })
      .output();
    const words = new TextDecoder().decode(stderr);
    if (code !== 0 && faults.length === 0) throw new Error(`Recorded program ended with ${code}: ${words}`);
    if (faults.length > 0) this.words.push(`exit code ${code}: ${words}`);
    const calls = await readTrace(log, [this.disk]);
    rmSync(log);
    return calls;
  }

  /** Builds what `chance` leaves after `cut` calls, at the same paths; what is wrong with it as it lies there. */
  build(cut: number, chance: Chance): PowerFault[] {
    rmSync(this.disk, { recursive: true, force: true });
    mkdirSync(this.disk);
    const laid = new Map<number, string>();
    for (const { path, file, bytes, mtimeMs } of this.recorded!.left(cut, chance)) {
      if (!path.startsWith(`${this.disk}/`) || path.endsWith("-shm")) continue;
      if (bytes === undefined) mkdirSync(path, { recursive: true });
      else if (laid.has(file!)) linkSync(laid.get(file!)!, path);
      else {
        this.#lay(path, bytes, mtimeMs);
        laid.set(file!, path);
      }
    }
    return faultsLeft(this.#place());
  }

  /** Starts the engine on what is there and judges what it came to; its exit code is expected to be 0. */
  async recover(plugins: PluginSet): Promise<PowerFault[]> {
    const words: string[] = [];
    setConsoleWriter((line) => words.push(line.trimEnd()));
    await configureLog({ level: "info", maxBytes: 2 ** 20, keep: 1, console: true });
    try {
      const summary = await runSync(loadConfig(this.#config, { plugins }), {
        once: true,
        plugins,
        events: new EventBus(),
        signal: AbortSignal.timeout(60_000),
        version: "test",
      });
      const faults = faultsRecovered(this.#place());
      if (summary.exitCode !== 0) faults.push(unhealthy(`exit code ${summary.exitCode}: ${words.join("; ")}`));
      return faults;
    } catch (error) {
      return [unhealthy(`the engine ended with: ${error}`)];
    } finally {
      await closeLog();
      setConsoleWriter();
    }
  }

  /** The same with the real program as a process. */
  async recoverWithProgram(): Promise<PowerFault[]> {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), { args: this.#program(), stdout: "null" })
      .output();
    const faults = faultsRecovered(this.#place());
    if (code !== 0) faults.push(unhealthy(`exit code ${code}: ${new TextDecoder().decode(stderr)}`));
    return faults;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.stop();
    execFileSync("umount", [this.#dir]);
    rmSync(this.#dir, { recursive: true });
  }

  #program(): string[] {
    return ["run", "-A", "--no-prompt", "--quiet", MAIN, "sync", "--once", "--no-progress", "--config", this.#config];
  }

  #place() {
    return {
      source: join(this.disk, "source"),
      store: join(this.disk, "state/new/filesync.db"),
      targets: this.targets.map((name) => ({ name, dir: join(this.disk, name) })),
      wanted: this.#wanted,
      deletes: this.#deletes,
    };
  }

  #snapshot(): InitialFile[] {
    const found: InitialFile[] = [{ path: this.disk }];
    const walk = (dir: string) => {
      for (const { name } of readdirSync(dir, { withFileTypes: true })) {
        const path = join(dir, name);
        const stat = lstatSync(path);
        if (stat.isDirectory()) {
          found.push({ path });
          walk(path);
        } else if (stat.isFile()) found.push({ path, bytes: readFileSync(path), mtimeMs: stat.mtimeMs });
      }
    };
    walk(this.disk);
    return found;
  }

  /** A replay of the whole recording must give what the run has left, to the byte: otherwise no cut of it proves anything. */
  #checkReplay(left: LeftEntry[]): void {
    const ours = left.filter(({ path }) => path.startsWith(`${this.disk}/`) && !path.endsWith("-shm"));
    const theirs = this.#snapshot().filter(({ path }) => path !== this.disk && !path.endsWith("-shm"));
    const lines = (entries: readonly { path: string; bytes?: Uint8Array }[]) =>
      entries.map(({ path, bytes }) => `${path} ${bytes === undefined ? "/" : digestOf(bytes)}`).sort().join("\n");
    if (lines(ours) !== lines(theirs)) {
      throw new Error(`Replay differs from what the program has left:\n${lines(ours)}\n--- expected\n${lines(theirs)}`);
    }
  }

  /** Large files that nobody writes to are linked, not copied. */
  #lay(path: string, bytes: Uint8Array, mtimeMs: number | undefined): void {
    const isSource = path.startsWith(`${this.disk}/source/`);
    if (!isSource || bytes.length < 65536) {
      writeFileSync(path, bytes);
      if (mtimeMs !== undefined) utimesSync(path, mtimeMs / 1000, mtimeMs / 1000);
      return;
    }
    let kept = this.#kept.get(path);
    if (kept?.bytes !== bytes) {
      const at = join(this.#dir, `kept-${this.#kept.size}`);
      writeFileSync(at, bytes);
      if (mtimeMs !== undefined) utimesSync(at, mtimeMs / 1000, mtimeMs / 1000);
      this.#kept.set(path, kept = { bytes, at });
    }
    linkSync(kept.at, path);
  }
}

/** A call of a second recording, after `began` calls of the first. */
function later(call: DiskCall, began: number): DiskCall {
  const moved = { ...call, began: call.began + began };
  if ("handle" in moved) moved.handle += LATER_HANDLES;
  if (moved.call === "copy") moved.from += LATER_HANDLES;
  return moved;
}

function unhealthy(words: string): PowerFault {
  return { kind: "unhealthy", words };
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
