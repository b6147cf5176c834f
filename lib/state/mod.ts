/**
 * The state store: SQLite, the only SQL of the program. A queue is rows; a crash loses a process, never a job.
 *
 * @module
 */
export * from "./abandoned.ts";
export * from "./admin.ts";
export * from "./browse.ts";
export * from "./deliveries.ts";
export * from "./doubt.ts";
export * from "./ending.ts";
export * from "./errors.ts";
export * from "./files.ts";
export * from "./history.ts";
export * from "./listings.ts";
export * from "./manifest.ts";
export * from "./pauses.ts";
export * from "./rebuild.ts";
export * from "./recovery.ts";
export * from "./registry.ts";
export * from "./removals.ts";
export * from "./shelving.ts";
export * from "./status.ts";
export * from "./store.ts";
export * from "./store_exists.ts";
export * from "./waiting.ts";
export * from "./writable.ts";
