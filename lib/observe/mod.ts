/**
 * What the program tells: events for machines, a log for people, one model of the state.
 *
 * @module
 */
export * from "./browse.ts";
export * from "./events.ts";
export * from "./log.ts";
export * from "./outlet.ts";
export * from "./progress.ts";
export * from "./status.ts";
export * from "./told_event.ts";
export * from "./visible.ts";
export * from "./write_all.ts";
