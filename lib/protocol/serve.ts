/**
 * The plugin's side of the pipe: a driver author implements `Driver` and calls {@linkcode serve}. Answers requests
 * from stdin on stdout, cancels on `$/cancel`, limits rates, exits when stdin ends.
 */
import {
  asDriverError,
  type Call,
  type DeviceLink,
  type Driver,
  DriverError,
  type Entry,
  MemorySaver,
} from "../driver/mod.ts";
import { type ArgsSchema, checkArgs } from "./check_args.ts";
import { LineSplitter, LineWriter } from "./framing.ts";
import {
  ENTRIES_MAX,
  INVALID_PARAMS,
  isObject,
  LINE_BYTES_MAX,
  METHOD_NOT_FOUND,
  parseMessage,
  PROGRESS_INTERVAL_MS,
  PROTOCOL_VERSION,
  type RpcMessage,
  toRpcError,
} from "./messages.ts";
import { RateLimiter } from "./rate_limiter.ts";

export { type ArgsSchema, checkArgs } from "./check_args.ts";
export { LivingCall } from "./living_call.ts";
export { isZero, OVERLAP_BYTES, SpoolWriter } from "./spool_writer.ts";

/** The part of the manifest that {@linkcode serve} needs. */
export interface ServeManifest {
  name: string;
  version: string;
  /** JSON Schema of the arguments: checked, and defaults filled in, before the driver sees them. */
  args?: ArgsSchema | Record<string, unknown>;
}

/** Bytes in and out of {@linkcode serveStreams}. */
export interface ServeStreams {
  input: AsyncIterable<Uint8Array>;
  write: (bytes: Uint8Array) => Promise<void>;
  /** Told how many calls are under way whenever that changes. */
  onCalls?: (count: number) => void;
}

interface RunningCall {
  abort: AbortController;
  limiter: RateLimiter;
}

/**
 * Serves `driver` on stdin and stdout until stdin ends or `shutdown` was answered, then ends the process.
 * stdout belongs to the protocol: write words to stderr, or use the link's `log`.
 */
export async function serve(driver: Driver, manifest: ServeManifest): Promise<never> {
  // The host decides when a driver stops: Ctrl-C in the host's terminal must not cut a transfer in two.
  Deno.addSignalListener("SIGINT", () => {});
  if (Deno.stdin.isTerminal()) {
    console.error(
      `This is the FileSync driver "${manifest.name}". It is started by filesync and speaks JSON-RPC on stdin and stdout.`,
    );
  }
  let shuttingDown = false;
  Deno.addSignalListener("SIGTERM", () => {
    if (shuttingDown) return;
    shuttingDown = true;
    Promise.resolve(driver.shutdown?.()).finally(() => Deno.exit(143));
  });
  let code = 0;
  let runningCount = 0;
  const saver = new MemorySaver(() => runningCount > 0);
  try {
    await serveStreams(driver, manifest, {
      onCalls: (count) => {
        runningCount = count;
        saver.noteWork();
      },
      input: Deno.stdin.readable,
      write: async (bytes) => {
        for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
      },
    });
  } catch (error) {
    // EPIPE: the host is gone. Everything else is a fault of the driver's own.
    if (!(error instanceof Deno.errors.BrokenPipe)) {
      console.error(error);
      code = 1;
    }
  }
  Deno.exit(code);
}

/** {@linkcode serve} over any pair of streams, for tests and debuggers. Resolves when the input ends or after `shutdown`. */
export async function serveStreams(driver: Driver, manifest: ServeManifest, streams: ServeStreams): Promise<void> {
  const writer = new LineWriter(streams.write);
  const running = new Map<number | string, RunningCall>();
  let stop: (() => void) | undefined;
  const stopped = new Promise<void>((resolve) => stop = resolve);
  let isShutdown = false;

  const notify = (method: string, params: unknown): Promise<void> => writer.send({ jsonrpc: "2.0", method, params });
  // A broken pipe shows at the next awaited write, and stdin ends with it.
  const tell = (method: string, params: unknown): void => void notify(method, params).catch(() => stop?.());
  const link: DeviceLink = {
    state: (state) => tell("$/state", state),
    log: (level, message) => tell("$/log", { level, message }),
  };

  async function answer(message: RpcMessage & { id: number | string; method: string }): Promise<void> {
    const { id, method } = message;
    const params = isObject(message.params) ? message.params : {};
    const abort = new AbortController();
    const limit = params["maxBytesPerSecond"];
    const limiter = new RateLimiter(typeof limit === "number" ? limit : undefined);
    running.set(id, { abort, limiter });
    streams.onCalls?.(running.size);
    const progress = progressSender(id, tell);
    const call: Call = {
      signal: abort.signal,
      progress: progress.send,
      entries: (entries) => sendEntries(id, entries, notify),
      throttle: (bytes) => limiter.take(bytes, abort.signal),
    };
    let reply: Record<string, unknown>;
    try {
      const result = await dispatch(driver, manifest, method, params, call, link);
      reply = result === NO_METHOD
        ? { error: { code: METHOD_NOT_FOUND, message: `Method "${method}" is not supported` } }
        : { result };
    } catch (error) {
      // How far a call came that failed decides how soon it is tried again.
      progress.tellLast();
      if (error instanceof TypeError && !(error instanceof DriverError)) console.error(error);
      const failure = abort.signal.aborted && asDriverError(error).code === "failed"
        ? new DriverError("cancelled", "Call is cancelled", { cause: error })
        : error;
      reply = failure instanceof InvalidParams
        ? { error: { code: INVALID_PARAMS, message: failure.message } }
        : { error: toRpcError(failure) };
    } finally {
      progress.stop();
      running.delete(id);
      streams.onCalls?.(running.size);
    }
    await writer.send({ jsonrpc: "2.0", id, ...reply });
    if (method === "shutdown") {
      isShutdown = true;
      stop?.();
    }
  }

  function handle(line: string): void {
    if (line.trim() === "") return;
    const message = parseMessage(line);
    if (message === undefined || message.method === undefined) return;
    if (message.id !== undefined && message.id !== null) {
      answer(message as RpcMessage & { id: number | string; method: string }).catch(() => stop?.());
      return;
    }
    const params = isObject(message.params) ? message.params : {};
    const call = running.get(params["id"] as number | string);
    if (message.method === "$/cancel") call?.abort.abort();
    if (message.method === "$/limit") {
      const limit = params["maxBytesPerSecond"];
      call?.limiter.setLimit(typeof limit === "number" ? limit : undefined);
    }
  }

  const splitter = new LineSplitter(() => link.log("error", "A line over 1 MiB on stdin is ignored"));
  const reading = (async () => {
    for await (const chunk of streams.input) {
      for (const line of splitter.push(chunk)) handle(line);
    }
  })();
  await Promise.race([reading, stopped]);
  for (const call of running.values()) call.abort.abort();
  if (!isShutdown) await driver.shutdown?.();
}

const NO_METHOD = Symbol("no method");

class InvalidParams extends Error {}

async function dispatch(
  driver: Driver,
  manifest: ServeManifest,
  method: string,
  params: Record<string, unknown>,
  call: Call,
  link: DeviceLink,
): Promise<unknown> {
  // deno-lint-ignore no-explicit-any -- the host checked what it sends; a driver checks what it depends on
  const given = params as any;
  switch (method) {
    case "initialize": {
      if (given.protocol !== PROTOCOL_VERSION) {
        throw new DriverError("unsupported", `Host speaks protocol ${given.protocol}: expected ${PROTOCOL_VERSION}`, {
          hint: "Install the driver's release for this version of filesync",
        });
      }
      const args = checkArgs(isObject(given.args) ? given.args : {}, manifest.args as ArgsSchema | undefined);
      return await driver.initialize({ ...given, args }, link);
    }
    case "list":
      if (!driver.list) return NO_METHOD;
      need(params, "directory");
      await driver.list(given, call);
      return { complete: true };
    case "stat":
      need(params, "path");
      return driver.stat ? await driver.stat(given, call) : NO_METHOD;
    case "download":
      need(params, "path", "spoolFile");
      return driver.download ? await driver.download(given, call) : NO_METHOD;
    case "upload":
      need(params, "path", "spoolFile", "sha256");
      return driver.upload ? await driver.upload(given, call) : NO_METHOD;
    case "confirm":
      need(params, "path", "sha256");
      return driver.confirm ? { receipt: await driver.confirm(given, call) } : NO_METHOD;
    case "remove":
      if (!driver.remove) return NO_METHOD;
      need(params, "path");
      await driver.remove(given, call);
      return {};
    case "check":
      return driver.check ? await driver.check(call) : NO_METHOD;
    case "release":
      return driver.release ? await driver.release(call) : NO_METHOD;
    case "shutdown":
      await driver.shutdown?.();
      return {};
    default:
      return NO_METHOD;
  }
}

function need(params: Record<string, unknown>, ...names: string[]): void {
  for (const name of names) {
    if (typeof params[name] !== "string") throw new InvalidParams(`Parameter "${name}" is missing or no string`);
  }
}

type Notify = (method: string, params: unknown) => Promise<void>;

/**
 * Sends the newest progress at once, then at most one each interval; a `resume` state is never dropped, nor where a call
 * went back to.
 */
function progressSender(
  id: number | string,
  tell: (method: string, params: unknown) => void,
): { send: Call["progress"]; tellLast: () => void; stop: () => void } {
  let pending: Record<string, unknown> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lastBytes = 0;
  const flush = () => {
    timer = undefined;
    if (pending === undefined) return;
    const params = pending;
    pending = undefined;
    tell("$/progress", params);
    timer = setTimeout(flush, PROGRESS_INTERVAL_MS);
  };
  return {
    send(doneBytes, options = {}) {
      const goesBack = doneBytes < lastBytes;
      lastBytes = doneBytes;
      if (goesBack) {
        clearTimeout(timer);
        timer = undefined;
        if (pending !== undefined) tell("$/progress", pending);
        pending = undefined;
      }
      pending = { ...pending, id, doneBytes, ...options };
      if (timer === undefined) flush();
    },
    tellLast() {
      if (pending !== undefined) tell("$/progress", pending);
      pending = undefined;
    },
    stop() {
      clearTimeout(timer);
      timer = undefined;
      if (pending?.["resume"] !== undefined) tell("$/progress", pending);
      pending = undefined;
    },
  };
}

/** Room that is left in a line for the frame around the entries, bytes. */
const FRAME_BYTES = 256;

async function sendEntries(id: number | string, entries: Entry[], notify: Notify): Promise<void> {
  for (let at = 0; at < entries.length; at += ENTRIES_MAX) {
    await sendBatch(id, entries.slice(at, at + ENTRIES_MAX), notify);
  }
}

async function sendBatch(id: number | string, batch: Entry[], notify: Notify): Promise<void> {
  // UTF-8 needs at most 3 bytes for a UTF-16 unit, so this never under-estimates.
  const size = batch.reduce((sum, entry) => sum + entry.path.length * 3 + (entry.problem?.length ?? 0) * 3 + 300, 0);
  if (size + FRAME_BYTES > LINE_BYTES_MAX && batch.length > 1) {
    const half = batch.length >> 1;
    await sendBatch(id, batch.slice(0, half), notify);
    await sendBatch(id, batch.slice(half), notify);
    return;
  }
  await notify("$/entries", { id, entries: batch });
}
