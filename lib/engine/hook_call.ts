/** One call of a hook: a program that reads the event from stdin, or an address that it is sent to. */
import { type HookConfig, resolveSecrets } from "../config/mod.ts";

/** An event as a hook gets it: what `sync --json` prints. */
export interface HookEvent {
  schema: 1;
  event: string;
  /** ISO 8601, UTC. */
  time: string;
  device?: string;
  job?: string;
  path?: string;
  target?: string;
}

/** Why a call did not do what it should. */
export interface HookProblem {
  words: string;
  /** Another try may help. */
  isPassing: boolean;
}

/** What a call needs. */
export interface CallOptions {
  configFile: string;
  signal: AbortSignal;
}

/** Characters of a program's last words that are told. */
const WORDS_MAX = 300;

/** Tells a hook of an event; `undefined`: it was told. */
export async function callHook(
  hook: HookConfig,
  event: HookEvent,
  { configFile, signal }: CallOptions,
): Promise<HookProblem | undefined> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(hook.timeoutMs)]);
  return "command" in hook
    ? await runCommand(hook.command, event, limit)
    : await post(hook.url, hook.headers, event, { configFile, signal: limit });
}

async function runCommand(
  [command = "", ...args]: string[],
  event: HookEvent,
  signal: AbortSignal,
): Promise<HookProblem | undefined> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(command, {
      args,
      env: environmentOf(event),
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
      signal,
    }).spawn();
  } catch (error) {
    return { words: `Cannot run "${command}": ${wordsOf(error)}`, isPassing: false };
  }
  const [{ success, code, stderr }] = await Promise.all([child.output(), writeEvent(child, event)]);
  if (success) return undefined;
  if (signal.aborted) return { words: `"${command}" took too long and was ended`, isPassing: false };
  const words = new TextDecoder().decode(stderr).trim().slice(0, WORDS_MAX);
  return { words: `"${command}" ended with exit code ${code}${words === "" ? "" : `: ${words}`}`, isPassing: true };
}

async function writeEvent(child: Deno.ChildProcess, event: HookEvent): Promise<void> {
  try {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(`${JSON.stringify(event)}\n`));
    await writer.close();
  } catch {
    // A program that does not read what it is told, such as one that lights a lamp.
  }
}

/** What simple programs need, without reading JSON. */
function environmentOf({ event, device, job, path, target }: HookEvent): Record<string, string> {
  const facts = { EVENT: event, DEVICE: device, JOB: job, PATH: path, TARGET: target };
  return Object.fromEntries(
    Object.entries(facts).flatMap(([name, value]) =>
      // A name with NUL cannot be in an environment; such a program has it from stdin.
      value === undefined || value.includes("\0") ? [] : [[`FILESYNC_${name}`, value]]
    ),
  );
}

async function post(
  url: string,
  headers: Record<string, unknown>,
  event: HookEvent,
  { configFile, signal }: CallOptions,
): Promise<HookProblem | undefined> {
  const { host } = new URL(url);
  try {
    const secrets = await resolveSecrets(headers, { file: configFile, place: "hooks" });
    const response = await fetch(url, {
      method: "POST",
      headers: { ...secrets as Record<string, string>, "content-type": "application/json" },
      body: JSON.stringify(event),
      redirect: "error",
      signal,
    });
    await response.body?.cancel();
    if (response.ok) return undefined;
    const isPassing = response.status >= 500 || response.status === 429;
    return { words: `${host} answered ${response.status}`, isPassing };
  } catch (error) {
    return { words: `Cannot tell ${host}: ${wordsOf(error)}`, isPassing: true };
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
