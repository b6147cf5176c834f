/** The exit codes of the contract, at one place and without an import: a command that needs no engine loads none. */
import type { ErrorCode } from "../driver/mod.ts";

/** How the program ends; 130 and 143 are those of signals. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  config: 3,
  attention: 4,
  unavailable: 5,
  denied: 6,
  state: 7,
  plugin: 8,
} as const;

const OF_CODE: Partial<Record<ErrorCode, number>> = {
  invalid_config: EXIT.config,
  unsupported: EXIT.config,
  denied: EXIT.denied,
  unavailable: EXIT.unavailable,
  held: EXIT.unavailable,
  broken: EXIT.plugin,
};

/** With several causes the first of these wins. */
const ORDER: readonly number[] = [
  EXIT.config,
  EXIT.state,
  EXIT.denied,
  EXIT.plugin,
  EXIT.attention,
  EXIT.unavailable,
  EXIT.failed,
];

/** How a program ends that a device's error ended. */
export function exitOfCode(code: ErrorCode): number {
  return OF_CODE[code] ?? EXIT.failed;
}

/** The code that wins of several causes; 0 of none. */
export function firstExit(causes: readonly number[]): number {
  return ORDER.find((code) => causes.includes(code)) ?? EXIT.ok;
}
