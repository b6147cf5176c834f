/**
 * The engine: runs jobs, and looks at devices and state without running any.
 *
 * @module
 */
export * from "./circles.ts";
export * from "./commands.ts";
export * from "./engine.ts";
export * from "./errors.ts";
export * from "./inspect.ts";
export * from "./look.ts";
export * from "./teller.ts";
