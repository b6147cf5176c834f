/** One run of a command as a whole process, its children included. */

/** What one run took. */
export interface Sample {
  wallS: number;
  /** User and system time of the process and the children that it waited for, seconds. */
  cpuS: number;
}

/**
 * Runs a command and measures it.
 * @throws {Error} when it fails: a figure of a failed run says nothing
 */
export async function measure(argv: string[], cwd: string): Promise<Sample> {
  // bash's own clock counts the processor time of everything that was waited for.
  const { code, stderr } = await new Deno.Command("bash", {
    args: [
      "-c",
      'TIMEFORMAT="%3R %3U %3S"; time "$@" 2>&1 >/dev/null | tail -c 2000 >&2; exit "${PIPESTATUS[0]}"',
      "bench",
      ...argv,
    ],
    cwd,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  const words = new TextDecoder().decode(stderr).trim();
  const times = /([\d.]+) ([\d.]+) ([\d.]+)$/.exec(words);
  if (code !== 0 || times === null) throw new Error(`"${argv.join(" ")}" failed with ${code}: ${words}`);
  return { wallS: Number(times[1]), cpuS: Number(times[2]) + Number(times[3]) };
}

/** The middle value. */
export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
