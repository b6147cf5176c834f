/** What a command is. The server hands the table of all to its sessions. */
import type { Session } from "./session.ts";

/** One command. `run` sends its reply or throws. */
export interface Command {
  run: (session: Session, argument: string) => void | Promise<void>;
  beforeLogin?: boolean;
  needsArgument?: boolean;
  /** Refused on a read-only server, and to a read-only user. */
  changes?: boolean;
  /** What the command leaves standing for the next one; all others end a pending REST and RNFR. */
  keeps?: "restart" | "rename";
}
