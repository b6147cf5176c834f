/** The workbench of one case: the driver as a real process, its device, a spool, and the steps that cases share. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  type CallOptions,
  type Capabilities,
  type DeviceClient,
  type DownloadParams,
  type DownloadResult,
  DriverError,
  type Entry,
  type ErrorCode,
  fingerprintOf,
  type OnExisting,
  type Receipt,
  type Role,
  type UploadParams,
} from "../driver/mod.ts";
import { discoverPlugins, HostedDevice, type Plugin } from "../host/mod.ts";
import type { Fixture, TestDevice } from "./fixture.ts";
import { MessageJudge } from "./message_judge.ts";

/** A time that every device can keep: a whole minute, in the past, the same in summer and winter. */
export const MODIFIED_MS = 1_699_999_980_000;
export const KIB = 1024;

/** Everything that a case works with. */
export class Bench {
  readonly fixture: Fixture;
  readonly device: TestDevice;
  readonly can: Capabilities;
  readonly role: Role;
  readonly spoolDir: string;
  readonly #seat: ClientSeat;
  #files = 0;

  constructor(
    parts: {
      fixture: Fixture;
      seat: ClientSeat;
      device: TestDevice;
      can: Capabilities;
      role: Role;
      spoolDir: string;
    },
  ) {
    this.fixture = parts.fixture;
    this.#seat = parts.seat;
    this.device = parts.device;
    this.can = parts.can;
    this.role = parts.role;
    this.spoolDir = parts.spoolDir;
  }

  /** The driver, behind the host. */
  get client(): DeviceClient {
    return this.#seat.client;
  }

  /** Ends the driver's process; it is started anew when it is asked next. */
  rest(): Promise<void> {
    return this.#seat.rest();
  }

  /** A new file of the spool that holds `bytes`, made as the host makes them. */
  async spool(bytes: Uint8Array = new Uint8Array(0)): Promise<string> {
    const file = `${this.spoolDir}/${++this.#files}`;
    await Deno.writeFile(file, bytes, { mode: 0o600, createNew: true });
    return file;
  }

  /** All entries below `directory`, whether the driver descends by itself or has to be asked for each directory. */
  async listAll(directory = ""): Promise<Entry[]> {
    const entries: Entry[] = [];
    const recursive = this.can.recursiveList === true;
    await this.client.list({ directory, recursive }, (batch) => void entries.push(...batch));
    if (recursive) return entries;
    for (const { path, kind } of [...entries]) if (kind === "directory") entries.push(...await this.listAll(path));
    return entries;
  }

  /** Downloads `path` as a finder would have found it, into a new spool file. */
  async download(
    path: string,
    over: Partial<DownloadParams> & { prefix?: Uint8Array } = {},
    options: CallOptions = {},
  ): Promise<{ bytes: Uint8Array; result: DownloadResult; spoolFile: string }> {
    const { prefix, ...params } = over;
    const expect = params.expect ?? fingerprintOf(await this.client.stat(path));
    const spoolFile = params.spoolFile ?? await this.spool(prefix);
    const before = await Deno.stat(spoolFile);
    const result = await this.client.download({ path, offsetBytes: 0, ...params, expect, spoolFile }, options);
    const after = await Deno.stat(spoolFile);
    assert.equal(after.ino, before.ino, "The spool file must be written, not replaced");
    assert.equal(after.mode, before.mode, "The spool file's mode is the host's");
    return { bytes: await Deno.readFile(spoolFile), result, spoolFile };
  }

  /** The parameters of an upload of `bytes`, in a new spool file. */
  async uploadParams(path: string, bytes: Uint8Array, over: Partial<UploadParams> = {}): Promise<UploadParams> {
    return {
      spoolFile: await this.spool(bytes),
      path,
      sizeBytes: bytes.length,
      sha256: sha256(bytes),
      modifiedMs: MODIFIED_MS,
      onExisting: "rename",
      ...over,
    };
  }

  async upload(path: string, bytes: Uint8Array, onExisting: OnExisting = "rename"): Promise<Receipt> {
    return await this.client.upload(await this.uploadParams(path, bytes, { onExisting }));
  }
}

/** One client at a time, which may be sent away: a device that bears one process has room for another then. */
class ClientSeat implements AsyncDisposable {
  readonly #open: () => HostedDevice;
  #client: HostedDevice | undefined;

  constructor(open: () => HostedDevice) {
    this.#open = open;
  }

  get client(): HostedDevice {
    return this.#client ??= this.#open();
  }

  async rest(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rest();
  }
}

/** Starts the driver on a new device, runs `work`, takes everything down again. */
export async function withBench(
  fixture: Fixture,
  role: Role,
  work: (bench: Bench) => Promise<void>,
  judge?: MessageJudge,
): Promise<void> {
  const device = await fixture.device(role);
  try {
    await withProcess(fixture, role, device.args, async (client, spoolDir, seat) => {
      const can = await client.capabilities();
      await work(new Bench({ fixture, seat, device, can, role, spoolDir }));
    }, judge);
  } finally {
    await device.close();
  }
}

/**
 * Starts the driver with `args`, whatever they lead to. What it said goes with what a failure says. Fails when one of
 * its messages does not fit the protocol's schema.
 */
export async function withProcess(
  fixture: Fixture,
  role: Role,
  args: Record<string, unknown>,
  work: (client: DeviceClient, spoolDir: string, seat: ClientSeat) => Promise<void>,
  judge: MessageJudge = new MessageJudge(),
): Promise<void> {
  const base = await Deno.makeTempDir({ prefix: "filesync-conformance-" });
  const words: string[] = [];
  try {
    await Deno.mkdir(`${base}/spool`, { mode: 0o700 });
    await Deno.mkdir(`${base}/state`, { mode: 0o700 });
    await using seat = new ClientSeat(() =>
      new HostedDevice({
        plugin: pluginOf(fixture),
        name: "device",
        role,
        args,
        spoolDir: `${base}/spool`,
        stateDir: `${base}/state`,
        log: (level, message) => void words.push(`${level}: ${message}`),
        onMessage: (message, by) => judge.hear(message, by),
      })
    );
    await work(seat.client, `${base}/spool`, seat);
    judge.assertFit();
  } catch (error) {
    if (error instanceof Error && words.length > 0) error.message += `\nDriver said:\n${words.slice(-20).join("\n")}`;
    throw error;
  } finally {
    await Deno.remove(base, { recursive: true });
  }
}

/** The plugin that a fixture names. */
export function pluginOf(fixture: Fixture): Plugin {
  if (typeof fixture.plugin !== "string") return fixture.plugin;
  const plugin = discoverPlugins().get(fixture.plugin);
  assert.ok(plugin, `No plugin "${fixture.plugin}"`);
  return plugin;
}

/** `length` bytes that differ at every place and with every `seed`, the same in each run. */
export function content(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let at = 0; at < length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state >>> 11;
  }
  return bytes;
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Compares without printing a megabyte. */
export function assertBytes(actual: Uint8Array | undefined, expected: Uint8Array, what: string): void {
  assert.ok(actual !== undefined, `${what}: is not there`);
  assert.equal(actual.length, expected.length, `${what}: size`);
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  assert.equal(at, -1, `${what}: differs at byte ${at}`);
}

export function assertPrefix(actual: Uint8Array, whole: Uint8Array, what: string): void {
  assert.ok(actual.length <= whole.length, `${what}: is longer than the file`);
  assertBytes(actual, whole.subarray(0, actual.length), what);
}

/** Waits for the failure of `call` and checks its code. */
export async function fails(call: Promise<unknown>, ...codes: ErrorCode[]): Promise<DriverError> {
  let outcome: unknown;
  try {
    outcome = await call;
  } catch (error) {
    assert.ok(error instanceof DriverError, `Expected a DriverError: ${error}`);
    assert.ok(
      codes.length === 0 || codes.includes(error.code),
      `Expected ${codes.join(" or ")}: ${error.code} (${error.message})`,
    );
    assert.notEqual(error.code, "broken", error.message);
    return error;
  }
  throw new assert.AssertionError({ message: `Expected ${codes.join(" or ")}: got ${JSON.stringify(outcome)}` });
}

/** Cancels a call at the first progress report of at least `doneBytes`. */
export function cancelAt(doneBytes: number): { options: CallOptions; lastBytes: () => number } {
  const abort = new AbortController();
  let last = 0;
  return {
    options: {
      signal: abort.signal,
      onProgress: (progress) => {
        last = Math.max(last, progress.doneBytes);
        if (progress.doneBytes >= doneBytes) abort.abort();
      },
    },
    lastBytes: () => last,
  };
}
