/**
 * The devices of a configuration: equal driver and resolved args are one device, one plugin process per device and
 * role, or one for both roles where the driver is exclusive.
 */
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { type DeviceConfig, resolveSecrets } from "../config/mod.ts";
import type { Role } from "../driver/mod.ts";
import { BUILT_IN_ORIGIN, HostedDevice, type Plugin, type PluginSet } from "../host/mod.ts";
import { type EventBus, logFor } from "../observe/mod.ts";
import type { Spool } from "../spool/mod.ts";
import { recordDevice, registerDevice, type Store } from "../state/mod.ts";
import { DeviceGate } from "./device_gate.ts";
import { EngineError, EXIT } from "./errors.ts";
import { TurnPool } from "./turns.ts";

export interface DevicesOptions {
  plugins: PluginSet;
  store: Store;
  spool: Spool;
  events: EventBus;
  /** The configuration file, for messages. */
  configFile: string;
  /** Called when a device opens or closes. */
  onChange: () => void;
}

/** One device at work. */
export interface OpenDevice {
  gate: DeviceGate;
  hosted: HostedDevice;
  /** The row that names the device's folders; both roles of an exclusive one have the same. */
  row: number;
  /** The driver's device is used by one process only: cards and vehicles, which reuse names. */
  reusesNames: boolean;
  /** Its driver is not ours: nobody knows what it keeps open. */
  isForeign: boolean;
}

/** Opens each device once and closes them all. */
export class Devices {
  readonly #options: DevicesOptions;
  readonly #open = new Map<string, OpenDevice>();
  /** Processes that serve both roles of a device, by driver and arguments. */
  readonly #exclusive = new Map<string, { hosted: HostedDevice; row: number; turns: TurnPool }>();

  constructor(options: DevicesOptions) {
    this.#options = options;
  }

  /** Every device that was opened. */
  get all(): OpenDevice[] {
    return [...this.#open.values()];
  }

  /**
   * The device behind a configuration, in a role.
   * @throws {EngineError} 3 when there is no such driver or it does not have the role
   */
  async open(config: DeviceConfig, role: Role): Promise<OpenDevice> {
    const { plugins, store, events, configFile, onChange } = this.#options;
    const plugin = usablePlugin(plugins, config);
    const args = await readSecrets(config, plugin, configFile);
    const deviceKey = JSON.stringify([config.driver, canonical(args)]);
    const key = `${role} ${deviceKey}`;
    const known = this.#open.get(key);
    if (known !== undefined) return known;
    const row = registerDevice(store, config.name, role);
    // Its number names folders from now on, and must not be undone by a full disk.
    await store.durable();
    const shared = plugin.exclusive ? this.#exclusive.get(deviceKey) : undefined;
    const process = shared ?? { hosted: this.#host(plugin, config, { role, args, row }), row, turns: new TurnPool() };
    if (plugin.exclusive) this.#exclusive.set(deviceKey, process);
    const hosted = shared === undefined ? process.hosted : process.hosted.inRole(role, config.name);
    const gate = new DeviceGate({
      name: config.name,
      role,
      client: hosted,
      events,
      turns: process.turns,
      record: (state) => {
        // A store that turned out to be damaged has told so: this line is not what the run ends with.
        if (store.fatal === undefined) recordDevice(store, row, state);
      },
      onChange,
    });
    const isForeign = plugin.origin !== BUILT_IN_ORIGIN;
    const device = { gate, hosted, row: process.row, reusesNames: plugin.exclusive === true, isForeign };
    this.#open.set(key, device);
    return device;
  }

  #host(
    plugin: Plugin,
    config: DeviceConfig,
    { role, args, row }: { role: Role; args: Record<string, unknown>; row: number },
  ): HostedDevice {
    const { store, spool } = this.#options;
    const log = logFor(config.name);
    const stateDir = join(`${store.path}.devices`, String(row));
    makeStateDir(stateDir);
    return new HostedDevice({
      plugin,
      name: config.name,
      role,
      args,
      spoolDir: spool.deviceDir(row),
      spoolRoot: spool.dir,
      stateDir,
      log: (level, message) => log[level](message),
    });
  }

  /** Ends every plugin, at most 3 s after it was asked to. */
  async close(): Promise<void> {
    for (const { gate } of this.#open.values()) gate.stop();
    await Promise.allSettled(this.all.map(({ hosted }) => hosted.close()));
  }
}

function makeStateDir(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const options = { hint: `Check that it can be written and has room: df -h "${dirname(dir)}"`, cause: error };
    throw new EngineError(EXIT.state, `Cannot make a device's folder beside the state store: ${words}`, options);
  }
}

/**
 * The driver of a device.
 * @throws {EngineError} 3 when it is not there or cannot be used
 */
export function usablePlugin(plugins: PluginSet, device: DeviceConfig): Plugin {
  const plugin = plugins.get(device.driver);
  if (plugin === undefined) {
    throw new EngineError(EXIT.config, `Driver "${device.driver}" of device "${device.name}" is not installed`, {
      hint: "filesync plugins list shows the drivers that there are",
    });
  }
  if (plugin.problem !== undefined) {
    throw new EngineError(EXIT.config, `Driver "${device.driver}" cannot be used: ${plugin.problem}`);
  }
  return plugin;
}

/** A device's arguments with its secrets in them. Never logged, never stored. */
export function readSecrets(
  device: DeviceConfig,
  plugin: Plugin,
  configFile: string,
): Promise<Record<string, unknown>> {
  return resolveSecrets(device.args, {
    file: configFile,
    place: device.place,
    ...(plugin.args === undefined ? {} : { schema: plugin.args }),
  });
}

/** The same value with the keys of every object in order. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map(([k, v]) => [k, canonical(v)]),
  );
}
