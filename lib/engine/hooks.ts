/** Commands of the configuration that are run on events: argv, never a shell. */
import { type EventBus, logFor } from "../observe/mod.ts";

/** A hook must not hold up the end of the program, milliseconds. */
const PATIENCE_MS = 30_000;

/**
 * Runs `hooks.safe_to_unplug` when a device can be unplugged; its name is in `FILESYNC_DEVICE`.
 * @returns what ends it and waits for commands under way
 */
export function runHooks(hooks: Record<string, unknown>, events: EventBus): () => Promise<void> {
  const argv = hooks["safe_to_unplug"] as string[] | undefined;
  if (argv === undefined) return () => Promise.resolve();
  const running = new Set<Promise<void>>();
  const stop = events.listen((event) => {
    if (event.event !== "safe_to_unplug") return;
    const run = runCommand(argv, event.device).finally(() => running.delete(run));
    running.add(run);
  });
  return async () => {
    stop();
    await Promise.all(running);
  };
}

async function runCommand([command = "", ...args]: string[], device: string): Promise<void> {
  const log = logFor("hooks");
  try {
    const { success, code, stderr } = await new Deno.Command(command, {
      args,
      env: { FILESYNC_EVENT: "safe_to_unplug", FILESYNC_DEVICE: device },
      stdin: "null",
      stdout: "null",
      signal: AbortSignal.timeout(PATIENCE_MS),
    }).output();
    if (success) return;
    const words = new TextDecoder().decode(stderr).trim().slice(0, 300);
    log.warning(`Hook "${command}" ended with exit code ${code}${words === "" ? "" : `: ${words}`}`);
  } catch (error) {
    log.warning(`Cannot run hook "${command}": ${error instanceof Error ? error.message : error}`);
  }
}
