/** The driver in this process, for tests that look at its inside. */
import type { Call, Entry, Role } from "../../lib/driver/mod.ts";
import { LocalDriver } from "./driver.ts";

/** A call that gathers what is sent. */
export function testCall(hooks: { onEntries?: () => void; signal?: AbortSignal } = {}): Call & { sent: Entry[] } {
  const sent: Entry[] = [];
  return {
    sent,
    signal: hooks.signal ?? new AbortController().signal,
    progress: () => {},
    entries: (entries) => {
      sent.push(...entries);
      hooks.onEntries?.();
      return Promise.resolve();
    },
    throttle: () => Promise.resolve(),
  };
}

/** Runs `work` with a driver for `<base>/root`, a spool at `<base>/spool` and state in `<base>/state`. */
export async function withDriver(
  role: Role,
  work: (driver: LocalDriver, base: string) => Promise<void>,
  dir = "root",
): Promise<void> {
  const base = await Deno.makeTempDir({ prefix: "filesync-local-" });
  try {
    for (const name of ["root", "spool", "state"]) await Deno.mkdir(`${base}/${name}`);
    await work(newDriver(role, base, dir), base);
  } finally {
    await Deno.remove(base, { recursive: true });
  }
}

/** A driver as after a restart: the same directories, nothing in memory. */
export function newDriver(role: Role, base: string, dir = "root"): LocalDriver {
  return initialized(new LocalDriver(), role, base, dir);
}

/** `driver`, for `<base>/<dir>`. */
export function initialized(driver: LocalDriver, role: Role, base: string, dir = "root"): LocalDriver {
  driver.initialize({
    protocol: 1,
    device: "test",
    role,
    args: { dir: `${base}/${dir}` },
    spoolDir: `${base}/spool`,
    stateDir: `${base}/state`,
    logLevel: "info",
  });
  return driver;
}
