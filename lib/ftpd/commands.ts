/** The commands that the server knows, by verb. */
import { FILE_COMMANDS } from "./commands_files.ts";
import { SESSION_COMMANDS } from "./commands_session.ts";
import { TRANSFER_COMMANDS } from "./commands_transfer.ts";
import type { Session } from "./session.ts";

/** One command. `run` sends its reply or throws. */
export interface Command {
  run: (session: Session, argument: string) => void | Promise<void>;
  beforeLogin?: boolean;
  needsArgument?: boolean;
  /** Refused on a read-only server. */
  changes?: boolean;
  /** What the command leaves standing for the next one; all others end a pending REST and RNFR. */
  keeps?: "restart" | "rename";
}

export const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ...Object.entries(SESSION_COMMANDS),
  ...Object.entries(FILE_COMMANDS),
  ...Object.entries(TRANSFER_COMMANDS),
]);
