/** The program as a user runs it: a child process in a directory of its own. */
import assert from "node:assert/strict";

const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;

/** The program from source, or another form of it that is to pass the same tests: `one_file_suite_test.ts`. */
const OTHER = Deno.env.get("FILESYNC_TEST_PROGRAM");
/** Whether Deno is at hand where the program runs, for a plugin that needs it. */
export const HAS_DENO = OTHER === undefined;
const [PROGRAM, ...BEFORE]: [string, ...string[]] = OTHER === undefined
  ? [Deno.execPath(), "run", "-A", "--no-prompt", "--quiet", MAIN]
  : [OTHER];

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** An environment with nothing of the tester's own in it; the directory is the home too. */
function environment(dir: string, extra: Record<string, string> = {}): Record<string, string> {
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`;
  const env: Record<string, string> = { LANG: "C.UTF-8", HOME: dir, DENO_DIR: `${cache}/deno` };
  for (const name of ["PATH", "DENO_DIR", "TMPDIR", "DENO_COVERAGE_DIR"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  return { ...env, ...extra };
}

function command(dir: string, args: string[], env?: Record<string, string>): Deno.Command {
  return new Deno.Command(PROGRAM, {
    args: [...BEFORE, ...args],
    cwd: dir,
    clearEnv: true,
    env: environment(dir, env),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** `filesync args` as a shell's `script` runs it, where it is `"$@"`. */
export function shellCommand(dir: string, script: string, args: string[]): Deno.Command {
  return new Deno.Command("sh", {
    args: ["-c", script, "sh", PROGRAM, ...BEFORE, ...args],
    cwd: dir,
    clearEnv: true,
    env: environment(dir),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs `filesync args` in `dir` to its end. */
export async function filesync(dir: string, args: string[], env?: Record<string, string>): Promise<Ended> {
  const child = command(dir, args, env).spawn();
  endIfItHangs(child);
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** A program that runs so long hangs, milliseconds: it is killed, so that its test fails with what it has said. */
const HANGS_MS = 180_000;

function endIfItHangs(child: Deno.ChildProcess): void {
  const timer = setTimeout(() => child.kill("SIGKILL"), HANGS_MS);
  child.status.then(() => clearTimeout(timer));
}

/** A running `filesync`. */
export class Running {
  readonly child: Deno.ChildProcess;
  readonly #out: Text;
  readonly #err: Text;

  constructor(dir: string, args: string[], env?: Record<string, string>) {
    this.child = command(dir, args, env).spawn();
    endIfItHangs(this.child);
    this.#out = new Text(this.child.stdout);
    this.#err = new Text(this.child.stderr);
  }

  /** What was written to stderr so far. */
  get stderr(): string {
    return this.#err.sofar;
  }

  /** Resolves when what was written to stdout matches. */
  stdoutMatches(pattern: RegExp): Promise<void> {
    return this.#out.matches(pattern);
  }

  /** Resolves when what was written to stderr matches. */
  stderrMatches(pattern: RegExp): Promise<void> {
    return this.#err.matches(pattern);
  }

  async ended(): Promise<Ended> {
    const { code } = await this.child.status;
    return { code, stdout: await this.#out.all, stderr: await this.#err.all };
  }
}

/** What a stream has said so far. */
class Text {
  readonly all: Promise<string>;
  #text = "";
  #isEnded = false;
  readonly #waiting = new Set<() => void>();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.all = this.#read(stream);
  }

  /** What it has said so far. */
  get sofar(): string {
    return this.#text;
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<string> {
    for await (
      const part of stream.pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>)
    ) {
      this.#text += part;
      this.#wake();
    }
    this.#isEnded = true;
    this.#wake();
    return this.#text;
  }

  #wake(): void {
    for (const look of this.#waiting) look();
  }

  matches(pattern: RegExp): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const isMatch = pattern.test(this.#text);
        if (!isMatch && !this.#isEnded) return;
        this.#waiting.delete(look);
        if (isMatch) resolve();
        else reject(new Error(`Expected ${pattern} in: ${this.#text}`));
      };
      this.#waiting.add(look);
      look();
    });
  }
}

/** Gives `use` a directory that is removed afterwards. */
export async function inTempDir(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-cli-" });
  try {
    await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Writes `config.json` with one job `logs` from `in` to `out`, and makes both. */
export async function localJob(dir: string, job: Record<string, unknown> = {}): Promise<void> {
  await Deno.mkdir(`${dir}/in`, { recursive: true });
  await Deno.mkdir(`${dir}/out`, { recursive: true });
  const config = {
    state: "./temp/filesync.db",
    jobs: [{
      name: "logs",
      source: { driver: "local", args: { dir: "./in" } },
      target: { driver: "local", args: { dir: "./out" } },
      finder: { settle: "0s" },
      ...job,
    }],
  };
  await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify(config, undefined, 2));
}

/** Each line of `text` as JSON; fails on a line that is none. */
export function jsonLines(text: string): Record<string, unknown>[] {
  assert.ok(text === "" || text.endsWith("\n"), "output ends in the middle of a line");
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}
