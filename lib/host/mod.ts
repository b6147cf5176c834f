/**
 * Starts and watches the processes that serve devices, and finds the plugins that they run.
 *
 * @module
 */
export { type Clock, SYSTEM_CLOCK } from "./clock.ts";
export { type DiscoverOptions, discoverPlugins, PluginSet } from "./discover.ts";
export { HostedDevice, type HostedDeviceOptions } from "./hosted_device.ts";
export { type LaunchSeams, PLUGIN_COMMAND } from "./launch.ts";
export type { DeviceLog } from "./line_log.ts";
export { BUILT_IN_ORIGIN, type Manifest, type Permissions, type Plugin } from "./manifest.ts";
export { type DeathReason, PluginDeath } from "./plugin_death.ts";
