/** One call of a hook: a program that reads the event from stdin, or an address that it is sent to. */
import { type HookConfig, resolveSecrets } from "../config/mod.ts";
import { Bell } from "../driver/mod.ts";

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
/** How long they may still be on their way when it has ended, milliseconds. */
const WORDS_MS = 200;
/** How long a program has to end once it is asked to, and once it is ended, milliseconds. */
const GRACE_MS = 1000;

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
      // A group of its own: a shell is ended together with what it waits for.
      detached: true,
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    return { words: `Cannot run "${command}": ${wordsOf(error)}`, isPassing: false };
  }
  const said = lastWords(child.stderr);
  const [status] = await Promise.all([endOf(child, signal), writeEvent(child, event)]);
  // What it leaves running in the background, such as a lamp that blinks, may keep the pipe.
  const words = await said.end();
  if (status?.success === true) return undefined;
  if (signal.aborted) return { words: `"${command}" took too long and was ended`, isPassing: false };
  return {
    words: `"${command}" ended with exit code ${status?.code}${words === "" ? "" : `: ${words}`}`,
    isPassing: true,
  };
}

/** Waits for its end; after `signal` it is asked to, and ended. `undefined`: not even that helps, its device may hang. */
async function endOf(child: Deno.ChildProcess, signal: AbortSignal): Promise<Deno.CommandStatus | undefined> {
  const ended = new AbortController();
  const status = child.status.finally(() => ended.abort());
  await new Bell().wait(AbortSignal.any([signal, ended.signal]));
  for (const kind of ["SIGTERM", "SIGKILL"] as const) {
    if (!signal.aborted || (kind === "SIGTERM" && ended.signal.aborted)) break;
    signalGroup(child.pid, kind);
    await new Bell().wait(ended.signal, GRACE_MS);
  }
  return ended.signal.aborted ? await status : undefined;
}

function signalGroup(pid: number, kind: "SIGTERM" | "SIGKILL"): void {
  try {
    Deno.kill(-pid, kind);
  } catch {
    // Nobody is left.
  }
}

/** Reads all, so that nobody waits for a reader, and keeps the beginning. */
function lastWords(stream: ReadableStream<Uint8Array>): { end: () => Promise<string> } {
  const reader = stream.getReader();
  let words = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (words.length < WORDS_MAX) words += decoder.decode(part.value, { stream: true });
    }
  })().catch(() => {});
  return {
    end: async () => {
      const patience = new AbortController();
      await Promise.race([reading, new Bell().wait(patience.signal, WORDS_MS)]);
      patience.abort();
      await reader.cancel().catch(() => {});
      return words.trim().slice(0, WORDS_MAX);
    },
  };
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
