/** Real servers as processes on free ports of loopback, stopped by their process group. */
import { freePort, listensOn } from "../../lib/conformance/port.ts";

export { freePort } from "../../lib/conformance/port.ts";

/** What to spawn. */
export interface ServerCommand {
  command: string;
  args: string[];
  env?: Record<string, string>;
}

export interface ServerProcess {
  pid: number;
  /** Kills it and its connections at once, as a power cut does, and removes its directory. */
  stop(): Promise<void>;
}

/**
 * Starts a server and waits until it answers.
 * @param setup `dir` is its own and goes with it
 */
export async function startServer(
  name: string,
  setup: ServerCommand & { dir: string; host: string; port: number; controlPort?: number },
): Promise<ServerProcess> {
  const { dir, host, port, controlPort, command, args, env } = setup;
  const log = `${dir}/output.log`;
  // One process group for the server and the children that it makes for connections.
  const child = new Deno.Command("sh", {
    args: ["-c", 'exec "$0" "$@" > "$FILESYNC_TEST_LOG" 2>&1', command, ...args],
    env: { ...env, FILESYNC_TEST_LOG: log },
    stdin: "null",
    stdout: "null",
    stderr: "null",
    detached: true,
  }).spawn();
  let isStopped = false;
  const stop = async () => {
    if (isStopped) return;
    isStopped = true;
    try {
      Deno.kill(-child.pid as number, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await child.status;
    await Deno.remove(dir, { recursive: true });
  };
  try {
    await untilItAnswers(host, port, child);
    if (controlPort !== undefined) await untilItAnswers(host, controlPort, child);
  } catch (error) {
    const words = await Deno.readTextFile(log).catch(() => "");
    await stop();
    if (error instanceof PortTaken) throw error;
    throw new Error(`Cannot start ${name}: ${(error as Error).message}: ${words}`);
  }
  return { pid: child.pid, stop };
}

/** Another server was faster: what answers on the port is not the one that was started. */
class PortTaken extends Error {}

/** Starts a server on `port`, or on a free one: on another if somebody takes that before the server does. */
export async function onFreePort<T>(port: number | undefined, start: (port: number) => Promise<T>): Promise<T> {
  for (let left = 5;; left--) {
    try {
      return await start(port ?? freePort());
    } catch (error) {
      if (!(error instanceof PortTaken) || port !== undefined || left === 0) throw error;
    }
  }
}

async function untilItAnswers(hostname: string, port: number, child: Deno.ChildProcess): Promise<void> {
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  const untilMs = performance.now() + 10_000;
  for (;;) {
    try {
      (await Deno.connect({ hostname, port })).close();
      if (!listensOn(child.pid, port)) throw new PortTaken(`Another server listens on port ${port}`);
      return;
    } catch (error) {
      if (error instanceof PortTaken) throw error;
      if (hasEnded) throw new Error("it ended");
      if (performance.now() > untilMs) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
