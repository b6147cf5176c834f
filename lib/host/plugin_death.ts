/** How a plugin's process ended: the `cause` of every `broken`. */

/**
 * Who ended it and why. `exit`: it ended by itself or was killed from outside; `spawn`: it could not be started; the
 * others are ours: `handshake` (no answer to `initialize`), `stall` (a call without a sign of life), `cancel` (a
 * cancelled call was not given up), `streams` (it closed stdin or stdout and lived on), `state` (its `stateDir` is over
 * the limit), `memory` (it took more than it may), `shutdown` (we were done).
 */
export type DeathReason =
  | "exit"
  | "spawn"
  | "handshake"
  | "stall"
  | "cancel"
  | "streams"
  | "state"
  | "memory"
  | "shutdown";

/** What is known of the end of a process. */
export class PluginDeath extends Error {
  override readonly name = "PluginDeath";
  /** `null` when a signal ended it or it never ran. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly killedByUs: boolean;
  readonly reason: DeathReason;
  /** The last line on its stderr, `""` when there was none. */
  readonly lastWords: string;

  constructor(
    message: string,
    facts: {
      exitCode: number | null;
      signal: string | null;
      reason: DeathReason;
      killedByUs: boolean;
      lastWords: string;
    },
  ) {
    super(message);
    this.exitCode = facts.exitCode;
    this.signal = facts.signal;
    this.reason = facts.reason;
    this.killedByUs = facts.killedByUs;
    this.lastWords = facts.lastWords;
  }

  /** Whether somebody else killed it: an operator, or the kernel when memory ran out. */
  get killedFromOutside(): boolean {
    return this.signal !== null && !this.killedByUs;
  }
}
