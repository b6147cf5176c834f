/** Calls a driver's methods in this process, without a host and a pipe. */
import { type Call, type DeviceState, type Driver, type Entry, type Role } from "../../lib/driver/mod.ts";
import { type ArgsSchema, checkArgs } from "../../lib/protocol/check_args.ts";

/** A call that notes what the driver does with it. */
export interface DirectCall extends Call {
  /** All entries of a listing. */
  listed: Entry[];
  /** Sizes of its batches. */
  batches: number[];
  /** `doneBytes` of each progress. */
  progressed: number[];
  abort(): void;
}

/** @param onProgress called at each progress, for faults at a known byte */
export function directCall(onProgress: (doneBytes: number) => void | Promise<void> = () => {}): DirectCall {
  const controller = new AbortController();
  const call: DirectCall = {
    listed: [],
    batches: [],
    progressed: [],
    signal: controller.signal,
    abort: () => controller.abort(),
    progress(doneBytes) {
      call.progressed.push(doneBytes);
      pending = onProgress(doneBytes);
    },
    entries(entries) {
      call.batches.push(entries.length);
      call.listed.push(...entries);
      return Promise.resolve();
    },
    async throttle() {
      await pending;
    },
  };
  let pending: void | Promise<void>;
  return call;
}

/** An initialized driver with the notes of what it said between calls. */
export interface OpenDriver<D> {
  driver: D;
  states: DeviceState[];
  logs: string[];
  stateDir: string;
  /** Shuts the driver down and removes its directories. */
  close(): Promise<void>;
}

/** Initializes `driver` with its manifest's defaults filled in. */
export async function openDriver<D extends Driver>(
  driver: D,
  manifest: { args: unknown },
  args: Record<string, unknown>,
  role: Role = "source",
): Promise<OpenDriver<D>> {
  const stateDir = await Deno.makeTempDir({ prefix: "filesync-state-" });
  const states: DeviceState[] = [];
  const logs: string[] = [];
  await driver.initialize({
    protocol: 1,
    device: "test",
    role,
    args: checkArgs(args, manifest.args as ArgsSchema),
    spoolDir: stateDir,
    stateDir,
    logLevel: "debug",
  }, {
    state: (state) => states.push(state),
    log: (level, message) => logs.push(`${level}: ${message}`),
  });
  return {
    driver,
    states,
    logs,
    stateDir,
    async close() {
      await driver.shutdown?.();
      await Deno.remove(stateDir, { recursive: true });
    },
  };
}
