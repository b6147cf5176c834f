/** The asking side of the socket beside the store. */
import { lstatSync, statSync } from "node:fs";
import { Bell } from "../driver/mod.ts";
import { lockHolder, StateError, Store } from "../state/mod.ts";
import { SOCKET_META } from "./control.ts";
import { readLine, writeLine } from "./control_line.ts";
import { EngineError, EXIT } from "./errors.ts";

/** How long a command waits for a process that starts or ends, milliseconds. */
const PATIENCE_MS = 5000;
const LOOK_MS = 50;

/** How to ask. */
export interface CallOptions {
  /** How long to wait for a process that holds the store and does not listen yet, milliseconds. @default 5000 */
  patienceMs?: number;
  /** How long to wait for the answer, milliseconds; absent: as long as it takes. */
  timeoutMs?: number;
}

/**
 * Asks the process that syncs.
 * @returns `undefined` when none does
 * @throws {EngineError} what the process answers, or 7 when it holds the store and does not answer
 */
export async function callDaemon<T>(
  statePath: string,
  method: string,
  params: unknown,
  { patienceMs = PATIENCE_MS, timeoutMs }: CallOptions = {},
): Promise<T | undefined> {
  const endMs = performance.now() + patienceMs;
  for (;;) {
    const pid = lockHolder(statePath);
    if (pid === undefined) return undefined;
    const connection = await connect(statePath);
    if (connection !== undefined) return await exchange<T>(connection, { method, params }, pid, timeoutMs);
    if (performance.now() >= endMs) {
      throw new EngineError(
        EXIT.state,
        `State store "${statePath}" is in use by process ${pid}, which does not answer`,
        {
          hint: `Wait until it has started, or stop it first: kill ${pid}`,
        },
      );
    }
    await new Bell().wait(new AbortController().signal, LOOK_MS);
  }
}

async function connect(statePath: string): Promise<Deno.UnixConn | undefined> {
  const beside = `${statePath}.sock`;
  const isBeside = lstatSync(beside, { throwIfNoEntry: false })?.isSocket() === true;
  const path = isBeside ? beside : rememberedPath(statePath);
  if (path === undefined) return undefined;
  try {
    return await Deno.connect({ transport: "unix", path });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused) return undefined;
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new EngineError(EXIT.denied, `Cannot reach the process that syncs by "${path}": permission denied`, {
        hint: "Run this command as the user that runs filesync sync",
      });
    }
    throw error;
  }
}

/** The socket that the store names, when its owner is the store's. */
function rememberedPath(statePath: string): string | undefined {
  try {
    using store = new Store(statePath, { readOnly: true });
    const path = store.meta(SOCKET_META);
    if (path === undefined || path === "") return undefined;
    const stat = lstatSync(path, { throwIfNoEntry: false });
    return stat?.isSocket() === true && stat.uid === statSync(statePath).uid ? path : undefined;
  } catch (error) {
    // The process that holds the store may be making it, or its schema, just now.
    if (error instanceof StateError) return undefined;
    throw error;
  }
}

async function exchange<T>(
  connection: Deno.UnixConn,
  request: { method: string; params: unknown },
  pid: number,
  timeoutMs: number | undefined,
): Promise<T> {
  let isLate = false;
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
    isLate = true;
    connection.close();
  }, timeoutMs);
  let line: string | undefined;
  try {
    await writeLine(connection, request);
    line = await readLine(connection);
  } catch (error) {
    if (!isLate && !(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset)) {
      throw error;
    }
  } finally {
    clearTimeout(timer);
    if (!isLate) connection.close();
  }
  if (line === undefined) {
    const what = isLate ? `does not answer` : "ended before it answered";
    throw new EngineError(EXIT.state, `Process ${pid}, which syncs, ${what}`, { hint: "Run the command again" });
  }
  const { result, error } = JSON.parse(line) as {
    result?: T;
    error?: { message: string; hint?: string; exitCode: number };
  };
  if (error !== undefined) {
    throw new EngineError(error.exitCode, error.message, error.hint === undefined ? {} : { hint: error.hint });
  }
  return result as T;
}
