/**
 * Tests against real servers and tools: absent, they are ignored on a developer's machine and fail in CI.
 */
import { execFileSync } from "node:child_process";

/** Whether `command` can be found on PATH or is an executable path. */
export function hasCommand(command: string): boolean {
  try {
    execFileSync("sh", ["-c", 'command -v -- "$1"', "sh", command], {
      stdio: "ignore",
      env: { PATH: `${Deno.env.get("PATH")}:/usr/sbin:/sbin:/usr/local/sbin` },
    });
    return true;
  } catch {
    return false;
  }
}

/**
 * Registers a test that needs something of the machine. Absent: "ignored: needs X" locally, a failure when `CI=true`.
 * @param present whether the thing is there; by default whether `what` is a command
 */
export function testNeeding(
  what: string,
  name: string,
  run: (t: Deno.TestContext) => void | Promise<void>,
  present: boolean = hasCommand(what),
): void {
  if (present) Deno.test(name, run);
  else if (Deno.env.get("CI") === "true") {
    Deno.test(name, () => {
      throw new Error(`Test needs ${what}, which is absent: install it in .ci/run`);
    });
  } else Deno.test({ name: `${name} (ignored: needs ${what})`, ignore: true, fn: run });
}
