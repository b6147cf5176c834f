/**
 * A device in memory for tests of the engine: real bytes go to and from real spool files, and every call can be made to
 * fail, to hang or to lie.
 */
import { createHash } from "node:crypto";
import {
  type CallOptions,
  type Capabilities,
  conflictPath,
  type DeviceAccess,
  type DeviceClient,
  type DeviceState,
  type DownloadParams,
  type DownloadResult,
  DriverError,
  type Entry,
  type Finding,
  type ListOutcome,
  type ListParams,
  type Receipt,
  type RemoveParams,
  type Turn,
  type TurnOptions,
  type UploadParams,
} from "../../lib/driver/mod.ts";

/** A file on the device. */
export interface FakeFile {
  bytes: Uint8Array;
  modifiedMs?: number;
  etag?: string;
  problem?: string;
}

/** One call, as a script sees it. */
export interface FakeCall {
  method: "capabilities" | "list" | "stat" | "download" | "upload" | "confirm" | "remove";
  path: string;
  /** How many calls of this method and path there were before. */
  nth: number;
  params: unknown;
  options: CallOptions;
}

/** Throws what the call shall fail with, waits, or answers in the device's place by returning something. */
export type Script = (call: FakeCall) => unknown | Promise<unknown>;

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Bytes that differ from file to file. */
export function someBytes(sizeBytes: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let state = seed >>> 0 || 1;
  for (let at = 0; at < sizeBytes; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** An error that ends a whole plugin, with the cause that the host gives it. */
export function death(signal: string | null, killedByUs: boolean): DriverError {
  return new DriverError("broken", "Plugin ended", { cause: { signal, killedByUs } });
}

/** The device; `files` is what it has as a source and what it got as a target. */
export class FakeDevice implements DeviceClient {
  files = new Map<string, FakeFile>();
  can: Capabilities = { callsMax: 4, resumeDownload: true, recursiveList: true, confirm: true, repeatable: true };
  deviceId: string | undefined = undefined;
  /** Asked before each call. */
  script: Script = () => {};
  /** Asked after the device did its work, before the answer goes out. */
  afterwards: Script = () => {};
  /** Every call, as `method path`. */
  readonly calls: string[] = [];
  /** Calls under way. */
  active = 0;
  /** Most calls that were under way at once. */
  activeMost = 0;
  /** Bytes that a download appends between two `$/progress`. */
  stepBytes = 64 * 1024;
  readonly #listeners = new Set<(state: DeviceState) => void>();
  readonly #inFlight = new Set<(error: DriverError) => void>();
  /** Which life of the plugin this is: what an earlier one had under way does nothing any more. */
  #life = 0;

  /** Puts a file on the device. */
  put(path: string, bytes: Uint8Array | string, more: Partial<FakeFile> = {}): void {
    const content = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    this.files.set(path, { bytes: content, modifiedMs: 1_700_000_000_000, ...more });
  }

  text(path: string): string | undefined {
    const file = this.files.get(path);
    return file === undefined ? undefined : new TextDecoder().decode(file.bytes);
  }

  /** Calls of one method. */
  count(method: FakeCall["method"], path?: string): number {
    return this.calls.filter((call) =>
      path === undefined ? call.startsWith(`${method} `) : call === `${method} ${path}`
    )
      .length;
  }

  onState(listener: (state: DeviceState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Sends `$/state`. */
  say(state: DeviceState): void {
    for (const listener of [...this.#listeners]) listener(state);
  }

  /** Ends every call under way at once, as the death of a plugin does. */
  die(error: DriverError): void {
    this.#life++;
    for (const fail of [...this.#inFlight]) fail(error);
  }

  capabilities(options: CallOptions = {}): Promise<Capabilities> {
    return this.#call("capabilities", "", undefined, options, () => ({ ...this.can }));
  }

  list(
    params: ListParams,
    take: (entries: Entry[]) => void | Promise<void>,
    options: CallOptions = {},
  ): Promise<ListOutcome> {
    return this.#call("list", params.directory, params, options, async () => {
      const prefix = params.directory === "" ? "" : `${params.directory}/`;
      const entries = new Map<string, Entry>();
      for (const [path, { bytes, ...file }] of this.files) {
        if (!path.startsWith(prefix)) continue;
        const slash = path.indexOf("/", prefix.length);
        if (slash >= 0 && params.recursive !== true) {
          entries.set(path.slice(0, slash), { path: path.slice(0, slash), kind: "directory" });
        } else entries.set(path, { path, kind: "file", sizeBytes: bytes.length, ...file });
      }
      const all = [...entries.values()];
      for (let at = 0; at < all.length; at += 1000) await take(all.slice(at, at + 1000));
      return { ignored: 0 };
    });
  }

  stat(path: string, options: CallOptions = {}): Promise<Entry> {
    return this.#call("stat", path, { path }, options, () => {
      const file = this.files.get(path);
      if (path === "") return { path, kind: "directory" as const };
      if (file === undefined) throw new DriverError("not_found", `No "${path}"`);
      return { path, kind: "file" as const, sizeBytes: file.bytes.length };
    });
  }

  download(params: DownloadParams, options: CallOptions = {}): Promise<DownloadResult> {
    return this.#call("download", params.path, params, options, async () => {
      const life = this.#life;
      const file = this.files.get(params.path);
      if (file === undefined) throw new DriverError("not_found", `No "${params.path}"`);
      const { bytes, modifiedMs } = file;
      for (let at = params.offsetBytes; at < bytes.length; at += this.stepBytes) {
        Deno.writeFileSync(params.spoolFile, bytes.subarray(at, at + this.stepBytes), { append: true, create: false });
        options.onProgress?.({ doneBytes: Math.min(bytes.length, at + this.stepBytes) });
        await this.#still(options, life);
      }
      return {
        sizeBytes: bytes.length,
        fingerprint: { sizeBytes: bytes.length, ...(modifiedMs === undefined ? {} : { modifiedMs }) },
      };
    });
  }

  upload(params: UploadParams, options: CallOptions = {}): Promise<Receipt> {
    return this.#call("upload", params.path, params, options, async () => {
      const life = this.#life;
      const bytes = Deno.readFileSync(params.spoolFile);
      options.onProgress?.({ doneBytes: Math.floor(bytes.length / 2) });
      await this.#still(options, life);
      let path = params.path;
      const holder = this.files.get(path);
      if (holder !== undefined && sha256(holder.bytes) !== params.sha256) {
        if (params.onExisting === "fail") throw new DriverError("rejected", `"${path}" exists`);
        if (params.onExisting === "rename") {
          for (let n = 2; this.files.has(path); n++) path = conflictPath(params.path, n);
        }
      }
      this.files.set(path, { bytes });
      options.onProgress?.({ doneBytes: bytes.length });
      return { path, sizeBytes: bytes.length, verified: "size" as const };
    });
  }

  confirm(params: UploadParams, options: CallOptions = {}): Promise<Receipt | null> {
    return this.#call("confirm", params.path, params, options, () => {
      const held = this.files.get(params.path);
      if (held === undefined || sha256(held.bytes) !== params.sha256) return null;
      return { path: params.path, sizeBytes: held.bytes.length, verified: "checksum" as const };
    });
  }

  remove(params: RemoveParams, options: CallOptions = {}): Promise<void> {
    return this.#call("remove", params.path, params, options, () => void this.files.delete(params.path));
  }

  check(): Promise<Finding[]> {
    return Promise.resolve([]);
  }

  /** Lets others run, and notices a cancellation as a driver would. */
  async #still(options: CallOptions, life: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (life !== this.#life) throw new DriverError("broken", "Plugin has ended");
    if (options.signal?.aborted) throw new DriverError("cancelled", "Call is cancelled");
  }

  async #call<T>(
    method: FakeCall["method"],
    path: string,
    params: unknown,
    options: CallOptions,
    work: () => T | Promise<T>,
  ): Promise<T> {
    const name = `${method} ${path}`;
    const call: FakeCall = { method, path, params, options, nth: this.calls.filter((other) => other === name).length };
    this.calls.push(name);
    if (options.signal?.aborted) throw new DriverError("cancelled", "Call is cancelled");
    const { promise: ended, reject: fail } = Promise.withResolvers<never>();
    const onAbort = () => fail(new DriverError("cancelled", "Call is cancelled"));
    options.signal?.addEventListener("abort", onAbort, { once: true });
    this.#inFlight.add(fail);
    this.activeMost = Math.max(this.activeMost, ++this.active);
    const life = this.#life;
    const run = async () => {
      const scripted = await this.script(call);
      if (life !== this.#life) throw new DriverError("broken", "Plugin has ended");
      const answer = scripted === undefined ? await work() : scripted as T;
      const other = await this.afterwards(call);
      return other === undefined ? answer : other as T;
    };
    try {
      return await Promise.race([run(), ended]);
    } finally {
      this.active--;
      this.#inFlight.delete(fail);
      options.signal?.removeEventListener("abort", onAbort);
    }
  }
}

/** Access to a device that is always there; the errors that turns ended with are kept. */
export class OpenAccess implements DeviceAccess {
  readonly name: string;
  readonly ended: (DriverError | undefined)[] = [];
  /** Whether turns say that they ran alone. */
  alone = true;
  isOpen = true;
  readonly #device: FakeDevice;
  #running = 0;
  #waiting: (() => void)[] = [];

  constructor(name: string, device: FakeDevice) {
    this.name = name;
    this.#device = device;
  }

  get deviceId(): string {
    return this.#device.deviceId ?? this.name;
  }

  get callsMax(): number {
    return this.#device.can.callsMax ?? 1;
  }

  async turn(_user: string, { signal }: TurnOptions): Promise<Turn> {
    while (this.#running >= this.callsMax) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      signal.throwIfAborted();
    }
    signal.throwIfAborted();
    this.#running++;
    let isOver = false;
    const end = (error?: DriverError) => {
      if (isOver) return;
      isOver = true;
      this.#running--;
      this.ended.push(error);
      this.#waiting.shift()?.();
    };
    return { client: this.#device, capabilities: { ...this.#device.can }, alone: this.alone, end };
  }
}
