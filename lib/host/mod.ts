/**
 * Starts and watches the processes that serve devices, and finds the plugins that they run.
 *
 * @module
 */
export { type Clock, SYSTEM_CLOCK } from "./clock.ts";
export { type DiscoverOptions, discoverPlugins, PluginSet, type PluginSettings } from "./discover.ts";
export { HostedDevice, type HostedDeviceOptions } from "./hosted_device.ts";
export { type LaunchSeams, PLUGIN_COMMAND } from "./launch.ts";
export type { DeviceLog } from "./line_log.ts";
export { DEFAULT_LIMITS, type PluginLimits } from "./limits.ts";
export { BUBBLEWRAP, type Wrapper } from "./sandbox.ts";
export { BUILT_IN_ORIGIN, limitsOf, type Manifest, type Permissions, type Plugin } from "./manifest.ts";
export { type DeathReason, PluginDeath } from "./plugin_death.ts";
