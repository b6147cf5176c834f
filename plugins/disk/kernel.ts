/** What the kernel says of a drive. */
import type { Volume } from "./find.ts";

/** The log is read at most so often: a damaged drive may fail a thousand times, milliseconds. */
const FRESH_MS = 1000;

let known: { atMs: number; lines: string[] } | undefined;

/** The last line of the kernel's log that names the device; `undefined` when there is none, or we may not read it. */
export function kernelWord({ path }: Volume): string | undefined {
  const nowMs = performance.now();
  if (known === undefined || nowMs - known.atMs > FRESH_MS) known = { atMs: nowMs, lines: read() };
  return lastWord(known.lines, path.slice(path.lastIndexOf("/") + 1));
}

/** The last of the lines that speaks of device `name`, without the time in front. */
export function lastWord(lines: readonly string[], name: string): string | undefined {
  const isOf = new RegExp(`(^|[^0-9A-Za-z])${name}([^0-9A-Za-z]|$)`);
  return lines.findLast((line) => isOf.test(line))?.replace(/^\[[^\]]*\]\s*/, "").slice(0, 300);
}

function read(): string[] {
  try {
    const { stdout } = new Deno.Command("dmesg", {
      args: ["--level", "emerg,alert,crit,err,warn"],
      stdin: "null",
      stderr: "null",
      env: { LC_ALL: "C" },
    }).outputSync();
    return new TextDecoder().decode(stdout).trim().split("\n");
  } catch {
    return [];
  }
}
