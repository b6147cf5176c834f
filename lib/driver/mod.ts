/**
 * The driver contract: what every device can be asked, in which shapes, and what its errors mean.
 * Imports nothing, so that a driver can depend on it alone.
 *
 * @module
 */
export * from "./access.ts";
export * from "./client.ts";
export * from "./driver.ts";
export * from "./errors.ts";
export * from "./fingerprint.ts";
export * from "./limit.ts";
export * from "./memory_saver.ts";
export * from "./moved_again.ts";
export * from "./movers.ts";
export * from "./paths.ts";
export * from "./read_back.ts";
export * from "./retry.ts";
export * from "./signals.ts";
export * from "./together.ts";
export * from "./types.ts";
export * from "./verdict.ts";
