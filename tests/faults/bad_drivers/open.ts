/** Opens a device on one of the bad drivers, with directories of its own and its log in a list. */
import { DriverError } from "../../../lib/driver/mod.ts";
import { HostedDevice, type HostedDeviceOptions } from "../../../lib/host/hosted_device.ts";
import type { Plugin } from "../../../lib/host/manifest.ts";

const FOLDER = import.meta.dirname ?? ".";

export interface BadOptions extends Partial<Omit<HostedDeviceOptions, "plugin">> {
  command?: string[];
  plugin?: Partial<Plugin>;
}

/** An opened device; disposing closes it and removes its directories. */
export interface Bad extends AsyncDisposable {
  device: HostedDevice;
  dir: string;
  spoolFile: string;
  log: string[];
}

export function openBad(options: BadOptions = {}): Bad {
  const { command = ["python3", "bad_driver.py"], plugin, ...rest } = options;
  const dir = Deno.makeTempDirSync({ prefix: "filesync-host-" });
  const spoolFile = `${dir}/spool-file`;
  Deno.writeTextFileSync(spoolFile, "");
  const log: string[] = [];
  const device = new HostedDevice({
    plugin: {
      name: "bad",
      version: "1",
      description: "",
      roles: ["source", "target"],
      exclusive: false,
      args: {},
      origin: FOLDER,
      command,
      ...plugin,
    },
    name: "drone1",
    role: "source",
    args: {},
    spoolDir: dir,
    stateDir: `${dir}/state`,
    log: (level, message) => log.push(`${level}: ${message}`),
    random: () => 0.5,
    ...rest,
  });
  return {
    device,
    dir,
    spoolFile,
    log,
    async [Symbol.asyncDispose]() {
      await device.close();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** Opens a device on `bad_driver.py` with this fault. */
export function openFault(fault: string, options: BadOptions = {}): Bad {
  return openBad({ ...options, args: { fault, ...options.args } });
}

/** Whether a process runs; one that ended and is not yet reaped does not. */
export function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch {
    return false;
  }
}

/** Waits for the end of a process that is not our child: the kernel tells nobody, so it is looked at. */
export async function untilDead(pid: number): Promise<void> {
  for (let tries = 0; isAlive(pid); tries++) {
    if (tries > 1000) throw new Error(`Process ${pid} is still alive`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The error that a call fails with. */
export async function failureOf(call: Promise<unknown>): Promise<DriverError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof DriverError) return error;
    throw error;
  }
  throw new Error("Call did not fail");
}
