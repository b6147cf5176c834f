/** One run of a command as a whole process, its children included. */
import { readFileSync } from "node:fs";

/** What one run took. */
export interface Sample {
  wallS: number;
  /** User and system time of the process and the children that it waited for, seconds. */
  cpuS: number;
  /** Of the started process alone, without its children, seconds: of FileSync the host. */
  ownCpuS: number;
  /** The most memory that it and its children had at once, as far as was seen, MiB. */
  memoryMib: number;
}

/** How often a running process is looked at, milliseconds. */
const LOOK_MS = 20;

/**
 * Runs a command and measures it.
 * @param okCodes how it may end
 * @throws {Error} when it fails: a figure of a failed run says nothing
 */
export async function measure(argv: string[], cwd: string, okCodes: readonly number[] = [0]): Promise<Sample> {
  // bash's own clock counts the processor time of everything that was waited for.
  const child = new Deno.Command("bash", {
    args: ["-c", 'TIMEFORMAT="%3R %3U %3S"; time "$@" >/dev/null', "bench", ...argv],
    cwd,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const watch = new Watch(child.pid);
  const timer = setInterval(() => watch.look(), LOOK_MS);
  const { code, stderr } = await child.output();
  clearInterval(timer);
  const words = new TextDecoder().decode(stderr).trim();
  const times = /([\d.]+) ([\d.]+) ([\d.]+)$/.exec(words);
  if (!okCodes.includes(code) || times === null) {
    throw new Error(`"${argv.join(" ")}" failed with ${code}: ${words.slice(-2000)}`);
  }
  return {
    wallS: Number(times[1]),
    cpuS: Number(times[2]) + Number(times[3]),
    ownCpuS: watch.ownCpuS,
    memoryMib: watch.memoryMib,
  };
}

/** Looks at what bash runs, and at its children. */
class Watch {
  ownCpuS = 0;
  memoryMib = 0;
  readonly #shell: number;

  constructor(shell: number) {
    this.#shell = shell;
  }

  look(): void {
    const [program] = childrenOf(this.#shell);
    if (program === undefined) return;
    this.ownCpuS = cpuOf(program) ?? this.ownCpuS;
    const all = [program, ...childrenOf(program)];
    this.memoryMib = Math.max(this.memoryMib, all.reduce((sum, pid) => sum + residentMib(pid), 0));
  }
}

function childrenOf(pid: number): number[] {
  return (read(`/proc/${pid}/task/${pid}/children`) ?? "").split(" ").filter(Boolean).map(Number);
}

/** Clock ticks a second of Linux. */
const TICKS = 100;

function cpuOf(pid: number): number | undefined {
  // The name in brackets may hold spaces.
  const fields = read(`/proc/${pid}/stat`)?.replace(/^.*\) /s, "").split(" ");
  return fields === undefined ? undefined : (Number(fields[11]) + Number(fields[12])) / TICKS;
}

function residentMib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? "")?.[1] ?? 0) / 1024;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // It has ended.
    return undefined;
  }
}

/** The middle value. */
export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
