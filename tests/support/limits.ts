/**
 * No test hangs the run: each has a limit, set here and nowhere else. At the limit all processes that the test started
 * and that still run are killed with what they started, and the failure says which they were: what it waited for. The task
 * `test` preloads this file, in front of every test file; `deno test --preload tests/support/limits.ts` does it by hand.
 */

/** Far above the slowest test on a loaded machine, seconds. */
const LIMIT_S = 600;
/** What a test has left to fail by itself once its processes are dead, seconds. */
const GRACE_S = 10;

interface Started {
  argv: string;
  atMs: number;
  child: Deno.ChildProcess;
}

const running = new Set<Started>();

/** `Deno.Command` that knows what runs. */
class WatchedCommand extends Deno.Command {
  readonly #argv: string;
  readonly #command: string | URL;
  readonly #options: Deno.CommandOptions;

  constructor(command: string | URL, options: Deno.CommandOptions = {}) {
    super(command, options);
    this.#argv = [String(command), ...(options.args ?? [])].join(" ");
    this.#command = command;
    this.#options = options;
  }

  override spawn(): Deno.ChildProcess {
    const started = { argv: this.#argv, atMs: performance.now(), child: super.spawn() };
    running.add(started);
    const forget = () => void running.delete(started);
    started.child.status.then(forget, forget);
    return started.child;
  }

  override output(): Promise<Deno.CommandOutput> {
    const pipes = { stdin: "null", stdout: "piped", stderr: "piped" } as const;
    return new WatchedCommand(this.#command, { ...pipes, ...this.#options }).spawn().output();
  }
}

Object.defineProperty(Deno, "Command", { value: WatchedCommand, configurable: true });

function milliseconds(name: string, seconds: number): number {
  const given = Number(Deno.env.get(name));
  return (given > 0 ? given : seconds) * 1000;
}

/** A process with all that came of it, which would hold its pipes open. */
function familyOf(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const [, parent] = /\) \S (\d+)/.exec(Deno.readTextFileSync(`/proc/${name}/stat`)) ?? [];
      parents.set(Number(name), Number(parent));
    } catch {
      // It has just ended.
    }
  }
  const family = [pid];
  for (const member of family) {
    for (const [child, parent] of parents) if (parent === member) family.push(child);
  }
  return family;
}

/** Kills what runs; returns a line for each. */
function killAll(): string[] {
  return [...running].map(({ argv, atMs, child }) => {
    for (const pid of familyOf(child.pid)) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It has just ended.
      }
    }
    return `  process ${child.pid}, for ${Math.round((performance.now() - atMs) / 1000)} s: ${argv.slice(0, 300)}`;
  });
}

let timer: ReturnType<typeof setTimeout> | undefined;

Deno.test.beforeEach(() => {
  const ms = milliseconds("FILESYNC_TEST_LIMIT_S", LIMIT_S);
  timer = setTimeout(() => {
    const lines = killAll();
    const waited = lines.length === 0 ? "  no process: for something in itself" : lines.join("\n");
    const words = `Test gave no result in ${ms / 1000} s. It waited for:\n${waited}`;
    console.error(words);
    // Most tests fail now, in their own words. One that does not is ended with its file.
    timer = setTimeout(() => {
      throw new Error(words);
    }, milliseconds("FILESYNC_TEST_GRACE_S", GRACE_S));
  }, ms);
});

Deno.test.afterEach(() => clearTimeout(timer));
