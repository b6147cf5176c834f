/** What a command is. The server hands the table of all to its sessions. */

/** One command of sessions `S`. `run` sends its reply or throws. */
export interface Command<S> {
  run: (session: S, argument: string) => void | Promise<void>;
  beforeLogin?: boolean;
  needsArgument?: boolean;
  /** Refused on a read-only server, and to a read-only user. */
  changes?: boolean;
  /** What the command leaves standing for the next one; all others end a pending REST and RNFR. */
  keeps?: "restart" | "rename";
}
