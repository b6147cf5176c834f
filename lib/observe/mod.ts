/**
 * What the program tells: events for machines, a log for people, one model of the state.
 *
 * @module
 */
export * from "./events.ts";
export * from "./log.ts";
export * from "./outlet.ts";
export * from "./status.ts";
export * from "./visible.ts";
export * from "./write_all.ts";
