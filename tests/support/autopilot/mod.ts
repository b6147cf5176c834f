/**
 * A simulated autopilot: the file transfer of PX4, ArduPilot and MAVSDK with their habits and mistakes, on links that
 * lose, delay and damage. Written from the specification and from how those programs behave, and from nothing of the
 * driver that is tested with it.
 */
export { AutopilotCore } from "./core.ts";
export * from "./content.ts";
export type { Fault, FaultKind, Passing } from "./faults.ts";
export { type ContentSource, type FileNode, Files, utf8Name } from "./files.ts";
export type { LinkCounts, LinkModel } from "./link.ts";
export type { CoreOptions, LinkOptions, VehicleOptions } from "./options.ts";
export { type OtherScript, OtherStation } from "./other_station.ts";
export { PERSONALITIES, type PersonalityName, type Traits } from "./personality.ts";
export { Random } from "./random.ts";
export { Scheduler, VirtualClock } from "./scheduler.ts";
export { type Autopilot, type AutopilotOptions, type RebootOptions, startAutopilot } from "./start.ts";
export { Stats } from "./stats.ts";
export type { TransportOptions } from "./transport/transport.ts";
export { Vehicle } from "./vehicle.ts";
export { ftpCrc32 } from "./wire/crc.ts";
export { dataflash } from "./dataflash.ts";
export { ulog } from "./ulog.ts";
export { sampleCard, type SampleOptions } from "./samples.ts";
