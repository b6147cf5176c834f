/** The machine as `doctor` sees it, as a seam: what it asks can be answered by a test. */
import { hostname } from "node:os";
import { parentDeathWrapper } from "../../host/launch.ts";

/** What is asked of the machine. Nothing here throws: what cannot be told is `undefined`. */
export interface Machine {
  nowMs: () => number;
  /** Name of the time zone, such as `Europe/Moscow`. */
  timeZone: () => string;
  arch: string;
  host: string;
  /** Of this process; `undefined` where there are no users. */
  uid: number | undefined;
  /** Memory that can be had without swapping, bytes. */
  availableBytes: () => number | undefined;
  /** Whether a driver dies with its host, also when that is killed by SIGKILL. */
  killsOrphans: () => boolean;
  exists: (path: string) => boolean;
  /** The text of a small file, of /proc and /sys too. */
  text: (path: string) => string | undefined;
  /** What a program prints on stdout; `undefined` when it is absent, fails or takes longer than 3 s. */
  output: (command: string, args: string[]) => Promise<string | undefined>;
}

const OUTPUT_MS_MAX = 3000;

/** The machine that this process runs on. */
export const THIS_MACHINE: Machine = {
  nowMs: Date.now,
  timeZone: () => Intl.DateTimeFormat().resolvedOptions().timeZone,
  arch: Deno.build.arch,
  host: hostname(),
  uid: Deno.uid() ?? undefined,
  availableBytes: () => attempt(() => Deno.systemMemoryInfo().available),
  killsOrphans: () => attempt(() => parentDeathWrapper().length > 0) ?? false,
  exists: (path) => attempt(() => Deno.statSync(path)) !== undefined,
  text: (path) => attempt(() => Deno.readTextFileSync(path)),
  output,
};

/** What a system does not tell is no failure of the one who asks. */
function attempt<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

async function output(command: string, args: string[]): Promise<string | undefined> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), OUTPUT_MS_MAX);
  try {
    const { success, stdout } = await new Deno.Command(command, {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
      signal: late.signal,
    }).output();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch {
    // It is not installed: another way of asking, or none, takes its place.
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** The login name of a user, else the number as sudo takes it: `#1000`. */
export function userName(machine: Machine, uid: number): string {
  for (const line of machine.text("/etc/passwd")?.split("\n") ?? []) {
    const [name = "", , id] = line.split(":");
    if (id === String(uid) && name !== "") return name;
  }
  return `#${uid}`;
}
