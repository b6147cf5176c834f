/**
 * What the program tells: events for machines, a log for people, one model of the state.
 *
 * @module
 */
export * from "./events.ts";
export * from "./status.ts";
