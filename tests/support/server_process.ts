/** Real servers as processes on free ports of loopback, stopped by their process group. */

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
    throw new Error(`Cannot start ${name}: ${(error as Error).message}: ${words}`);
  }
  return { pid: child.pid, stop };
}

/**
 * A port below those that the kernel gives out by itself (32768 and up): one of those could be taken by a client, or be
 * given to a test in another worker, before the server listens on it.
 */
export function freePort(): number {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
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
      return;
    } catch (error) {
      if (hasEnded) throw new Error("it ended");
      if (performance.now() > untilMs) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
