/**
 * The spool: what lies on the Pi between source and targets, its quota, and the proof of what it holds.
 *
 * @module
 */
export * from "./errors.ts";
export * from "./hash.ts";
export { Loan } from "./loan.ts";
export * from "./publish.ts";
export * from "./read_spool.ts";
export * from "./spool.ts";
export * from "./spool_file.ts";
