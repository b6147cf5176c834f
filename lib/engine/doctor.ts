/**
 * `filesync doctor`: everything that can be checked without moving a file, as findings in the order of the journey.
 * Changes nothing but what a driver's own `check` writes and removes again.
 */
import { type Config, ConfigError, type DeviceConfig } from "../config/mod.ts";
import type { Role } from "../driver/mod.ts";
import type { PluginSet } from "../host/mod.ts";
import { join } from "node:path";
import { usablePlugin } from "./devices.ts";
import type { Uses } from "./doctor/abilities.ts";
import { deviceFindings, type DeviceUse } from "./doctor/devices.ts";
import type { DoctorFinding } from "./doctor/finding.ts";
import { jobFindings } from "./doctor/jobs.ts";
import { type Machine, THIS_MACHINE } from "./doctor/machine.ts";
import { clockFindings, platformFindings, userFindings } from "./doctor/platform.ts";
import { configFindings, pluginFindings, secretsOf } from "./doctor/setup.ts";
import { logFindings, spoolFindings } from "./doctor/spool.ts";
import { lookAtState, type StateLook } from "./doctor/state_store.ts";
import { EngineError, EXIT } from "./errors.ts";

export { type DoctorFinding, type Level, Tally, type Verdict } from "./doctor/finding.ts";

/** What to look at. */
export interface DoctorOptions {
  /** The configuration, or everything that is wrong with it. */
  config: Config | ConfigError;
  plugins: PluginSet;
  env: Readonly<Record<string, string | undefined>>;
  /** Only this device, and what it needs. */
  device?: string;
  signal: AbortSignal;
  /** @default {this one} */
  machine?: Machine;
  /** Longest time for one device in one role, milliseconds. @default {60000} */
  deviceMsMax?: number;
}

const DEVICE_MS_MAX = 60_000;
/** Devices that are asked at once: each costs a process, and a Pi has little memory. */
const DEVICES_AT_ONCE = 3;

/**
 * The findings, as they are found.
 * @throws {EngineError} 2 when there is no such device
 * @throws {DOMException} `AbortError` when `signal` is aborted
 */
export async function* examine(options: DoctorOptions): AsyncGenerator<DoctorFinding> {
  const { config, plugins, machine = THIS_MACHINE } = options;
  if (config instanceof ConfigError) {
    yield* configFindings(config);
    yield* pluginFindings(plugins, []);
    yield* await platformFindings(machine, 0);
    yield* await clockFindings(machine, undefined);
    return;
  }
  const uses = deviceUses(config);
  if (options.device !== undefined) {
    const state = lookAtState(machine, config, false);
    yield* examineDevices(config, chosenUses(config, uses, options.device), state, options);
    return;
  }
  yield* configFindings(config);
  yield* pluginFindings(plugins, config.pluginDirs);
  yield* await platformFindings(machine, uses.length);
  yield* userFindings(machine, config);
  yield* await clockFindings(machine, config);
  const state = lookAtState(machine, config);
  yield* state.findings;
  yield* spoolFindings(machine, config, { id: state.storeId, isReadable: state.isReadable });
  yield* logFindings(machine, config);
  yield* jobFindings(machine, config, plugins);
  yield* examineDevices(config, uses, state, options);
}

/** A device in one role. */
interface Use {
  device: DeviceConfig;
  role: Role;
  uses: Uses;
}

/** Every device that a job uses, once in each role, in the order of the journey. */
function deviceUses(config: Config): Use[] {
  const found = new Map<string, Use>();
  const useOf = (device: DeviceConfig, role: Role): Uses => {
    const key = `${role} ${device.name}`;
    const use = found.get(key) ?? { device, role, uses: { sources: [], targets: [] } };
    found.set(key, use);
    return use.uses;
  };
  for (const job of config.jobs) {
    useOf(job.source, "source").sources.push(job);
    for (const target of job.targets) useOf(target.device, "target").targets.push({ job, target });
  }
  return [...found.values()];
}

function chosenUses(config: Config, uses: Use[], name: string): Use[] {
  const chosen = uses.filter(({ device }) => device.name === name);
  if (chosen.length > 0) return chosen;
  const unused = config.devices.find((device) => device.name === name);
  if (unused !== undefined) return [{ device: unused, role: "source", uses: { sources: [], targets: [] } }];
  const known = [...new Set([...config.devices, ...uses.map(({ device }) => device)].map((device) => device.name))];
  throw new EngineError(EXIT.usage, `Device "${name}" is not in ${config.file}`, {
    hint: `Devices are ${known.join(", ")}`,
  });
}

async function* examineDevices(
  config: Config,
  chosen: Use[],
  state: StateLook,
  options: DoctorOptions,
): AsyncGenerator<DoctorFinding> {
  const asked: DeviceUse[] = [];
  const argsOf = new Map<string, Record<string, unknown> | undefined>();
  for (const { device, role, uses } of chosen) {
    const plugin = usablePlugin(options.plugins, device);
    if (!argsOf.has(device.name)) {
      const { findings, args } = await secretsOf(device, plugin, { configFile: config.file, env: options.env });
      yield* findings;
      argsOf.set(device.name, args);
    }
    const args = argsOf.get(device.name);
    if (args === undefined) continue;
    // An unused device is looked at in the first role that it can have.
    const able = plugin.roles.includes(role) ? role : plugin.roles[0] ?? role;
    const row = state.deviceRows.get(`${device.name}/${able}`);
    const stateDir = row === undefined ? undefined : join(`${config.statePath}.devices`, String(row));
    asked.push({ device, role: able, plugin, args, uses, stateDir });
  }
  const { signal, deviceMsMax = DEVICE_MS_MAX } = options;
  const how = { signal, deviceMsMax, daemonPid: state.daemonPid };
  const turns = new Map<string, Promise<unknown>>();
  const tasks = asked.map((use) => () => {
    const key = turnKey(use);
    if (key === undefined) return deviceFindings(use, how);
    const turn = (turns.get(key) ?? Promise.resolve()).then(() => deviceFindings(use, how));
    turns.set(key, turn.catch(() => {}));
    return turn;
  });
  for await (const findings of inOrder(tasks, DEVICES_AT_ONCE)) yield* findings;
}

/** Uses of equal key take turns: one process alone may have the device, or a server may take one connection only. */
function turnKey({ plugin, args }: DeviceUse): string | undefined {
  if (plugin.exclusive) return JSON.stringify([plugin.name, args]);
  return typeof args["host"] === "string" ? JSON.stringify([plugin.name, args["host"], args["port"]]) : undefined;
}

/** The results in the order of the tasks, of which so many run at once. */
async function* inOrder<T>(tasks: (() => Promise<T>)[], atOnce: number): AsyncGenerator<T> {
  const running: Promise<T>[] = [];
  try {
    for (let index = 0; index < tasks.length; index++) {
      while (running.length < Math.min(tasks.length, index + atOnce)) {
        const task = tasks[running.length]!();
        // It is awaited below, when its turn has come.
        task.catch(() => {});
        running.push(task);
      }
      yield await running[index]!;
    }
  } finally {
    await Promise.allSettled(running);
  }
}
