/** A machine for tests: a Pi on which all is well, but for what a test says. */
import type { Machine } from "./machine.ts";

export const NOW_MS = Date.UTC(2026, 10, 23, 12, 0);

export function fakeMachine(other: Partial<Machine> = {}): Machine {
  return {
    nowMs: () => NOW_MS,
    timeZone: () => "Europe/Berlin",
    arch: "aarch64",
    host: "pi",
    uid: 1000,
    availableBytes: () => 500 * 1024 * 1024,
    killsOrphans: () => true,
    exists: () => false,
    text: () => undefined,
    output: (command) => Promise.resolve(command === "getconf" ? "4096" : "yes"),
    ...other,
  };
}
