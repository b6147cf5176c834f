/** `filesync sync` as a process of its own, with what it tells on its way. */
import { V8_FLAGS } from "../../lib/host/launch.ts";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

/** One line of `--json`. */
export interface ProgramEvent {
  event: string;
  path?: string;
  target?: string;
  device?: string;
  code?: string;
  reason?: string;
  [key: string]: unknown;
}

export interface ProgramOptions {
  config: string;
  /** Ends when all is moved. */
  once?: boolean;
  /** Words before the program: `["strace", "-f", …]`. */
  wrapper?: readonly string[];
  env?: Record<string, string>;
  onEvent?: (event: ProgramEvent) => void;
}

function environment(dir: string, extra: Record<string, string> = {}): Record<string, string> {
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`;
  const env: Record<string, string> = { LANG: "C.UTF-8", HOME: dir, DENO_DIR: `${cache}/deno`, NO_COLOR: "1" };
  for (const name of ["PATH", "DENO_DIR", "TMPDIR", "DENO_COVERAGE_DIR"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  return { ...env, ...extra };
}

function command(args: string[], config: string, { wrapper = [], env }: Partial<ProgramOptions>): Deno.Command {
  // As it is run from source and compiled: what it takes of memory is what it takes in the field.
  const run = [Deno.execPath(), "run", "-A", "--no-prompt", "--quiet", `--v8-flags=${V8_FLAGS}`, MAIN];
  const words = [...wrapper, ...run, ...args, "--config", config];
  const dir = config.slice(0, config.lastIndexOf("/"));
  return new Deno.Command(words[0]!, {
    args: words.slice(1),
    cwd: dir,
    clearEnv: true,
    env: environment(dir, env),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** A running program. */
export class Program {
  readonly pid: number;
  readonly exit: Promise<number>;
  /** Everything but progress. */
  readonly events: ProgramEvent[] = [];
  hasEnded = false;
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<unknown>;
  #stderr = "";

  constructor(options: ProgramOptions) {
    const args = ["sync", ...(options.once ? ["--once"] : []), "--json", "--no-progress"];
    this.#child = command(args, options.config, options).spawn();
    this.pid = this.#child.pid;
    this.#read = Promise.all([
      eachLine(this.#child.stdout, (line) => this.#take(line, options.onEvent)),
      eachLine(this.#child.stderr, (line) => this.#stderr += `${line}\n`),
    ]);
    this.exit = this.#child.status.then(async ({ code }) => {
      this.hasEnded = true;
      await this.#read;
      return code;
    });
  }

  /** What it said to people, so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Process ids of its drivers. */
  get children(): number[] {
    try {
      return Deno.readTextFileSync(`/proc/${this.pid}/task/${this.pid}/children`).split(" ").filter(Boolean).map(
        Number,
      );
    } catch {
      return [];
    }
  }

  kill(signal: Deno.Signal = "SIGKILL"): void {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended by itself.
    }
  }

  #take(line: string, onEvent?: (event: ProgramEvent) => void): void {
    const event = eventOf(line);
    if (event.event !== "progress") this.events.push(event);
    onEvent?.(event);
  }
}

function eventOf(line: string): ProgramEvent {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new Error(`The program printed no event: ${line}`, { cause: error });
  }
}

/** What `filesync status --json` says. */
export interface Status {
  word: string;
  parkedTotal: number;
  parked: { path: string; state: string; reason: string }[];
  spool: { usedBytes: number };
  resentBytes: number;
}

export async function status(config: string): Promise<Status> {
  const { stdout, stderr, code } = await command(["status", "--json"], config, {}).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)) as [string, string];
  try {
    return JSON.parse(out);
  } catch (error) {
    throw new Error(`status ended with ${code} and printed ${JSON.stringify(out)}: ${err}`, { cause: error });
  }
}

/** Says that what was given up is to be tried again. */
export async function retry(config: string): Promise<void> {
  const { success, stderr } = await command(["retry", "--parked"], config, {}).output();
  if (!success) throw new Error(`retry: ${new TextDecoder().decode(stderr)}`);
}

/** Kills a process; returns whether it was there. */
export function killed(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGKILL");
    return true;
  } catch {
    return false;
  }
}

async function eachLine(stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const part of stream) {
    const lines = (rest + decoder.decode(part, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line !== "") take(line);
  }
}
